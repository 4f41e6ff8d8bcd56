"""One node of a request: it walks the course, runs its own parts, sends what it makes and takes what has come."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor

from gainnet.core.errors import PayloadError
from gainnet.core.types import NodeId, Place
from gainnet.protocols.plan import Compute, Plan, Step, Transfer
from gainnet.protocols.run import receive, send
from gainnet.protocols.transmit import SendCount, Sent
from gainnet.protocols.walk import walk
from gainnet.service.node.course import Course, Failures
from gainnet.service.node.mailbox import Mailbox
from gainnet.service.node.order import Order

Post = Callable[[Failures, int, Transfer, Sequence[Sent] | None], None]
"""Sends a transfer, one payload per target; `None` where the source never had the tensor."""


@final
@dataclass(eq=False)
class Walker:
    """A node of an order in this process.

    Args:
        me: the node.
        order: whose plan is walked.
        mailbox: what comes for the node.
        post: sends.
        watch: called with index and step before a part runs or a tensor is encoded.
        doubt: called with (source, index) of a tensor that cannot be what its source should have sent.
        plays: further nodes whose steps are run here as far as they depend on nothing that they receive, and what they
            send depends on them.
        at: tensors on these nodes at the start, [*batch, ...].
    """

    me: NodeId
    order: Order
    mailbox: Mailbox
    post: Post
    watch: Callable[[int, Step], None]
    doubt: Callable[[NodeId, int], None]
    plays: Collection[NodeId] = ()
    at: dict[Place, Tensor] = field(default_factory=dict)
    # Where each leg began, since a later failure can make it begin anew with another plan.
    _begun: dict[int, tuple[dict[Place, Tensor], SendCount]] = field(default_factory=dict)
    _count: SendCount = field(default_factory=SendCount)

    def go(self, course: Course, under: Failures) -> None:
        """Walks one leg.

        Args:
            course: under these failures.
            under: failures that all nodes have agreed on.
        """
        start = course.leg.start
        at, count = self._begun.setdefault(start, (dict(self.at), deepcopy(self._count)))
        self._count = deepcopy(count)
        wanted = _before_sends(course.leg.plan, self.plays)

        def compute(index: int, step: Compute, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
            # What a played node makes for itself alone, as a draft, it makes itself.
            if step.node in self.plays and index - start not in wanted:
                return {}
            self.watch(index, step)
            return step.part(tensors, self.order.random)

        def carry(index: int, step: Transfer, x: Tensor | None) -> Mapping[Place, Tensor]:
            if step.source != self.me and step.source not in self.plays:
                return self._received(course, under, index, step)
            sent = None
            if x is not None:
                self.watch(index, step)
                sent = send(step, x, self.order.planned.network, self.order.random, self._count)
            self.post(under, index, step, sent)
            # A node that is played here is the source of what comes to this one.
            return {} if self.me not in step.targets else self._received(course, under, index, step)

        with torch.inference_mode():
            self.at = walk(course.leg.plan, (self.me, *self.plays), at, compute, carry, under, start)

    def _received(self, course: Course, under: Failures, index: int, step: Transfer) -> dict[Place, Tensor]:
        if self.me not in step.targets:
            return {}
        sent = self.mailbox.take(under, index, step.source)
        if sent is None:
            return {}
        try:
            spec = course.specs[step.source, step.tensor]
            if sent.payload.batch != self.order.random.batch:
                raise PayloadError(
                    f"content: a batch of {sent.payload.batch} in the place of {self.order.random.batch}"
                )
            return {(self.me, step.arrives_as or step.tensor): receive(step, sent, spec)}
        except PayloadError:
            # A node that sends what cannot be is dead for the others from this step on.
            self.doubt(step.source, index)
            return {}


def _before_sends(plan: Plan, nodes: Collection[NodeId]) -> frozenset[int]:
    """Places in a plan of the computations of some nodes that what they send depends on."""
    needed: set[Place] = set()
    found: set[int] = set()
    for at, step in reversed(list(enumerate(plan.steps))):
        if isinstance(step, Transfer):
            needed |= {(step.source, step.tensor)} if step.source in nodes else set()
        elif step.node in nodes and any((step.node, name) in needed for name in step.part.writes):
            needed |= set(step.needs)
            found.add(at)
    return frozenset(found)
