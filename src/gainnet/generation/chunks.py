"""Parts that run on a few items at a time, so that the memory of their networks does not grow with the batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.core.types import Tensors
from gainnet.models.part import Part
from gainnet.models.renamed import called_by
from gainnet.protocols.plan import Compute, Plan

MOST_ITEMS: Final = 8
"""Items that a part takes at once; more are hardly faster on a processor, and each takes megabytes."""


def in_chunks(plan: Plan, watch: Callable[[str], None] = lambda label: None) -> Plan:
    """The plan, its fallbacks included, with parts that take at most `MOST_ITEMS` items at once.

    Args:
        plan: of any batch.
        watch: called with how many of more items a part has made.

    >>> in_chunks(Plan((), ("device", "image"))).steps
    ()
    """
    fallback = plan.fallback
    steps = tuple(
        replace(s, part=called_by(partial(_run, watch), s.part)) if isinstance(s, Compute) else s for s in plan.steps
    )
    if fallback is None:
        return replace(plan, steps=steps)
    return replace(plan, steps=steps, fallback=lambda arrived: in_chunks(fallback(arrived), watch))


def _run(watch: Callable[[str], None], part: Part, tensors: Tensors, random: Random) -> Tensors:
    """Output of a part for a batch, put together of those of its pieces; an item's does not depend on the others."""
    if random.num_items <= MOST_ITEMS or len(random.batch) != 1:
        return part(tensors, random)
    whole: dict[str, Tensor] = {}
    for first in range(0, random.num_items, MOST_ITEMS):
        rows = slice(first, first + MOST_ITEMS)
        seeds = random.random_seeds[rows]
        made = part({name: x[rows] for name, x in tensors.items()}, Random(seeds, (len(seeds),), random.path))
        for name in part.writes:
            # Into its place, since pieces that are joined at the end would take the memory twice.
            place = whole.setdefault(name, made[name].new_empty((random.num_items, *made[name].shape[1:])))
            place[rows] = made[name]
        watch(f"{part.name}: {min(first + MOST_ITEMS, random.num_items)} of {random.num_items} pictures")
    return whole
