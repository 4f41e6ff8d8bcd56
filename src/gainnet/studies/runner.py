"""Runs a study into its folder, goes on where it was stopped, draws and compares runs."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, final

from gainnet.catalog import table_of
from gainnet.core.errors import ConfigError, GainnetError
from gainnet.core.files import check_writable, hold, write_whole
from gainnet.core.page import embed_picture
from gainnet.core.run.journal import Journal, journal
from gainnet.core.run.loop import silent
from gainnet.studies.drawing import USUAL, Look, draw_and_save
from gainnet.studies.engine import Engine, Evaluate, OneByOne
from gainnet.studies.own import own
from gainnet.studies.page import page
from gainnet.studies.presets import as_json, load_config
from gainnet.studies.results import (
    SCHEMA_VERSION,
    TABLE_SHA256,
    RunFolder,
    commit,
    config_hash,
    damage_error,
    folder_of,
    versions,
)
from gainnet.studies.study import C, Case, Row, Study, round_digits

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_OUT = Path("out/studies")
MOST_SHOWN = 10
"""Metrics of a result in a terminal; some studies have hundreds."""
HERE = OneByOne()


class Progress(Protocol):
    """A display of how far a study is."""

    def __call__(self, num_finished: int, num_cases: int, label: str, /) -> None: ...


@final
@dataclass(frozen=True)
class StudyResult:
    """The result of a finished run.

    Args:
        study: name of the study.
        folder: `<out>/<study>/<config hash>`.
        table_path: table.csv in it.
        metrics: every metric of the study; `None` where this run did not compute it.
        figure_paths: what was drawn.
        wall_s: measured seconds of all its cases, over all attempts.
        warnings: what has to be said wherever the numbers are shown.
    """

    study: str
    folder: Path
    table_path: Path
    metrics: Mapping[str, float | None]
    figure_paths: tuple[Path, ...]
    wall_s: float
    warnings: tuple[str, ...] = ()

    @property
    def page_path(self) -> Path:
        """The page of the run, which published runs do without."""
        return self.folder / "report.html"

    def __repr__(self) -> str:
        known = {name: value for name, value in self.metrics.items() if value is not None}
        lines = [f"StudyResult of {self.study}: {len(known)} of {len(self.metrics)} metrics, {self.wall_s:.3g} s"]
        shown = [f"  {name}: {value:.6g}" for name, value in list(known.items())[:MOST_SHOWN]]
        more = [f"  and {len(known) - MOST_SHOWN} more in .metrics"] if len(known) > MOST_SHOWN else []
        return "\n".join([*lines, *shown, *more, f"  see {self.page_path}"])

    def _repr_html_(self) -> str:
        pictures = (path for path in self.figure_paths if path.suffix == ".png")
        figures = "".join(embed_picture(path.stem.replace("_", " "), path.read_bytes()) for path in pictures)
        return f"<pre>{escape(repr(self))}</pre>{figures}"

    def to_json(self) -> dict[str, Any]:
        """{"study", "table", "metrics"}, and "warnings" if any: the object that `gainnet study run --json` prints."""
        found = {"study": self.study, "table": str(self.table_path), "metrics": dict(self.metrics)}
        return found | ({"warnings": list(self.warnings)} if self.warnings else {})


def run_study(
    study: Study[C],
    preset: str | Path = "default",
    out: Path = DEFAULT_OUT,
    progress: Progress = silent,
    resume: bool = True,
    source: str | None = None,
    engine: Engine = HERE,
    changes: Mapping[str, Any] | None = None,
) -> StudyResult:
    """The study's table, metrics and figures; cases that an earlier attempt finished are not run again.

    Args:
        study: what to run.
        preset: default, quick, full, or a TOML file of settings that differ from the default.
        out: folder of all runs.
        progress: called after every case.
        resume: `False` throws away what an earlier attempt at this very configuration found.
        source: name that finds the study again when figures are redrawn; its own name if `None`.
        engine: where the cases run; it changes nothing in the table.
        changes: fields of the settings that differ from the preset.

    Raises:
        ConfigError: the settings are wrong, the folder cannot be written, what it holds is damaged, or it was begun
            with another commit or other packages.
        MissingExtraError: a library that the methods need is not installed; nothing is written then.
    """
    config = load_config(study, preset, changes)
    # Preset and source are not among what decides: a preset that is renamed goes on where it was.
    decides = {"schema_version": SCHEMA_VERSION, "study": study.name, "config": as_json(config)}
    decides |= {"identity": dict(study.identity(config))}
    folder = RunFolder(folder_of(out / study.name / config_hash(decides)))
    check_writable(folder.path)
    run = folder.read_run() if resume else {}
    if run.get("complete"):
        with _trusting(folder):
            return _result(study, folder, run)
    decides |= {"preset": str(preset), "source": source or study.name}
    return _result(study, folder, _complete(study, config, folder, decides, progress, resume, engine))


def describe_run(path: Path) -> StudyResult:
    """The result of a finished run as it lies there: nothing is run, drawn or written.

    Args:
        path: folder of the run.

    Raises:
        ConfigError: it holds no finished run, or is damaged.
    """
    folder = RunFolder(folder_of(path))
    run = folder.read_run()
    if not run.get("complete"):
        raise ConfigError(f"run: {path} holds no finished run; finish it with gainnet study run")
    figures = tuple(sorted(folder.figures_path.glob("*.*")))
    warnings = tuple(run.get("warnings", ()))
    return StudyResult(run["study"], folder.path, folder.table_path, run["metrics"], figures, run["wall_s"], warnings)


def draw_figures(study: Study[C], path: Path, look: Look = USUAL, out: Path | None = None) -> tuple[Path, ...]:
    """Draws the figures of a finished run again, from its table alone.

    Args:
        study: of the run.
        path: folder of the run.
        look: style and formats.
        out: folder for the figures; that of the run if `None`.

    Raises:
        ConfigError: the folder holds no finished run, its table is damaged, or the style is none.
    """
    folder = RunFolder(folder_of(path))
    with _trusting(folder):
        return draw_and_save(study, folder.read_table(), out or folder.figures_path, look)


def summarise(study: Study[C], table: pd.DataFrame) -> dict[str, float | None]:
    """Every metric of the study, `None` for those that the table does not hold; then those of methods of the user's.

    Raises:
        KeyError: the study summarises a metric that it does not name.
    """
    found = dict(study.summarise(table))
    further = [name for name in found if name not in study.metric_names]
    names = own([str(name) for name in table["method"].unique()], study.methods)
    if "fading" in table:
        names += own([str(name) for name in table["fading"].dropna().unique()], table_of("fading"))
    # A text of the user's stands in the names of its metrics; ours have neither colons nor brackets.
    if unknown := [name for name in further if not (set(name) & set(":(") or any(each in name for each in names))]:
        raise KeyError(f"{study.name} does not name the metric {sorted(unknown)[0]}")
    return {name: _finite(found.get(name)) for name in (*study.metric_names, *further)}


@contextmanager
def _trusting(folder: RunFolder) -> Iterator[None]:
    """Reads a table of an earlier day, which may lack a column or hold text in the place of numbers."""
    try:
        yield
    except GainnetError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise damage_error(folder.table_path, why) from error


def _result(study: Study[C], folder: RunFolder, run: Mapping[str, Any]) -> StudyResult:
    folder.journal_path.unlink(missing_ok=True)
    table = folder.read_table()
    metrics, figures = summarise(study, table), draw_and_save(study, table, folder.figures_path)
    html = page(study.name, study.question, {**run, "metrics": metrics}, len(table), folder.path, figures)
    write_whole(folder.path / "report.html", html.encode())
    return StudyResult(
        study.name, folder.path, folder.table_path, metrics, figures, run["wall_s"], tuple(run.get("warnings", ()))
    )


def _complete(
    study: Study[C],
    config: C,
    folder: RunFolder,
    decides: dict[str, Any],
    progress: Progress,
    resume: bool,
    engine: Engine,
) -> dict[str, Any]:
    """Runs what is missing, then writes table.csv and, last, a run.json that says complete."""
    cases = list(study.cases(config))
    if len({case.key for case in cases}) < len(cases):
        raise ConfigError("config: a swept value or random seed is listed twice; list each once")
    if not cases:
        raise ConfigError(f"config: these settings leave no case of {study.name}; list more methods or conditions")
    begun = _begun(study, config, decides, len(cases))
    # Opened before anything is written or thrown away: it may find out that something is missing.
    with engine.open(study, config, decides["source"]) as evaluate:
        if not resume:
            _clear(folder)
        with journal(folder.journal_path, folder.path.name) as finished:
            if finished.entries:
                _check_same_origin(folder, begun)
            folder.write_run(begun)
            _run_missing(study.name, evaluate, cases, finished, progress)
            digest = folder.write_table([{**case.columns, **finished.entries[case.key]["row"]} for case in cases])
            # From the file and not from memory, because tomorrow's redrawing has nothing else.
            metrics = summarise(study, folder.read_table())
            wall_s = math.fsum(finished.entries[case.key]["wall_s"] for case in cases)
            run = begun | {"complete": True, "wall_s": round(wall_s, 1), "metrics": metrics, TABLE_SHA256: digest}
            folder.write_run(run)
    return run


def _clear(folder: RunFolder) -> None:
    """Empties a folder that no other process holds."""
    with hold(folder.path):
        for path in folder.path.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _check_same_origin(folder: RunFolder, present: Mapping[str, Any]) -> None:
    """Other code or packages may give other numbers, and one table must not mix them."""
    was, now = ({"commit": run.get("commit"), **run.get("versions", {})} for run in (folder.read_run(), present))
    other = [f"{name} {was.get(name) or 'unknown'}" for name in {**now, **was} if was.get(name) != now.get(name)]
    if other:
        raise ConfigError(f"run: {folder.path} was begun with {', '.join(other)}; give --fresh to start over")


def _run_missing(name: str, evaluate: Evaluate, cases: list[Case], finished: Journal, progress: Progress) -> None:
    todo = [case for case in cases if case.key not in finished.entries]
    progress(len(cases) - len(todo), len(cases), name)
    for num, (case, row, wall_s) in enumerate(evaluate(todo), len(cases) - len(todo) + 1):
        finished.append(case.key, entry_of(row, wall_s))
        progress(num, len(cases), case.method)


def entry_of(row: Row, wall_s: float) -> dict[str, Any]:
    """A finished case as the journal keeps it."""
    return {"row": {name: round_digits(value) for name, value in row.items()}, "wall_s": round(wall_s, 3)}


def _begun(study: Study[C], config: C, decides: dict[str, Any], num_cases: int) -> dict[str, Any]:
    return decides | {
        "random_seeds": list(config.random_seeds),
        "num_cases": num_cases,
        "warnings": list(study.warnings(config)),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "versions": versions(),
        "complete": False,
    }


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
