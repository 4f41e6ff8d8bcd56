"""Edge and device make pictures together: `generate`, `estimate` and `advise`, all with objects as arguments.

What lives here: one generation from plan to page. What may not: names of things, which the catalog turns into objects.
"""

from gainnet.generation.advice import Trial, advise
from gainnet.generation.baseline import Baseline
from gainnet.generation.cell import Cell
from gainnet.generation.generate import Generation, Picture, estimate, generate, price, run
from gainnet.generation.labels import Labels
from gainnet.generation.planning import Job, Planned, planned
from gainnet.generation.quality import Quality
from gainnet.generation.save import save

__all__ = [
    "Baseline",
    "Cell",
    "Generation",
    "Job",
    "Labels",
    "Picture",
    "Planned",
    "Quality",
    "Trial",
    "advise",
    "estimate",
    "generate",
    "planned",
    "price",
    "run",
    "save",
]
