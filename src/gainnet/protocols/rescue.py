"""What is left to run when a node died: the way with the least to compute, given what arrived."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from gainnet.core.errors import NodeFailedError
from gainnet.core.types import NodeId
from gainnet.protocols.plan import Arrived, Compute, Plan
from gainnet.protocols.task import IMAGE, Task

Ways = Callable[[Sequence[NodeId], Arrived], Iterable[Plan]]
"""Plans that lead to the result with these edges alone; none when there are none."""


def resilient(plan: Plan, task: Task, edges: Sequence[NodeId], ways: Ways = lambda edges, arrived: ()) -> Plan:
    """The plan with a fallback for as many deaths as happen.

    Of the ways that the surviving edges have, the one runs that has the least left to compute; every tensor that is
    still somewhere is used where a way has a use for it. Only when no edge leads to the result, the device goes on
    alone, from the furthest latent that it has.

    Args:
        plan: what runs while everybody lives.
        task: its parts, for the device alone.
        edges: that take part.
        ways: whole plans; steps whose outcome is there are left out of them.
    """

    def fallback(arrived: Arrived) -> Plan:
        if not any(node == IMAGE[0] for node, _ in arrived):
            raise NodeFailedError("the device died, and with it the consumer of the picture; nothing can replace it")
        alive = [edge for edge in edges if any(node == edge for node, _ in arrived)]
        remaining = (way.remaining(arrived) for way in ways(alive, arrived))
        possible = [way for way in remaining if is_possible(way, arrived)]
        best = min(possible, key=passes_left, default=Plan(task.whole(IMAGE[0], arrived), IMAGE).remaining(arrived))
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
    parts = (step.part for step in plan.steps if isinstance(step, Compute))
    return float(sum(part.num_passes for part in parts if part.role not in ("other", "prior")))
