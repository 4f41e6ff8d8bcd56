"""Study learning-faults: what is lost, or different, when devices, edges and cloud die while they learn."""

from __future__ import annotations

from gainnet.studies.learning_faults.drawing import draw
from gainnet.studies.learning_faults.methods import identity, open_methods
from gainnet.studies.learning_faults.question import METHODS, METRIC_NAMES, LearningFaultsConfig, cases
from gainnet.studies.learning_faults.summary import summarise
from gainnet.studies.study import Study

__all__ = ["LEARNING_FAULTS"]

LEARNING_FAULTS = Study(
    "learning-faults", LearningFaultsConfig, METHODS, METRIC_NAMES, cases, open_methods, identity, summarise, draw
)
