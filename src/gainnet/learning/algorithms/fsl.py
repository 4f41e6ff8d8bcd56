"""Federated split learning: light parts on the devices, the rest on the edge."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, final

import torch
from torch import Tensor
from torch.optim import Optimizer

from gainnet.codecs import AnyCodec, Octets
from gainnet.core.errors import ConfigError, PayloadError
from gainnet.core.randomness import Random
from gainnet.core.report import Report
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.algorithm import State, average, load_values, trained_values, values_of, weights_in
from gainnet.learning.algorithms.costs import StepCost
from gainnet.learning.clients import Client, LocalTraining, Participation
from gainnet.learning.exchange import KINDS, PRIVATE, Exchange, Uplink
from gainnet.learning.split.halves import split_step
from gainnet.learning.split.model import Cut, SplitModel
from gainnet.models.language import task_of
from gainnet.network import EDGE, Network

_OPTIMIZER = "edge_optimizer."
"""Where a state keeps the past of the edge's optimizer: `edge_optimizer.exp_avg/NAME`."""


@final
@dataclass(frozen=True, eq=False)
class Turn:
    """All steps of a client in a round.

    Args:
        algorithm: how.
        client: whose turn it is.
        split: the model, cut as the client cuts.
        given: the device's part as it has arrived at the client.
        num_steps: mini-batches.
        at_edge: steps the edge's parameters.
        crossing: books what crosses, and carries it where both sides are in this process.
        random: of the round.
    """

    algorithm: SplitLearning
    client: Client
    split: SplitModel
    given: State
    num_steps: int
    at_edge: Optimizer
    crossing: LinkCrossing
    random: Random


Place = Callable[[Turn], State | None]
"""Where the clients are: the device's part after all steps; `None` where the client was lost on the way."""


def on_this_machine(turn: Turn) -> State:
    """A `Place`: the client's half runs here, between the steps of the edge's."""
    model, training = turn.algorithm.model, turn.algorithm.training
    load_values(model, turn.given)
    on_device = training.start(turn.split.parameters("device"))
    for step in range(turn.num_steps):
        for part, rows in enumerate(training.parts(turn.client, turn.random, step)):
            with training.computing(turn.split.segments, turn.random, turn.client.name, step, part):
                split_step(turn.split, *task_of(model, rows), turn.crossing)
        # A shared edge's optimizer knows all parameters: the device's gradients are gone before it takes its step.
        for optimizer in (on_device, turn.at_edge):
            training.move(optimizer)
    return values_of(model, turn.split.trained("device"))


TakeTurn = Callable[[Client, Optimizer], State | None]
"""The turn of a client, in which an optimizer steps the edge's parameters: the device's part as it has arrived, `None`
where the client does not count."""


@final
@dataclass(frozen=True)
class SharedEdge:
    """One edge part that goes on from client to client.

    The edge takes every step of every client, so it learns more in a round than an averaged part does. It keeps what it
    was before a client began: when that client falls away, comes too late or its part gets lost, all its steps are
    undone.

    Args:
        rate: learning rate of the edge; that of the devices when `None`.
    """

    rate: float | None = None
    # A tied weight would have one value on the edge and as many as there are devices.
    allows_tied: ClassVar[bool] = False

    def round(self, algorithm: SplitLearning, state: State, clients: Sequence[Client], turn: TakeTurn) -> State:
        """As `EdgePart`."""
        model, finished = algorithm.model, dict[Client, State]()
        optimizer = self._optimizer(algorithm, state)
        load_values(model, weights_in(state))
        for client in clients:
            before = trained_values(model)
            moments = {p: {m: x.clone() for m, x in kept.items()} for p, kept in optimizer.state.items()}
            held = turn(client, optimizer)
            if held is not None:
                finished[client] = held
                continue
            load_values(model, before)
            optimizer.state.clear()
            optimizer.state.update(moments)
        edge = trained_values(model)
        # Every parameter is averaged; the edge's value stands for the clients that do not hold it.
        merged = _average({client: {**edge, **held} for client, held in finished.items()}) or weights_in(state)
        past = {
            f"{_OPTIMIZER}{moment}/{name}": value.to("cpu", copy=True)
            for name, p in model.named_parameters()
            for moment, value in optimizer.state.get(p, {}).items()
        }
        return {**merged, **past}

    def _optimizer(self, algorithm: SplitLearning, state: State) -> Optimizer:
        """The edge's optimizer with the past that a state holds."""
        rate = algorithm.training.rate if self.rate is None else self.rate
        optimizer = replace(algorithm.training, rate=rate).start(algorithm.model.parameters())
        named = dict(algorithm.model.named_parameters())
        for key, value in state.items():
            if key.startswith(_OPTIMIZER):
                moment, _, name = key.removeprefix(_OPTIMIZER).partition("/")
                # Counts of steps stay on the processor, as PyTorch keeps them.
                place = value.device if value.ndim == 0 else named[name].device
                optimizer.state[named[name]][moment] = value.to(place, copy=True)
        return optimizer


