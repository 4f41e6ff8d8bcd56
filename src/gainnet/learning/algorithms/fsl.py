"""Federated split learning: light parts on the devices, the rest on the edge."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, final

import torch
from torch import Tensor
from torch.optim import Optimizer

from gainnet.codecs.activations import Octets
from gainnet.codecs.codec import AnyCodec
from gainnet.core.errors import ConfigError, PayloadError
from gainnet.core.randomness import Random
from gainnet.core.report import Report
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.algorithm import State, average, load_values, values_of
from gainnet.learning.algorithms.costs import StepCost
from gainnet.learning.clients import Client, LocalTraining, Participation
from gainnet.learning.exchange import KINDS, PRIVATE, Exchange
from gainnet.learning.split.halves import split_step
from gainnet.learning.split.model import Cut, SplitModel
from gainnet.models.language import task_of
from gainnet.network.network import Network
from gainnet.network.scenario import EDGE

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
        split_step(turn.split, *task_of(model, training.batch(turn.client, turn.random, step)), turn.crossing)
        # A shared edge's optimizer knows all parameters: the device's gradients are gone before it takes its step.
        for optimizer in (on_device, turn.at_edge):
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
    return values_of(model, turn.split.names("device"))


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

    def start(self, algorithm: SplitLearning, state: State) -> _SharedRound:
        """A round that begins with a state."""
        rate = algorithm.training.rate if self.rate is None else self.rate
        optimizer = replace(algorithm.training, rate=rate).start(algorithm.model.parameters())
        load_values(algorithm.model, weights_in(state))
        named = dict(algorithm.model.named_parameters())
        for key, value in state.items():
            if key.startswith(_OPTIMIZER):
                moment, _, name = key.removeprefix(_OPTIMIZER).partition("/")
                optimizer.state[named[name]][moment] = value.clone()
        return _SharedRound(algorithm.model, weights_in(state), optimizer)


@final
@dataclass(eq=False)
class _SharedRound:
    model: Any
    start: State
    optimizer: Optimizer
    finished: dict[Client, State] = field(default_factory=dict)

    def enter(self, split: SplitModel) -> Optimizer:
        self.values = values_of(self.model)
        self.moments = {p: {m: x.clone() for m, x in kept.items()} for p, kept in self.optimizer.state.items()}
        return self.optimizer

    def leave(self, client: Client, held: State | None) -> None:
        if held is not None:
            self.finished[client] = held
            return
        load_values(self.model, self.values)
        self.optimizer.state.clear()
        self.optimizer.state.update(self.moments)

    def finish(self) -> State:
        edge = values_of(self.model)
        # Every parameter is averaged; the edge's value stands for the clients that do not hold it.
        merged = _average({client: {**edge, **held} for client, held in self.finished.items()}) or dict(self.start)
        past = {
            f"{_OPTIMIZER}{moment}/{name}": value.clone()
            for name, p in self.model.named_parameters()
            for moment, value in self.optimizer.state.get(p, {}).items()
        }
        return {**merged, **past}


@final
@dataclass(frozen=True)
class AveragedEdge:
    """An edge part of its own for every client of a round; both parts are averaged (Thapa et al. 2022).

    In exact arithmetic it is FedAvg with the work elsewhere. Weights that both sides hold stay equal, because their
    gradients are summed across the cut. Both sides train with the rate of the devices.
    """

    allows_tied: ClassVar[bool] = True

    def start(self, algorithm: SplitLearning, state: State) -> _AveragedRound:
        """A round that begins with a state."""
        return _AveragedRound(algorithm, state)


@final
@dataclass(eq=False)
class _AveragedRound:
    algorithm: SplitLearning
    start: State
    finished: dict[Client, State] = field(default_factory=dict)

    def enter(self, split: SplitModel) -> Optimizer:
        load_values(self.algorithm.model, self.start)
        split.copy_tied()
        return self.algorithm.training.start(split.parameters("edge"))

    def leave(self, client: Client, held: State | None) -> None:
        if held is not None:
            self.finished[client] = {**values_of(self.algorithm.model), **held}

    def finish(self) -> State:
        return _average(self.finished) or dict(self.start)


EdgePart = SharedEdge | AveragedEdge
"""How the part of the edge passes from client to client.

Its round is entered before a client's turn, and gives what steps the edge's parameters in it; it is left afterwards
with the device's part as it has arrived, `None` where the client does not count; it is finished with the next state.
"""


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
        ConfigError: the model ties weights across a cut, and the edge's part is shared.
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
        self._start.update(values_of(self.model))
        if not self.edge.allows_tied and self.split_at(self.cut).tied:
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
        edge = self.edge.start(self, state)
        for client in self.participation.select(clients, random):
            at_edge = edge.enter(self.split_at(client.cut or self.cut))
            edge.leave(client, self._turn(exchange, client, weights_in(state), at_edge, random))
        return edge.finish(), exchange.report()

    def model_of(self, state: State) -> Any:
        """The model with the weights of a state."""
        load_values(self.model, weights_in(state))
        return self.model

    def split_at(self, cut: Cut) -> SplitModel:
        """The model cut there; made once per algorithm."""
        if cut.name not in self._splits:
            self._splits[cut.name] = SplitModel.of(self.model, cut)
        return self._splits[cut.name]

    def _turn(
        self, exchange: Exchange, client: Client, start: State, at_edge: Optimizer, random: Random
    ) -> State | None:
        """The client's part as the edge receives it, `None` when it does not count."""
        cut = client.cut or self.cut
        split = self.split_at(cut)
        given = exchange.send_until("weights", EDGE, client.name, {n: start[n] for n in split.names("device")})
        if given is None:
            return None
        lost_at = self.participation.steps_before_loss(client, self.training.num_steps, random)
        num_steps = self.training.num_steps if lost_at is None else lost_at
        crossing = LinkCrossing(exchange, client, self.codec, self.cost_of_cut[cut.name])
        held = self.place(Turn(self, client, split, given, num_steps, at_edge, crossing, random))
        if held is None or lost_at is not None:
            return None
        received, stop_s = exchange.send_up("weights", client.name, held)
        return received if stop_s <= self.participation.deadline_s else None


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
            surely = self.exchange.send_until(kind, source, target, tensors)
            if surely is None:
                raise PayloadError("link: the gradients of tied weights were lost again and again; raise the SNR")
            return surely, arrived
        for name, x in tensors.items():
            if kind == "labels":
                ((octets, came),) = self.exchange.send(kind, source, (target,), octets_of(x), Octets())
                received[name] = integers_of(octets, x.dtype)
            else:
                ((received[name], came),) = self.exchange.send(kind, source, (target,), x.float(), self.codec)
            arrived = arrived & came
        return received, arrived


def kinds_over(cuts: Iterable[Cut]) -> frozenset[str]:
    """Kinds of payload that cross these cuts: labels only where a head is on the edge.

    >>> "labels" in kinds_over([Cut.parse("u_shape+1")])
    False
    """
    return KINDS if any(cut.labels_reach_edge for cut in cuts) else PRIVATE


def weights_in(state: State) -> dict[str, Tensor]:
    """The weights of a state, without the past of the edge's optimizer."""
    return {name: x for name, x in state.items() if not name.startswith(_OPTIMIZER)}


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
