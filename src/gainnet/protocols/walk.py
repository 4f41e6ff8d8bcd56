"""A plan as its nodes run it: each takes the steps that are its own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeAlias, TypeVar

from gainnet.core.types import NodeId, Place
from gainnet.protocols.plan import Compute, Plan, Transfer

Failure = tuple[NodeId, int]
"""A node that is dead from this step index on, counted over the plan and its fallbacks."""

T = TypeVar("T")
"""What stands for a tensor: the tensor itself, or only its shape where a walk is followed without running it."""

Run: TypeAlias = Callable[[int, Compute, Mapping[str, T]], Mapping[str, T]]
"""Tensors by name that a part makes, from (index of the step, step, tensors that it reads by name)."""

Carry: TypeAlias = Callable[[int, Transfer, T | None], Mapping[Place, T]]
"""Tensors that a transfer brings to nodes that walk, from (index of the step, step, tensor if the source has it)."""


def walk(
    plan: Plan,
    me: Collection[NodeId],
    at: Mapping[Place, T],
    compute: Run[T],
    carry: Carry[T],
    failures: Sequence[Failure] = (),
    start: int = 0,
) -> dict[Place, T]:
    """Tensors on some nodes of a plan after they have run their steps.

    Every process of a system walks the same plan and needs no conductor:

        Compute on me       compute(...)
        Transfer from me    carry(..., tensor): encode, channel, send; `None` says that the tensor never came
        Transfer to me      carry(..., None): receive, decode
        any other step      skipped

    A simulation walks all nodes at once, and then a transfer is both from me and to me.

    Args:
        plan: the same for all nodes.
        me: nodes of this process.
        at: tensors on these nodes at the start.
        compute: runs a part; an engine may run it together with those of other plans.
        carry: moves a tensor; returns nothing where it did not come.
        failures: nodes that die before a step.
        start: index of the first step, above 0 for a fallback.
    """
    here = {place: x for place, x in at.items() if place[0] in me}
    for index, step in enumerate(plan.steps, start):
        # A step whose source is dead brings nothing to anybody, and nobody waits for it.
        dead = dead_at(failures, index)
        match step:
            case Compute(node, part) if node in me and node not in dead:
                if all(place in here for place in step.needs):
                    made = compute(index, step, {key: here[node, key] for key in part.reads})
                    here |= {(node, key): x for key, x in made.items()}
            case Transfer(source, targets) if source not in dead and not dead.issuperset(targets):
                # A tensor that never came is carried as None, so that receivers do not wait for it.
                if source in me or any(target in me for target in targets if target not in dead):
                    here |= carry(index, step, here.get((source, step.tensor)))
    return here


def dead_at(failures: Sequence[Failure], index: int) -> frozenset[NodeId]:
    """Nodes that are dead at a step.

    >>> sorted(dead_at(((NodeId("edge"), 2),), 3))
    ['edge']
    """
    return frozenset(node for node, dies_at in failures if dies_at <= index)
