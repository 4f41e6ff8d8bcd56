"""One round on the air: computations and transmissions are carried out and booked in the one ledger."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from torch import Tensor

from gainnet.codecs import AnyCodec, Octets
from gainnet.core.randomness import Random
from gainnet.core.report import Report
from gainnet.core.types import NodeId, Spec
from gainnet.models.part import TensorMap
from gainnet.network import EDGE, Network
from gainnet.protocols.ledger import Ledger
from gainnet.protocols.plan import Compute, Transfer
from gainnet.protocols.pricing import SHIPPED
from gainnet.protocols.transmit import SendCount, accept, emit
from gainnet.wire import check_kind, file_of, tensors_of

KINDS = frozenset(
    {"activations", "gradients", "tied_gradients", "weights", "adapters", "metrics", "labels", "keys", "shares"}
)
"""Everything that any algorithm sends. Labels cross only where the cut says so; keys are public ones, shares sealed."""

PRIVATE = KINDS - {"labels"}
"""Kinds that cross where the text stays at home."""

FILE_ATTEMPTS = 8
"""How often a file is sent to one receiver before it counts as lost."""


@final
class Exchange:
    """Carries payloads between nodes in one round, and books the cost.

    Args:
        network: nodes and links.
        random: streams of this round, of one item.
        allowed: kinds of payload that may cross.

    >>> import torch
    >>> from gainnet.codecs import Int8
    >>> from gainnet.learning.clients import cell_of, devices_of
    >>> from gainnet.network import EDGE, profile
    >>> from gainnet.radio import Ideal
    >>> (device,) = devices_of(1)
    >>> network = cell_of((device,), profile("edge_l4"), profile("phone"), (Ideal(),), (Ideal(),))
    >>> exchange = Exchange(network, Random.of(1), frozenset({"activations"}))
    >>> ((received, arrived),) = exchange.send("activations", device, (EDGE,), torch.ones(4, 6), Int8())
    >>> received.shape, arrived.all().item()
    (torch.Size([4, 6]), True)
    >>> exchange.report().num_bits  # 4 rows of a scale and 6 values of 8 bits
    320
    >>> exchange.send("texts", device, (EDGE,), torch.ones(4, 6), Int8())
    Traceback (most recent call last):
    gainnet.core.errors.PlanError: payload: 'texts' may not cross a link here; only activations may
    """

    def __init__(self, network: Network, random: Random, allowed: frozenset[str]) -> None:
        self._network, self._random, self._allowed = network, random, allowed
        self._ledger = Ledger(network, SHIPPED, 1)
        self._count = SendCount()

    def compute(
        self, node: NodeId, name: str, flops: float, reads: Sequence[str] = (), makes: Sequence[str] = ()
    ) -> float:
        """Book a computation that was just run; the priced time when it ends.

        Args:
            node: where.
            name: of what.
            flops: of the whole mini-batch.
            reads: tensors it waited for.
            makes: tensors that wait for it.
        """
        # Nothing is run here, it was: gradients stay in the modules that made them.
        work = TensorMap(name, tuple(reads), dict.fromkeys(makes, Spec(())), lambda tensors, _: tensors, flops=flops)
        self._ledger.computed(Compute(node, work))
        return self._ledger.last.stop_s

    def send(self, kind: str, source: NodeId, targets: tuple[NodeId, ...], x: Tensor, codec: AnyCodec) -> list[Any]:
        """[(tensor, [batch] bool arrived) per target], a tensor as it is received; what is lost is concealed.

        Args:
            kind: of payload.
            source: who sends.
            targets: who receives; one transmission for all.
            x: [batch, *shape].
            codec: turns it into a payload.

        Raises:
            PlanError: this kind may not cross, or no link carries it.
        """
        check_kind(kind, self._allowed)
        step = Transfer(source, targets, kind, codec)
        streams = [self._stream(step, target, x.shape[0]) for target in targets]
        links = [self._network.link(source, target, codec.emits) for target in targets]
        sent = emit(x, codec, links, streams, label=step.label)
        received = [accept(one, codec, Spec(tuple(x.shape[1:])), step.label) for one in sent]
        self._ledger.sent(step, [one.usage for one in sent])
        return [(one.values, one.arrived) for one in received]

    def send_file(
        self, kind: str, source: NodeId, targets: tuple[NodeId, ...], tensors: Mapping[str, Tensor]
    ) -> list[dict[str, Tensor] | None]:
        """Named tensors of one type as a safetensors file, per target; `None` where it did not arrive.

        Both ends know names and shapes, so the file holds one tensor with all values in the order of the names.
        Errors as `send`.
        """
        # A batch of one item: a file arrives whole or not at all.
        received = self.send(kind, source, targets, file_of(tensors)[None], Octets())
        return [tensors_of(x[0], tensors) if bool(came[0]) else None for x, came in received]

    def send_until(
        self, kind: str, source: NodeId, target: NodeId, tensors: Mapping[str, Tensor]
    ) -> tuple[dict[str, Tensor] | None, float]:
        """As `send_file` to one target, and the priced time when it arrived.

        It is sent again while it is lost, at most `FILE_ATTEMPTS` times; every time is booked.
        """
        # Bounded: over an air that never lets it through a client is lost, and the round ends.
        for _ in range(FILE_ATTEMPTS):
            (received,) = self.send_file(kind, source, (target,), tensors)
            if received is not None:
                break
        return received, self._ledger.last.stop_s

    def report(self) -> Report:
        """Cost of everything that was booked so far."""
        return self._ledger.report()

    def _stream(self, step: Transfer, target: NodeId, num_items: int) -> Random:
        """Streams of the items of one transmission, by their place in it and by how often was sent before."""
        # The n-th transmission of a kind between two nodes has streams of its own: a lost one draws anew.
        names = self._count.stream(step.source, target, step.tensor)
        drawn = self._random.generators(*names)[0].integers(1 << 62, size=num_items)
        return Random(tuple(int(x) for x in drawn), (num_items,))


@final
@dataclass(frozen=True)
class Uplink:
    """The way of trained values from the clients to the edge in a round.

    Args:
        exchange: the round on the air.
        kind: of payload.
        deadline_s: priced time after which nothing counts.
    """

    exchange: Exchange
    kind: str
    deadline_s: float = math.inf

    def receive(self, source: NodeId, tensors: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
        """Named tensors of a client as the edge receives them; `None` where they are lost or late."""
        received, stop_s = self.exchange.send_until(self.kind, source, EDGE, tensors)
        return received if stop_s <= self.deadline_s else None
