"""Questions about mobile edge generation, answered by tables and figures that resume, redraw and compare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from gainnet.core.errors import ConfigError
from gainnet.core.plugins import find
from gainnet.studies.air import AIR
from gainnet.studies.comparison import Comparison, compare
from gainnet.studies.engine import Engine, make_engine
from gainnet.studies.gairom import GAIROM
from gainnet.studies.gairom_learning import GAIROM_LEARNING
from gainnet.studies.gairom_robustness import GAIROM_ROBUSTNESS
from gainnet.studies.gairom_scale import GAIROM_SCALE
from gainnet.studies.hand_over import HAND_OVER
from gainnet.studies.image_quality import IMAGE_QUALITY
from gainnet.studies.image_quality.conditions import IMAGE_QUALITY_AIR
from gainnet.studies.knowledge_loop import KNOWLEDGE_LOOP
from gainnet.studies.learning_cost import LEARNING_COST
from gainnet.studies.medical_summaries import MEDICAL_SUMMARIES
from gainnet.studies.multi_edge import MULTI_EDGE
from gainnet.studies.power_control import POWER_CONTROL
from gainnet.studies.presets import PRESETS, as_json, load_config
from gainnet.studies.prompt_fidelity import PROMPT_FIDELITY
from gainnet.studies.protocols import PROTOCOLS_STUDY
from gainnet.studies.results import RunFolder
from gainnet.studies.runner import DEFAULT_OUT, HERE, Progress, StudyResult, silent
from gainnet.studies.runner import draw_figures as _draw
from gainnet.studies.runner import run_study as _run
from gainnet.studies.seed_coding import SEED_CODING
from gainnet.studies.sketch import SKETCH
from gainnet.studies.study import Case, Method, Study
from gainnet.studies.trust import TRUST

AnyStudy = Study[Any]
STUDIES: dict[str, AnyStudy] = {
    study.name: study
    for study in (
        AIR,
        GAIROM,
        GAIROM_LEARNING,
        GAIROM_ROBUSTNESS,
        GAIROM_SCALE,
        HAND_OVER,
        IMAGE_QUALITY,
        IMAGE_QUALITY_AIR,
        KNOWLEDGE_LOOP,
        LEARNING_COST,
        MEDICAL_SUMMARIES,
        MULTI_EDGE,
        POWER_CONTROL,
        PROMPT_FIDELITY,
        PROTOCOLS_STUDY,
        SEED_CODING,
        SKETCH,
        TRUST,
    )
}

__all__ = [
    "PRESETS",
    "STUDIES",
    "Case",
    "Comparison",
    "Engine",
    "Method",
    "Progress",
    "Study",
    "StudyCard",
    "StudyResult",
    "compare",
    "draw_figures",
    "find_study",
    "list_studies",
    "make_engine",
    "run_study",
    "show_study",
]


@final
@dataclass(frozen=True)
class StudyCard:
    """What one wants to know before running a study.

    Args:
        name: as on the command line.
        question: what it finds out.
        methods: names of all methods.
        presets: settings by preset.
        num_cases: rows of the table by preset.
        metrics: names of all metrics.
    """

    name: str
    question: str
    methods: tuple[str, ...]
    presets: Mapping[str, Mapping[str, Any]]
    num_cases: Mapping[str, int]
    metrics: tuple[str, ...]


def list_studies() -> tuple[AnyStudy, ...]:
    """All shipped studies, by name."""
    return tuple(STUDIES[name] for name in sorted(STUDIES))


def find_study(name: str) -> AnyStudy:
    """A shipped study by name, or somebody's own by `module:STUDY`.

    Raises:
        ConfigError: there is none.
    """
    study = find("study", name, STUDIES)
    if not isinstance(study, Study):
        raise ConfigError(f"study: {name!r} is not a Study")
    return study


def show_study(name: str) -> StudyCard:
    """Question, methods, presets and metrics of a study.

    Raises:
        ConfigError: no such study.
    """
    study = find_study(name)
    configs = {preset: load_config(study, preset) for preset in PRESETS}
    presets = {preset: as_json(config) for preset, config in configs.items()}
    num_cases = {preset: sum(1 for _ in study.cases(config)) for preset, config in configs.items()}
    return StudyCard(study.name, study.question, study.methods, presets, num_cases, study.metric_names)


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


def draw_figures(folder: Path) -> tuple[Path, ...]:
    """Draws the figures of a finished run again, from its table alone.

    Raises:
        ConfigError: the folder holds no finished run of a known study, or it is damaged.
    """
    run = RunFolder(folder).read_run()
    if not run:
        raise ConfigError(f"run: {folder} holds no run.json; give the folder of a finished study")
    return _draw(find_study(str(run["source"])), folder)
