"""Edge and device make pictures together: `generate`, `estimate` and `advise`, all with objects as arguments.

One generation is here, from its plan to its page. Nothing here takes a name: the catalog turns names into objects.
"""

from gainnet.generation.advice import Trial, advise
from gainnet.generation.baseline import Baseline
from gainnet.generation.cell import Cell
from gainnet.generation.generate import Generation, Picture, estimate, generate
from gainnet.generation.labels import Labels
from gainnet.generation.planning import Planned, make_plan
from gainnet.generation.quality import Quality
from gainnet.generation.save import save

__all__ = [
    "Baseline",
    "Cell",
    "Generation",
    "Labels",
    "Picture",
    "Planned",
    "Quality",
    "Trial",
    "advise",
    "estimate",
    "generate",
    "make_plan",
    "save",
]
