"""Studies: questions answered by tables and figures that resume, redraw and compare.

Here: the framework that runs a study (`study`, `presets`, `runner`, `engine`, `results`, `comparison`), what several
studies share (`figures`, `statistics`), and one file or folder per study, imported by name when it is asked for.
Not here: anything that a user of the library calls to generate, to learn or to orchestrate.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gainnet.core.errors import ConfigError, unknown_name
from gainnet.core.run.loop import silent
from gainnet.studies.check import RowCheck, RunCheck, check_run
from gainnet.studies.comparison import Comparison, compare
from gainnet.studies.drawing import USUAL, Look
from gainnet.studies.engine import Engine, OneByOne
from gainnet.studies.export import export_run
from gainnet.studies.measured import Difference, Measured, measured
from gainnet.studies.presets import PRESETS
from gainnet.studies.ray_engine import RayEngine
from gainnet.studies.registry import STUDIES, StudyCard, find_study, list_questions, list_studies, show_study
from gainnet.studies.results import RunFolder, folder_of
from gainnet.studies.runner import DEFAULT_OUT, HERE, Progress, StudyResult, describe_run
from gainnet.studies.runner import draw_figures as _draw
from gainnet.studies.runner import run_study as _run
from gainnet.studies.study import Case, Method, Study

ENGINES = ("process", "ray")

__all__ = [
    "ENGINES",
    "PRESETS",
    "STUDIES",
    "Case",
    "Comparison",
    "Difference",
    "Engine",
    "Look",
    "Measured",
    "Method",
    "Progress",
    "RowCheck",
    "RunCheck",
    "Study",
    "StudyCard",
    "StudyResult",
    "check_run",
    "compare",
    "describe_run",
    "draw_figures",
    "export_run",
    "find_study",
    "list_questions",
    "list_studies",
    "make_engine",
    "measured",
    "run_study",
    "show_study",
]


def make_engine(name: str, num_workers: int | None = None) -> Engine:
    """An engine by name.

    Args:
        name: process or ray.
        num_workers: processes of ray, 2 when `None`; the engine process has one and takes none.

    Raises:
        ConfigError: an unknown name, or workers where there are none.

    >>> make_engine("process")
    OneByOne()
    """
    if name not in ENGINES:
        raise unknown_name("engine", name, ENGINES)
    if name == "ray":
        return RayEngine(2 if num_workers is None else num_workers)
    if num_workers is not None:
        raise ConfigError("num_workers: the engine process has one; leave it out or choose the engine ray")
    return OneByOne()


def run_study(
    name: str,
    preset: str | Path = "default",
    out: Path = DEFAULT_OUT,
    progress: Progress = silent,
    resume: bool = True,
    engine: Engine = HERE,
    changes: Mapping[str, Any] | None = None,
) -> StudyResult:
    """Runs a study by name, or goes on where it was stopped; see `runner.run_study`.

    Raises:
        ConfigError: no such study or preset, wrong settings, or a folder that cannot be written or gone on with.
    """
    return _run(find_study(name), preset, out, progress, resume, name, engine, changes)


def draw_figures(folder: Path, look: Look = USUAL, out: Path | None = None) -> tuple[Path, ...]:
    """Draws the figures of a finished run again, from its table alone; nothing is run.

    Args:
        folder: of the run.
        look: style and formats.
        out: folder for the figures; that of the run if `None`.

    Raises:
        ConfigError: the folder holds no finished run of a known study, it is damaged, or the style is none.
    """
    run = RunFolder(folder_of(folder)).read_run()
    if not run:
        raise ConfigError(f"run: {folder} holds no run.json; give the folder of a finished study")
    return _draw(find_study(str(run["source"])), folder, look, out)
