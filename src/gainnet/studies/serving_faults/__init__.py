"""Study serving-faults: what is lost, or different, when processes of a cell are killed or sent what is no frame."""

from __future__ import annotations

from gainnet.studies.serving_faults.drawing import draw
from gainnet.studies.serving_faults.methods import identity, open_methods
from gainnet.studies.serving_faults.question import METHODS, METRIC_NAMES, FaultsConfig, cases
from gainnet.studies.serving_faults.summary import summarise
from gainnet.studies.study import Study

__all__ = ["SERVING_FAULTS"]

SERVING_FAULTS = Study(
    "serving-faults", FaultsConfig, METHODS, METRIC_NAMES, cases, open_methods, identity, summarise, draw
)
