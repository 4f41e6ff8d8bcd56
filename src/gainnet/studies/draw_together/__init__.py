"""Study draw-together: do phones teach the edge's model to draw in their style, without showing it a picture?"""

from gainnet.studies.draw_together.methods import identity, open_methods
from gainnet.studies.draw_together.question import METHODS, METRIC_NAMES, DrawTogetherConfig, cases
from gainnet.studies.draw_together.summary import draw, summarise
from gainnet.studies.study import Study

DRAW_TOGETHER = Study(
    "draw-together", DrawTogetherConfig, METHODS, METRIC_NAMES, cases, open_methods, identity, summarise, draw
)

__all__ = ["DRAW_TOGETHER"]
