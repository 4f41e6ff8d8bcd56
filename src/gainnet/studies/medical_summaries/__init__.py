"""Study medical-summaries: does a cloud conclude better with what an edge-end model of the field tells it?"""

from __future__ import annotations

from typing import Any

from gainnet.studies.medical_summaries.drawing import draw
from gainnet.studies.medical_summaries.material import identity
from gainnet.studies.medical_summaries.methods import open_methods
from gainnet.studies.medical_summaries.question import (
    METHODS,
    METRIC_NAMES,
    SummariesConfig,
    cases,
    warnings,
)
from gainnet.studies.medical_summaries.summary import summarise
from gainnet.studies.study import Study

MEDICAL_SUMMARIES: Study[Any] = Study(
    "medical-summaries",
    SummariesConfig,
    METHODS,
    METRIC_NAMES,
    cases,
    open_methods,
    identity,
    summarise,
    draw,
    warnings,
)
