"""Studies: `study list | show | run | figures | check | compare`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import typer

from gainnet.cli.options import command
from gainnet.cli.printing import print_json, print_table, progress
from gainnet.core.errors import ConfigError


@command("list")
def listing(*, as_json: bool = False) -> None:
    """The studies and the questions they answer.

    Args:
        as_json: one JSON object on standard output, nothing else.

    Example:
        gainnet study list
    """
    from gainnet.studies import list_questions

    rows = [{"study": name, "question": question} for name, question in list_questions().items()]
    print_json({"studies": rows}) if as_json else print_table("Studies", ("study", "question"), rows)


@command("show")
def show(name: str) -> None:
    """Methods, settings and metrics of a study, as JSON.

    Args:
        name: of the study.

    Example:
        gainnet study show image-quality
    """
    from gainnet.studies import show_study

    print_json(asdict(show_study(name)))


@command("run")
def run(
    name: str,
    *,
    quick: bool = False,
    full: bool = False,
    config: Path | None = None,
    out: Path = Path("out/studies"),
    fresh: bool = False,
    engine: str = "process",
    num_workers: int | None = None,
    data: str | None = None,
    cloud_url: str | None = None,
    cloud_model: str | None = None,
    trace: str | None = None,
    pictures: str | None = None,
    model: str | None = None,
    as_json: bool = False,
) -> None:
    """Run a study, or go on where it was stopped.

    Args:
        name: of the study.
        quick: smoke run: the same keys, null where not computed.
        full: the published tables.
        config: settings of your own, a .toml file.
        out: folder for <study>/<config hash>.
        fresh: start over instead of going on where it stopped.
        engine: process, or ray for several workers; the table is the same.
        num_workers: workers of ray; 2 when left out.
        data: folder of abstracts of yours, for medical-summaries.
        cloud_url: chat endpoint in the place of the local cloud, up to /v1; for medical-summaries.
        cloud_model: how that endpoint calls its model.
        trace: a .csv file with SNRs; a row is one fading block; for power-control.
        pictures: folder of photographs of yours, for photographs.
        model: name or folder of the model that is studied, for studies of one.
        as_json: one JSON object on standard output, nothing else.

    Example:
        gainnet study run image-quality --quick
    """
    of_study = {"data": data, "cloud_url": cloud_url, "cloud_model": cloud_model, "trace": trace}
    of_study |= {"pictures": pictures, "model": model}
    changes = {field: value for field, value in of_study.items() if value is not None}
    given = [option for option, is_given in (("--quick", quick), ("--full", full), ("--config", config)) if is_given]
    if len(given) > 1:
        raise ConfigError(f"preset: {' and '.join(given)} exclude each other; give one of them")
    preset = config or ("quick" if quick else "full" if full else "default")
    from gainnet.studies import make_engine, run_study

    chosen = make_engine(engine, num_workers)
    with progress(name) as watch:
        result = run_study(name, preset, out, watch, resume=not fresh, engine=chosen, changes=changes)
    for warning in result.warnings:
        typer.echo(f"warning: {warning}", err=True)
    if as_json:
        return print_json(result.to_json())
    rows = [{"metric": key, "value": value} for key, value in result.metrics.items()]
    print_table(f"{name}: {result.table_path}", ("metric", "value"), rows)
    typer.echo(result.folder / "report.html")
    return None


@command("figures")
def figures(run: Path, *, style: str = "", format: tuple[str, ...] = (), out: Path | None = None) -> None:
    """Draw the figures of a finished run again, from its table alone; nothing is run.

    Args:
        run: folder of the run.
        style: a .mplstyle file of yours, or a style of matplotlib, over that of gainnet.
        format: png, svg or pdf; several times for several; png and svg when left out.
        out: folder for the figures; that of the run when left out.

    Example:
        gainnet study figures results/sketch/HASH --format pdf
    """
    from gainnet.studies import Look, draw_figures

    for path in draw_figures(run, Look(style, format or Look.formats), out):
        typer.echo(path)


@command("check")
def check(
    run: Path, *, rows: int = 20, methods: str | None = None, random_seed: int = 0, as_json: bool = False
) -> None:
    """Compute drawn rows of a finished run again, and compare the printed digits.

    Args:
        run: folder of the run.
        rows: how many; each method has one before any has two.
        methods: draw among these, separated by commas.
        random_seed: of the draw.
        as_json: one JSON object on standard output, nothing else.

    Example:
        gainnet study check results/sketch/HASH --rows 5
    """
    from gainnet.studies import check_run

    if rows < 1 or random_seed < 0:
        raise ConfigError("rows, random_seed: must be at least 1 and 0; give larger numbers")
    with progress("check") as watch:
        found = check_run(run, rows, tuple(methods.split(",")) if methods else (), random_seed, watch)
    columns = ("method", "case", "num_columns", "differing", "largest", "wall_s")
    print_json(found.to_json()) if as_json else print_table(f"{run}", columns, found.to_json()["rows"])
    counts = f"{found.num_equal} of {len(found.rows)} rows are the same to the last printed digit"
    typer.echo(f"{counts}; no row of {', '.join(found.left_out)}" if found.left_out else counts, err=as_json)
    if not found.reproduces:
        raise typer.Exit(1)


@command("compare")
def compare(a: Path, b: Path, *, as_json: bool = False) -> None:
    """Show the metrics of two runs side by side.

    Args:
        a: folder of a run.
        b: folder of another run.
        as_json: one JSON object on standard output, nothing else.

    Example:
        gainnet study compare out/studies/sketch/A out/studies/sketch/B
    """
    from gainnet.studies import compare as compare_runs

    compared = compare_runs(a, b)
    columns = ("metric", "a", "b", "b - a")
    print_json(compared.to_json()) if as_json else print_table(f"{a} · {b}", columns, compared.rows())


commands = (listing, show, run, figures, check, compare)
