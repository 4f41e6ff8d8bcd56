"""Study medical-summaries: does a cloud conclude better with what an edge-end model of the field tells it?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gainnet.studies.medical_summaries.drawing import draw
from gainnet.studies.medical_summaries.question import (
    METHODS,
    METRIC_NAMES,
    MedicalSummariesConfig,
    cases,
    warnings_of,
)
from gainnet.studies.medical_summaries.summary import summarise
from gainnet.studies.presets import CATALOG
from gainnet.studies.study import Method, Study

__all__ = ["MEDICAL_SUMMARIES"]


def _open(config: MedicalSummariesConfig) -> Mapping[str, Method]:
    from gainnet.studies.medical_summaries.methods import open_methods

    return open_methods(config)


def _identity(config: MedicalSummariesConfig) -> Mapping[str, str]:
    from gainnet.studies.medical_summaries.material import identity

    return identity(config)


MEDICAL_SUMMARIES: Study[Any] = Study(
    name="medical-summaries",
    question="Does a cloud conclude better from a trial with labels, or labels and text, of an edge-end model?",
    catalog=CATALOG,
    config=MedicalSummariesConfig,
    methods=METHODS,
    metric_names=METRIC_NAMES,
    cases=cases,
    open=_open,
    identity=_identity,
    summarise=summarise,
    draw=draw,
    warnings=warnings_of,
)
