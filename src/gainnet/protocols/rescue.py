"""Fallbacks after the death of a node: the plan with the least left to compute, given the tensors that arrived."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from gainnet.core.errors import NodeFailedError
from gainnet.core.types import NodeId
from gainnet.protocols.plan import Arrived, Compute, Plan
from gainnet.protocols.task import IMAGE, Task

Alternatives = Callable[[Sequence[NodeId], Arrived], Iterable[Plan]]
"""Plans that lead to the result with the given edges alone, as far as there are any."""


def resilient(
    plan: Plan, task: Task, edges: Sequence[NodeId], alternatives: Alternatives = lambda edges, arrived: ()
) -> Plan:
    """The plan with a fallback for any number of deaths.

    Of the plans that the surviving edges can still run, the one with the least left to compute is run; every tensor
    that is still somewhere is reused where a plan needs it. Only when no edge leads to the result, the device goes on
    alone, from the furthest latent that it has.

    Args:
        plan: runs while all nodes live.
        task: its parts, for the device alone.
        edges: that take part.
        alternatives: whole plans; steps whose outcome is there are left out of them.
    """

    def fallback(arrived: Arrived) -> Plan:
        if not any(node == IMAGE[0] for node, _ in arrived):
            raise NodeFailedError("the device died, and with it the consumer of the picture; nothing can replace it")
        # An edge that holds nothing yet is left out: it can add nothing that the others cannot.
        alive = [edge for edge in edges if any(node == edge for node, _ in arrived)]
        remaining = (other.remaining(arrived) for other in alternatives(alive, arrived))
        possible = [other for other in remaining if is_possible(other, arrived)]
        # Ties go to the first edge, so that all nodes derive the same fallback without talking to each other.
        best = min(possible, key=passes_left, default=Plan(task.whole(IMAGE[0], arrived), IMAGE).remaining(arrived))
        # The fallback of a fallback is this function again, since the next node may die in the middle of it.
        return replace(best, fallback=fallback)

    return replace(plan, fallback=fallback)


def is_possible(plan: Plan, arrived: Arrived) -> bool:
    """Whether every step finds what it needs."""
    there = set(arrived)
    for step in plan.steps:
        if not there.issuperset(step.needs):
            return False
        there |= set(step.makes)
    return plan.result in there


def passes_left(plan: Plan) -> float:
    """Passes of all networks per item, which is what takes the time.

    >>> passes_left(Plan((), IMAGE))
    0.0
    """
    # Decoders and text encoders count, too; crops and merges cost nothing, and a prior only draws noise.
    parts = (step.part for step in plan.steps if isinstance(step, Compute))
    return float(sum(part.num_passes for part in parts if part.role not in ("other", "prior")))