@final
@dataclass(frozen=True)
class AveragedEdge:
    """An edge part of its own for every client of a round; both parts are averaged (Thapa et al. 2022).

    In exact arithmetic it is FedAvg with the work elsewhere. Weights that both sides hold stay equal, because their
    gradients are summed across the cut. Both sides train with the rate of the devices.
    """

    allows_tied: ClassVar[bool] = True

    def round(self, algorithm: SplitLearning, state: State, clients: Sequence[Client], turn: TakeTurn) -> State:
        """As `EdgePart`."""
        model, finished = algorithm.model, dict[Client, State]()
        for client in clients:
            split = algorithm.split_of(client)
            load_values(model, state)
            split.copy_tied()
            held = turn(client, algorithm.training.start(split.parameters("edge")))
            if held is not None:
                finished[client] = {**trained_values(model), **held}
        return _average(finished) or dict(state)


EdgePart = SharedEdge | AveragedEdge
"""How the part of the edge passes from client to client: the state after the turns of all clients in their order."""


@final
@dataclass(frozen=True, eq=False)
class SplitLearning:
    """Devices train their part in turn, each together with the edge's part.

    per step   device ==activations==> edge ==gradients==> device   (U-shape: and once more through the head)
    per round  edge ==weights==> devices ... devices ==weights==> edge: mean of the device parts

    Clients come in an order drawn anew in every round.

    Args:
        model: of transformers; its parameters are the start, and scratch afterwards.
        network: edge and devices.
        training: what a client trains in a round.
        cost_of_cut: of one step, by the name of the cut; it holds every cut that a client asks for.
        cut: where clients cut that have no cut of their own.
        codec: of activations and gradients.
        edge: what becomes of the edge's part from client to client.
        participation: who takes part.
        place: where the clients are.

    Raises:
        ConfigError: the model ties weights across a cut, and the edge's part is shared; or all that the device holds is
            locked.
    """

    model: Any
    network: Network
    training: LocalTraining
    cost_of_cut: Mapping[str, StepCost]
    cut: Cut
    codec: AnyCodec
    edge: EdgePart
    participation: Participation = field(default_factory=Participation)
    place: Place = on_this_machine
    _splits: dict[str, SplitModel] = field(default_factory=dict, init=False, repr=False)
    _start: dict[str, Tensor] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        self._start.update(trained_values(self.model))
        if not self.split_of().trained("device"):
            raise ConfigError(f"cut: {self.cut.name} leaves the device nothing to train; unlock weights of the model")
        if not self.edge.allows_tied and self.split_of().tied:
            raise ConfigError(
                f"cut: {self.cut.name} ties weights of device and edge, and a shared edge part has no one to tie them "
                "to; cut as u_shape or average the edge parts"
            )

    def init(self, random: Random) -> State:
        """The model as it was; the edge's optimizer starts with the first round."""
        return dict(self._start)

    def round(self, state: State, clients: Sequence[Client], random: Random) -> tuple[State, Report]:
        """As `Algorithm.round`."""
        exchange = Exchange(self.network, random, kinds_over(client.cut or self.cut for client in clients))
        weights = weights_in(state)

        def turn(client: Client, at_edge: Optimizer) -> State | None:
            return self._turn(exchange, client, weights, at_edge, random)

        return self.edge.round(self, state, self.participation.select(clients, random), turn), exchange.report()

    def model_of(self, state: State) -> Any:
        """The model with the weights of a state."""
        load_values(self.model, weights_in(state))
        return self.model

    def split_of(self, client: Client | None = None) -> SplitModel:
        """The model cut as a client cuts it, or as those do that have no cut of their own; made once per algorithm."""
        cut = (None if client is None else client.cut) or self.cut
        if cut.name not in self._splits:
            self._splits[cut.name] = SplitModel.of(self.model, cut)
        return self._splits[cut.name]

    def _turn(
        self, exchange: Exchange, client: Client, start: State, at_edge: Optimizer, random: Random
    ) -> State | None:
        """The client's part as the edge receives it, `None` when it does not count."""
        split = self.split_of(client)
        parts = {name: start[name] for name in split.trained("device")}
        given, _ = exchange.send_until("weights", EDGE, client.name, parts)
        if given is None:
            return None
        lost_at = self.participation.steps_before_loss(client, self.training.num_steps, random)
        num_steps = self.training.num_steps if lost_at is None else lost_at
        crossing = LinkCrossing(exchange, client, self.codec, self.cost_of_cut[split.cut.name])
        held = self.place(Turn(self, client, split, given, num_steps, at_edge, crossing, random))
        if held is None or lost_at is not None:
            return None
        return Uplink(exchange, "weights", self.participation.deadline_s).receive(client.name, held)


