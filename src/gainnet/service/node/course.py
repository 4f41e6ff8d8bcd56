"""The course of a request when some nodes die, derived from the plan alone: every node comes to the same one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

from gainnet.core.report import Report
from gainnet.core.types import NodeId, Place, Spec, Usage
from gainnet.protocols.ledger import Ledger, check_memory
from gainnet.protocols.plan import Compute, Plan, Transfer
from gainnet.protocols.run import Leg, pursue
from gainnet.protocols.walk import Failure
from gainnet.service.node.order import Order

Failures = tuple[Failure, ...]
"""Nodes that are dead from a step on, in the order in which they are known."""

_FREE: Final = Usage(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


@final
@dataclass(frozen=True)
class Course:
    """Legs of a plan that are walked under given failures.

    Args:
        leg: the plan or the fallback that reaches the result.
        specs: shape of every tensor that is made until then, by place.
    """

    leg: Leg
    specs: Mapping[Place, Spec]

    def transfer(self, index: int) -> Transfer | None:
        """The transfer of that index; `None` where there is none in this leg."""
        offset = index - self.leg.start
        step = self.leg.plan.steps[offset] if 0 <= offset < len(self.leg.plan.steps) else None
        return step if isinstance(step, Transfer) else None

    def sends(self, node: NodeId) -> list[int]:
        """Indices of the transfers of a node."""
        steps = enumerate(self.leg.plan.steps, self.leg.start)
        return [index for index, step in steps if isinstance(step, Transfer) and step.source == node]


def course_of(order: Order, failures: Failures = ()) -> Course:
    """The course that every node walks under these failures.

    Raises:
        NodeFailedError: no fallback reaches the result.
    """
    ledger = Ledger(order.planned.network, order.pricing, order.random.num_items)
    leg, specs = _follow(order, failures, ledger, lambda index, step: (_FREE,) * len(step.targets))
    return Course(leg, specs)


def report_of(order: Order, failures: Failures, usages: Mapping[int, Sequence[Usage]]) -> Report:
    """The report of a request that has run, by the ledger of `execute`.

    Args:
        order: that has run.
        failures: under which it ran.
        usages: one per target of every transfer that took place, by index of the step.

    Raises:
        KeyError: a transfer that took place under these failures has no usage.
    """
    ledger = Ledger(order.planned.network, order.pricing, order.random.num_items)
    _follow(order, failures, ledger, lambda index, step: usages[index])
    return ledger.report()


def agreed(
    legs: Sequence[tuple[Failures, Course]], usages: Mapping[tuple[Failures, int], Sequence[Usage]]
) -> dict[int, Sequence[Usage]]:
    """Usages of the transfers that count, by index of the step.

    Args:
        legs: that were walked, in order, with the failures of each.
        usages: of every transfer that took place, by failures and index.
    """
    found: dict[int, Sequence[Usage]] = {}
    for under, course in legs:
        # What an earlier leg did from here on was never agreed on.
        kept = {index: used for index, used in found.items() if index < course.leg.start}
        own = {index: used for (said, index), used in usages.items() if said == under}
        found = kept | {index: used for index, used in own.items() if index >= course.leg.start}
    return found


def _follow(
    order: Order, failures: Failures, ledger: Ledger, usages: Callable[[int, Transfer], Sequence[Usage]]
) -> tuple[Leg, dict[Place, Spec]]:
    """The last leg, and shapes by place: a run of all nodes in which shapes stand for tensors."""
    network = order.planned.network

    def compute(index: int, step: Compute, specs: Mapping[str, Spec]) -> Mapping[str, Spec]:
        ledger.computed(step)
        return step.part.writes

    def carry(index: int, step: Transfer, spec: Spec | None) -> Mapping[Place, Spec]:
        if spec is None:
            return {}
        ledger.sent(step, usages(index, step))
        return dict.fromkeys(step.makes, spec)

    def check(plan: Plan, at: Mapping[Place, Spec]) -> None:
        plan.check(network, at)
        check_memory(plan, network, order.pricing)

    return pursue(order.planned.plan, order.given, network.nodes, check, compute, carry, ledger, failures)
