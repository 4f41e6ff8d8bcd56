"""Study serving: pictures per second of a processor, and when they come, against a pipeline behind a lock."""

from __future__ import annotations

from gainnet.studies.serving.drawing import draw
from gainnet.studies.serving.methods import identity, open_methods
from gainnet.studies.serving.question import METHODS, METRIC_NAMES, ServingConfig, cases
from gainnet.studies.serving.summary import summarise
from gainnet.studies.study import Study

__all__ = ["SERVING"]

SERVING = Study("serving", ServingConfig, METHODS, METRIC_NAMES, cases, open_methods, identity, summarise, draw)
