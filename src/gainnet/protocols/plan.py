"""A protocol is written down as a plan: parts placed on nodes, tensors sent between them."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import final

from gainnet.codecs.codec import AnyCodec
from gainnet.core.errors import PlanError
from gainnet.core.types import NodeId, Place, Spec
from gainnet.models.part import Part
from gainnet.network.network import Network


@final
@dataclass(frozen=True)
class Compute:
    """A part that runs on a node.

    >>> from gainnet.models.part import TensorMap
    >>> def doubled(tensors, random):
    ...     return {"y": 2 * tensors["x"]}
    >>> step = Compute(NodeId("edge"), TensorMap("double", ("x",), {"y": Spec((3,))}, doubled, flops=3.0))
    >>> step.label, step.needs, step.makes
    ('double @ edge', (('edge', 'x'),), (('edge', 'y'),))
    """

    node: NodeId
    part: Part

    @property
    def label(self) -> str:
        return f"{self.part.name} @ {self.node}"

    @property
    def needs(self) -> tuple[Place, ...]:
        return tuple((self.node, key) for key in self.part.reads)

    @property
    def makes(self) -> tuple[Place, ...]:
        return tuple((self.node, key) for key in self.part.writes)


@final
@dataclass(frozen=True)
class Transfer:
    """A tensor that goes from one node to one or several others, through a codec and one transmission.

    Args:
        source: node that has the tensor.
        targets: nodes that receive it (a broadcast when more than one).
        tensor: its name at the source.
        codec: turns it into a payload.
        arrives_as: its name at the targets; the same name when empty.
        deadline_s: time on the medium after which it is given up; what has not arrived then is concealed.

    >>> from gainnet.codecs import RawAnalog
    >>> device, edge = NodeId("device"), NodeId("edge")
    >>> step = Transfer(edge, (device,), "y", RawAnalog(), arrives_as="received")
    >>> step.label, step.makes
    ('y: edge -> device', (('device', 'received'),))
    """

    source: NodeId
    targets: tuple[NodeId, ...]
    tensor: str
    codec: AnyCodec
    arrives_as: str = ""
    deadline_s: float = math.inf

    @property
    def label(self) -> str:
        return f"{self.tensor}: {self.source} -> {', '.join(self.targets)}"

    @property
    def needs(self) -> tuple[Place, ...]:
        return ((self.source, self.tensor),)

    @property
    def makes(self) -> tuple[Place, ...]:
        return tuple((target, self.arrives_as or self.tensor) for target in self.targets)


Step = Compute | Transfer
Arrived = frozenset[Place]
Edges = tuple[NodeId, ...]


@final
@dataclass(frozen=True)
class Plan:
    """Steps in an order in which they could run one after the other; the ledger overlaps what can overlap.

    Args:
        steps: computations and transfers.
        result: where the outcome is after the last step.
        fallback: what to run when a node died and the result is not there; it is given every place that is
            still there, so that it can reuse what arrived.
        reference: where a run without a channel leaves what the result is compared with; the result when `None`.

    >>> from gainnet.codecs import RawAnalog
    >>> from gainnet.models.part import TensorMap
    >>> from gainnet.network import DEVICE, EDGE, cell, profile
    >>> from gainnet.radio import Air, Analog
    >>> def doubled(tensors, random):
    ...     return {"y": 2 * tensors["x"]}
    >>> double = TensorMap("double", ("x",), {"y": Spec((3,))}, doubled, flops=3.0)
    >>> plan = Plan((Compute(EDGE, double), Transfer(EDGE, (DEVICE,), "y", RawAnalog())), (DEVICE, "y"))
    >>> air = (Analog(Air(snr_db=20.0)),)
    >>> network = cell(profile("edge_l4"), profile("phone"), air, air)
    >>> plan.check(network, {(EDGE, "x"): Spec((3,))})[DEVICE, "y"]
    Spec(shape=(3,))
    >>> plan.check(network, {})
    Traceback (most recent call last):
    gainnet.core.errors.PlanError: double @ edge reads 'x' on edge, which is not there
    """

    steps: tuple[Step, ...]
    result: Place
    fallback: Callable[[Arrived], Plan] | None = None
    reference: Place | None = None

    def check(self, network: Network, given: Mapping[Place, Spec]) -> dict[Place, Spec]:
        """Place and shape of every tensor after the last step.

        Raises:
            PlanError: a tensor is read where it is not, a codec does not fit its link, the result is never made.
        """
        at = dict(given)
        for step in self.steps:
            for node, key in step.needs:
                if (node, key) not in at:
                    raise PlanError(f"{step.label} reads {key!r} on {node}, which is not there")
            at |= _made(step, network, at)
        if self.result not in at:
            raise PlanError(f"the plan never makes its result, {self.result[1]!r} on {self.result[0]}")
        return at

    def remaining(self, there: Collection[Place]) -> Plan:
        """The plan without the steps whose outcome is already there.

        Walks back from the result: a step stays when something that stays reads what it makes.

        >>> Plan((), (NodeId("device"), "image")).remaining([(NodeId("device"), "image")]).steps
        ()
        """
        # Backwards, since whether a step is needed depends on the steps after it.
        wanted = {self.result} - set(there)
        kept: list[Step] = []
        for step in reversed(self.steps):
            if wanted.isdisjoint(step.makes):
                continue
            kept.append(step)
            wanted = (wanted - set(step.makes)) | (set(step.needs) - set(there))
        return replace(self, steps=tuple(reversed(kept)))


def _made(step: Step, network: Network, at: Mapping[Place, Spec]) -> dict[Place, Spec]:
    match step:
        case Compute(node, part):
            network.node(node)
            return {(node, key): spec for key, spec in part.writes.items()}
        case Transfer(source, targets, tensor, codec):
            for target in targets:
                network.link(source, target, codec.emits)
            # Raises when the codec cannot carry the shape, before anything has run.
            codec.size(at[source, tensor])
            return dict.fromkeys(step.makes, at[source, tensor])
