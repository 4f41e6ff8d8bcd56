"""Studies: `study list | show | run | figures | check | compare | export`."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from itertools import accumulate
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any, Final

import typer

from gainnet.cli.options import command
from gainnet.cli.printing import print_json, print_table, progress
from gainnet.core.errors import ConfigError

if TYPE_CHECKING:
    from gainnet.studies import StudyCard, StudyResult


_LINE: Final = 80
"""Letters of a line, as of a terminal."""


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
def show(name: str, *, as_json: bool = False) -> None:
    """Show the question, methods and metrics of a study, or the result of a finished run.

    Args:
        name: of the study, or folder of a run.
        as_json: one JSON object on standard output, nothing else.

    Example:
        gainnet study show image-quality
    """
    from gainnet.studies import describe_run, show_study

    if (Path(name) / "run.json").is_file():
        found = describe_run(Path(name))
        return print_json(found.to_json()) if as_json else _print_result(found)
    card = show_study(name)
    return print_json(asdict(card)) if as_json else _print_card(card)


def _print_card(card: StudyCard) -> None:
    """The question first, then what can be changed; the names of hundreds of metrics by what they begin with."""
    presets = ", ".join(f"{preset} ({num:,} rows)" for preset, num in card.num_cases.items())
    beginnings = Counter(name.partition(".")[0] for name in card.metrics)
    metrics = ", ".join(f"{name} ({num})" if num > 1 else name for name, num in beginnings.items())
    for head, text in (
        (card.name, card.question), ("presets", presets), ("methods", ", ".join(card.methods)),
        (f"{len(card.metrics)} metrics", metrics),
    ):  # fmt: skip
        typer.echo(fill(f"{head}: {text}", _LINE, subsequent_indent="  ", break_long_words=False))
    settings = [
        {"setting": key, **{preset: _shorten(values[key]) for preset, values in card.presets.items()}}
        for key in card.presets["default"]
    ]
    print_table("Settings; change some in a TOML file: --config", ("setting", *card.presets), settings)
    typer.echo(f"Run it: gainnet study run {card.name} --quick\nAll names: gainnet study show {card.name} --json")


def _shorten(value: object, most: int = 30) -> str:
    """A setting in a cell; of a long list the first entries and how many there are."""
    if not isinstance(value, list | tuple):
        text = str(value)
        return text if len(text) <= most else f"{text[: most - 4]} ..."
    texts = [str(each) for each in value]
    ends = list(accumulate(len(text) + 2 for text in texts))
    num = max(1, sum(end <= most for end in ends))
    shown = ", ".join(text if len(text) <= most else f"{text[: most - 4]} ..." for text in texts[:num])
    return shown if num >= len(texts) else f"{shown}, ... ({len(texts)})"


def _folded(name: str, most: int = 34) -> str:
    """The name of a metric on lines that break at its dots, where a table of 80 columns would break it anywhere."""
    lines = [""]
    for part in name.replace(".", ".\n").splitlines():
        lines[-1:] = [lines[-1] + part] if len(lines[-1] + part) <= most else [lines[-1], part]
    return "\n".join(line for line in lines if line)


def _print_result(result: StudyResult) -> None:
    """Metrics with a value, each with its interval; paths on lines of their own, so that no line breaks in one."""
    from gainnet.studies import measured

    found = measured(result.metrics)
    rows = [{"metric": _folded(one.name, 52), "value": one.text} for one in found.values()]
    print_table(f"{result.study}: {len(rows)} metric{'s' * (len(rows) != 1)}", ("metric", "value"), rows)
    missing = sum(value is None for value in result.metrics.values())
    if missing:
        others = "1 other metric" if missing == 1 else f"{missing} other metrics"
        typer.echo(f"These settings compute no value of {others}.")
    pictures = [path for path in result.figure_paths if path.suffix == ".png"]
    for head, paths in (("table", [result.table_path]), ("figures", pictures), ("page", [result.page_path])):
        if paths and (known := [path for path in paths if path.is_file()]):
            typer.echo("\n".join([f"{head}:", *(f"  {path}" for path in known)]))


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
    return _print_result(result)


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
    if as_json:
        print_json(found.to_json())
    else:
        print_table(f"{run}", columns, [_readable(row) for row in found.to_json()["rows"]])
    counts = f"{found.num_equal} of {len(found.rows)} rows are the same to the last printed digit"
    typer.echo(f"{counts}; no row of {', '.join(found.left_out)}" if found.left_out else counts, err=as_json)
    if not found.reproduces:
        raise typer.Exit(1)


def _readable(row: dict[str, Any]) -> dict[str, Any]:
    """A checked row for people: the swept values without the method, which has a column, and no empty brackets."""
    swept = {key: value for key, value in json.loads(row["case"]).items() if key != "method"}
    case = ", ".join(f"{key}={value}" for key, value in swept.items())
    return {**row, "case": case, "differing": ", ".join(row["differing"]) or None}


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
    if as_json:
        return print_json(compared.to_json())
    typer.echo(f"{compared.study}\n  A: {a}\n  B: {b}")
    settings = [
        {"setting": _folded(key), "A": _shorten(pair[0], 22), "B": _shorten(pair[1], 22)}
        for key, pair in compared.settings.items()
    ]
    if settings:
        print_table("What differs between the runs", ("setting", "A", "B"), settings)
    rows = [one.row() | {"metric": _folded(one.name)} for one in compared.differences()]
    print_table("Metrics", ("metric", "A", "B", "B - A"), rows)
    pairs = [pair for pair in compared.metrics.values() if pair != (None, None)]
    typer.echo(f"{sum(a == b for a, b in pairs)} of {len(pairs)} metrics are equal.")
    if any(one.half_width for one in compared.differences()):
        typer.echo("±: half of a 95 % interval; of differences as if the runs were independent.")
    return None


@command("export")
def export(run: Path, *, out: Path, format: tuple[str, ...] = (), as_json: bool = False) -> None:
    """Write rows and metrics of a finished run as CSV or Parquet, with types and units.

    Args:
        run: folder of the run.
        out: folder for the files.
        format: csv or parquet; both for both; csv when left out.
        as_json: one JSON object on standard output, nothing else.

    Example:
        gainnet study export results/sketch/HASH --out data
    """
    from gainnet.studies import export_run

    paths = export_run(run, out, format or ("csv",))
    print_json({"files": [str(path) for path in paths]}) if as_json else typer.echo("\n".join(map(str, paths)))


commands = (listing, show, run, figures, check, compare, export)
