"""Studies: `study list | show | run | figures | check | compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gainnet.cli.options import AsJson
from gainnet.cli.printing import print_json, print_table, progress
from gainnet.core.errors import ConfigError

app = typer.Typer(help="Questions with methods, tables and figures, reproducible by name.", no_args_is_help=True)


@app.command("list")
def study_list(as_json: AsJson = False) -> None:
    """The studies and the questions they answer."""
    from gainnet.studies import list_studies

    rows = [{"study": study.name, "question": study.question} for study in list_studies()]
    print_json({"studies": rows}) if as_json else print_table("Studies", ("study", "question"), rows)


@app.command("show")
def study_show(name: str) -> None:
    """Methods, settings and metrics of a study, as JSON."""
    from dataclasses import asdict

    from gainnet.studies import show_study

    print_json(asdict(show_study(name)))


@app.command("run")
def study_run(
    name: str,
    quick: Annotated[bool, typer.Option("--quick", help="Smoke run: the same keys, null where not computed.")] = False,
    full: Annotated[bool, typer.Option("--full", help="The published tables.")] = False,
    config: Annotated[Path | None, typer.Option(help="Settings of your own, a .toml file.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for <study>/<config hash>.")] = Path("out/studies"),
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over instead of going on where it stopped.")] = False,
    engine: Annotated[
        str, typer.Option(help="process, or ray for several workers; the table is the same.")
    ] = "process",
    num_workers: Annotated[int | None, typer.Option(help="Workers of ray.", show_default="2")] = None,
    data: Annotated[str | None, typer.Option(help="Folder of abstracts of yours, for medical-summaries.")] = None,
    cloud_url: Annotated[
        str | None,
        typer.Option(help="Chat endpoint in the place of the local cloud, up to /v1; for medical-summaries."),
    ] = None,
    cloud_model: Annotated[str | None, typer.Option(help="How that endpoint calls its model.")] = None,
    trace: Annotated[
        str | None, typer.Option(help="A .csv file with SNRs; a row is one fading block; for power-control.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a study, or go on where it was stopped."""
    chosen_fields = {"data": data, "cloud_url": cloud_url, "cloud_model": cloud_model, "trace": trace}
    changes = {field: value for field, value in chosen_fields.items() if value is not None}
    given = [name for name, is_given in (("--quick", quick), ("--full", full), ("--config", config)) if is_given]
    if len(given) > 1:
        raise ConfigError(f"preset: {' and '.join(given)} exclude each other; give one of them")
    preset = config or ("quick" if quick else "full" if full else "default")
    from gainnet.studies import make_engine, run_study

    chosen = make_engine(engine, num_workers)
    with progress(name) as tell:
        result = run_study(name, preset, out, tell, resume=not fresh, engine=chosen, changes=changes)
    for warning in result.warnings:
        typer.echo(f"warning: {warning}", err=True)
    if as_json:
        return print_json(result.to_json())
    rows = [{"metric": key, "value": value} for key, value in result.metrics.items()]
    print_table(f"{name}: {result.table_path}", ("metric", "value"), rows)
    return None


@app.command("figures")
def study_figures(run: Path) -> None:
    """Draw the figures of a finished run again, from its table alone."""
    from gainnet.studies import draw_figures

    for path in draw_figures(run):
        typer.echo(path)


@app.command("check")
def study_check(
    run: Path,
    rows: Annotated[int, typer.Option(min=1, help="How many; each method has one before any has two.")] = 20,
    methods: Annotated[str | None, typer.Option(help="Draw among these, separated by commas.")] = None,
    random_seed: Annotated[int, typer.Option(min=0, help="Of the draw.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Compute drawn rows of a finished run again, and compare the printed digits."""
    from gainnet.studies import check_run

    with progress("check") as tell:
        found = check_run(run, rows, methods.split(",") if methods else (), random_seed, tell)
    columns = ("method", "case", "num_columns", "differing", "largest", "wall_s")
    print_json(found.to_json()) if as_json else print_table(f"{run}", columns, found.to_json()["rows"])
    counts = f"{found.num_equal} of {len(found.rows)} rows are the same to the last printed digit"
    typer.echo(f"{counts}; no row of {', '.join(found.left_out)}" if found.left_out else counts, err=as_json)
    if not found.reproduces:
        raise typer.Exit(1)


@app.command("compare")
def study_compare(a: Path, b: Path, as_json: AsJson = False) -> None:
    """Show the metrics of two runs side by side."""
    from gainnet.studies import compare

    compared = compare(a, b)
    print_json(compared.to_json()) if as_json else print_table(
        f"{a} · {b}", ("metric", "a", "b", "b - a"), compared.rows()
    )