@final
@dataclass(frozen=True)
class LinkCrossing:
    """The `Crossing` between one device and the edge over links, booked as it goes.

    Args:
        exchange: the round on the air.
        client: whose crossing it is.
        codec: of activations and gradients; tied gradients and labels cross as they are.
        cost: of a step.
    """

    exchange: Exchange
    client: Client
    codec: AnyCodec
    cost: StepCost

    def up(self, kind: str, tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        """As `Crossing.up`."""
        return self._send(kind, tensors, self.client.name, EDGE)

    def down(self, kind: str, tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        """As `Crossing.down`."""
        return self._send(kind, tensors, EDGE, self.client.name)

    def computed(self, segment: str) -> None:
        """Books a segment where it runs."""
        node, reads, makes = {
            "front": (self.client.name, ("weights",), ("activations",)),
            "body": (EDGE, ("activations",), ("activations",)),
            "tail": (self.client.name, ("activations",), ("gradients",)),
            "body_backward": (EDGE, ("activations", "gradients"), ("gradients",)),
            "front_backward": (self.client.name, ("gradients",), ("weights",)),
        }[segment]
        self.exchange.compute(node, segment, self.cost.flops_of_segment.get(segment, 0.0), reads, makes)

    def _send(
        self, kind: str, tensors: Mapping[str, Tensor], source: NodeId, target: NodeId
    ) -> tuple[dict[str, Tensor], Tensor]:
        received, arrived = {}, torch.tensor(True)
        if kind == "tied_gradients":
            # Both sides need the same sum, or their copies of the weight part for ever: losing it is an error.
            surely, _ = self.exchange.send_until(kind, source, target, {n: x.cpu() for n, x in tensors.items()})
            if surely is None:
                raise PayloadError("link: the gradients of tied weights were lost again and again; raise the SNR")
            return surely, arrived
        for name, x in tensors.items():
            if kind == "labels":
                ((octets, came),) = self.exchange.send(kind, source, (target,), octets_of(x.cpu()), Octets())
                received[name] = integers_of(octets, x.dtype)
            else:
                crossing = x.float().cpu()
                ((received[name], came),) = self.exchange.send(kind, source, (target,), crossing, self.codec)
            arrived = arrived & came
        return received, arrived


def kinds_over(cuts: Iterable[Cut]) -> frozenset[str]:
    """Kinds of payload that cross these cuts: labels only where a head is on the edge.

    >>> "labels" in kinds_over([Cut(1, head_on_device=True)])
    False
    """
    return KINDS if any(cut.labels_reach_edge for cut in cuts) else PRIVATE


def octets_of(labels: Tensor) -> Tensor:
    """[batch, 4 x length] uint8, labels as 32-bit integers."""
    return labels.to(torch.int32).contiguous().view(torch.uint8)


def integers_of(octets: Tensor, dtype: torch.dtype) -> Tensor:
    """[batch, length], the inverse of `octets_of`, in an integer type."""
    return octets.contiguous().view(torch.int32).to(dtype)


def _average(held: Mapping[Client, State]) -> dict[str, Tensor] | None:
    """The mean by how much text the clients have, in the order of their names; `None` where nobody counts."""
    if not held:
        return None
    # Sums of floating-point numbers depend on their order: that of the names does not depend on who came first.
    clients = sorted(held, key=lambda client: client.name)
    return average([held[client] for client in clients], [client.weight for client in clients])
