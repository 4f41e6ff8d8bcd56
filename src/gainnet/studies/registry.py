"""The shipped studies by name, and what one wants to know about one before it runs."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, final

from gainnet.core.errors import ConfigError, GainnetError
from gainnet.core.plugins import find
from gainnet.studies.presets import PRESETS, as_json, load_config
from gainnet.studies.study import CATALOG, Study, question_of

AnyStudy = Study[Any]

# Names of modules, not objects: a study is imported when it is asked for, so its own module imports at the top what
# it needs, and `gainnet study run air` does not load the libraries of the other seventeen.
STUDIES: Mapping[str, str] = {
    "air": "gainnet.studies.air:AIR",
    "decision": "gainnet.studies.decision:DECISION_STUDY",
    "draw-together": "gainnet.studies.draw_together:DRAW_TOGETHER",
    "emoji-fidelity": "gainnet.studies.emoji_fidelity:EMOJI_FIDELITY",
    "families": "gainnet.studies.families:FAMILIES_STUDY",
    "few-steps": "gainnet.studies.few_steps:FEW_STEPS",
    "frontier": "gainnet.studies.frontier:FRONTIER",
    "gain-models": "gainnet.studies.gain_models:GAIN_MODELS",
    "gairom": "gainnet.studies.gairom:GAIROM",
    "gairom-learning": "gainnet.studies.gairom_learning:GAIROM_LEARNING",
    "gairom-regimes": "gainnet.studies.gairom_regimes:GAIROM_REGIMES",
    "gairom-robustness": "gainnet.studies.gairom_robustness:GAIROM_ROBUSTNESS",
    "gairom-scale": "gainnet.studies.gairom_scale:GAIROM_SCALE",
    "hand-over": "gainnet.studies.hand_over:HAND_OVER",
    "image-quality": "gainnet.studies.image_quality:IMAGE_QUALITY",
    "image-quality-air": "gainnet.studies.image_quality.conditions:IMAGE_QUALITY_AIR",
    "joint": "gainnet.studies.joint:JOINT",
    "knowledge-loop": "gainnet.studies.knowledge_loop:KNOWLEDGE_LOOP",
    "language-families": "gainnet.studies.language_families:LANGUAGE_FAMILIES_STUDY",
    "learning-cost": "gainnet.studies.learning_cost:LEARNING_COST",
    "learning-faults": "gainnet.studies.learning_faults:LEARNING_FAULTS",
    "medical-summaries": "gainnet.studies.medical_summaries:MEDICAL_SUMMARIES",
    "multi-edge": "gainnet.studies.multi_edge:MULTI_EDGE",
    "photographs": "gainnet.studies.photographs:PHOTOGRAPHS",
    "power-control": "gainnet.studies.power_control:POWER_CONTROL",
    "prompt-fidelity": "gainnet.studies.prompt_fidelity:PROMPT_FIDELITY",
    "protocols": "gainnet.studies.protocols:PROTOCOLS_STUDY",
    "seed-coding": "gainnet.studies.seed_coding:SEED_CODING",
    "seed-coding-emoji": "gainnet.studies.seed_coding_emoji:SEED_CODING_EMOJI",
    "serving": "gainnet.studies.serving:SERVING",
    "serving-faults": "gainnet.studies.serving_faults:SERVING_FAULTS",
    "sketch": "gainnet.studies.sketch:SKETCH",
    "through-channel": "gainnet.studies.through_channel:THROUGH_CHANNEL",
    "trust": "gainnet.studies.trust:TRUST",
}


@final
@dataclass(frozen=True)
class StudyCard:
    """Description of a study, without running it.

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
    return tuple(find_study(name) for name in sorted(STUDIES))


def list_questions() -> dict[str, str]:
    """The question of every shipped study, by name, then of those that installed packages offer.

    A package offers a study in the entry-point group `gainnet.study`; no shipped study is imported here.

    >>> list_questions()["multi-edge"]
    'What do one to four edges buy in time, and what does sharing a generation do to the picture?'
    """
    shipped = {name: question_of(CATALOG / f"{name}.toml") for name in sorted(STUDIES)}
    offered = sorted({each.name for each in entry_points(group="gainnet.study")} - set(STUDIES))
    return shipped | {name: _question(name) for name in offered}


def _question(name: str) -> str:
    # One package that does not open must not hide all others.
    try:
        return find_study(name).question
    except (GainnetError, OSError) as error:
        return f"cannot be opened ({error})"


def find_study(name: str) -> AnyStudy:
    """A shipped study by name, or a study of the user's by `module:STUDY`.

    Raises:
        ConfigError: there is none.

    >>> find_study("seed-codin")
    Traceback (most recent call last):
    gainnet.core.errors.ConfigError: study: 'seed-codin' is unknown; did you mean seed-coding? ...
    """
    if name in STUDIES:
        module, _, attribute = STUDIES[name].partition(":")
        study = getattr(importlib.import_module(module), attribute)
    else:
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
