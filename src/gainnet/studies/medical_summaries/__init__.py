"""Study medical-summaries: does a cloud conclude better with what an edge-end model of the field tells it?"""

from __future__ import annotations

from typing import Any

from gainnet.studies.medical_summaries.drawing import draw
from gainnet.studies.medical_summaries.material import identity
from gainnet.studies.medical_summaries.methods import open_methods
from gainnet.studies.medical_summaries.question import (
    METHODS,
    METRIC_NAMES,
    MedicalSummariesConfig,
    cases,
    warnings_of,
)
from gainnet.studies.medical_summaries.summary import summarise
from gainnet.studies.settings import with_air
from gainnet.studies.study import Study

MEDICAL_SUMMARIES: Study[Any] = Study(
    name="medical-summaries",
    config=MedicalSummariesConfig,
    methods=METHODS,
    metric_names=METRIC_NAMES,
    cases=cases,
    open=open_methods,
    identity=identity,
    summarise=summarise,
    draw=draw,
    warnings=warnings_of,
    current=with_air(),
)
