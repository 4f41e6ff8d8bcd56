"""Federated split learning: light parts on the devices, the rest on the edge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gainnet.codecs.activations import Octets
from gainnet.codecs.codec import AnyCodec
from gainnet.core.errors import ConfigError, PayloadError
from gainnet.core.randomness import Random
from gainnet.core.report import Report
from gainnet.core.types import NodeId
from gainnet.learning.algorithm import State, average, load_values, values_of
from gainnet.learning.clients import Client, LocalTraining, Participation
from gainnet.learning.costs import StepCost
from gainnet.learning.cut import Cut
from gainnet.learning.exchange import Exchange
from gainnet.learning.payloads import KINDS, PRIVATE
from gainnet.learning.split import SplitModel, split_step
from gainnet.models.language import task_of
from gainnet.network.network import Network
from gainnet.network.scenario import EDGE

_OPTIMIZER = "edge_optimizer."


class Turn(Protocol):
    """All steps of a client in a round, wherever the client is."""

    def __call__(
        self, algorithm: Fsl, exchange: Exchange, client: Client, start: State, at_edge: Optimizer, random: Random, /
    ) -> dict[str, Tensor] | None:
        """The client's part as the edge receives it, `None` when it does not count.

        Args:
            algorithm: says how.
            exchange: the round on the air.
            client: whose turn it is.
            start: the weights that the round began with.
            at_edge: steps the edge's parameters.
            random: of the round.
        """


def run_turn(
    algorithm: Fsl, exchange: Exchange, client: Client, start: State, at_edge: Optimizer, random: Random
) -> dict[str, Tensor] | None:
    """A `Turn` of a client in this process."""
    cut = client.cut or algorithm.cut
    split, training = split_of(algorithm, cut), algorithm.training
    given = exchange.send_until("weights", EDGE, client.name, {n: start[n] for n in split.names("device")})
    if given is None:
        return None
    load_values(algorithm.model, given)
    on_device = training.start(split.parameters("device"))
    lost_at = algorithm.participation.steps_before_loss(client, training.num_steps, random)
    crossing = Air(exchange, client, algorithm.codec, algorithm.cost_of_cut[cut.name])
    for step in range(training.num_steps if lost_at is None else lost_at):
        tokens, labels = task_of(algorithm.model, training.batch(client, random, step))
        split_step(split, tokens, labels, crossing)
        take_steps(split, on_device, at_edge)
    if lost_at is not None:
        return None
    received, stop_s = exchange.send_up("weights", client.name, values_of(algorithm.model, split.names("device")))
    return received if stop_s <= algorithm.participation.deadline_s else None


@final
@dataclass(frozen=True, eq=False)
class SharedEdge:
    """Devices train their part in turn with one edge part that goes on from client to client.

    per step   device ==activations==> edge ==gradients==> device   (U-shape: and once more through the head)
    per round  edge ==weights==> devices ... devices ==weights==> edge: mean of the device parts

    The edge takes every step of every client, so it learns more in a round than an averaged part does. Clients come in
    an order drawn anew in every round. The edge keeps what it was before a client began: when that client falls away,
    comes too late or its part gets lost, all its steps are undone.

    Args:
        model: of transformers; its parameters are the start, and scratch afterwards.
        network: edge and devices.
        training: what a client trains in a round.
        cost_of_cut: of one step, by the name of the cut; it holds every cut that a client asks for.
        cut: where clients cut that have no cut of their own.
        codec: of activations and gradients.
        edge_rate: learning rate of the edge.
        participation: who takes part.
        turn: runs a client's steps; in this process, or over a stream where the client is.

    Raises:
        ConfigError: the model ties weights across a cut.
    """

    model: Any
    network: Network
    training: LocalTraining
    cost_of_cut: Mapping[str, StepCost]
    cut: Cut
    codec: AnyCodec
    edge_rate: float
    participation: Participation = field(default_factory=Participation)
    turn: Turn = run_turn
    _splits: dict[str, SplitModel] = field(default_factory=dict, init=False, repr=False)
    _start: dict[str, Tensor] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        self._start.update(values_of(self.model))
        if split_of(self, self.cut).tied:
            raise ConfigError(
                f"cut: {self.cut.name} ties weights of device and edge, and a shared edge part has no one to tie them "
                "to; cut as u_shape or average the edge parts"
            )

    def init(self, random: Random) -> State:
        """The model as it was; the edge's optimizer starts with the first round."""
        return dict(self._start)

    def round(self, state: State, clients: Sequence[Client], random: Random) -> tuple[State, Report]:
        """As `Algorithm.round`."""
        exchange = Exchange(self.network, random, allowed_by(self, clients))
        start = {name: x for name, x in state.items() if not name.startswith(_OPTIMIZER)}
        load_values(self.model, start)
        optimizer = _edge_optimizer(self, state)
        finished: list[tuple[Client, State]] = []
        for client in self.participation.asked(clients, random):
            before, past = values_of(self.model), _moments(optimizer)
            held = self.turn(self, exchange, client, start, optimizer, random)
            if held is None:
                _restore(self.model, optimizer, before, past)
            else:
                finished.append((client, held))
        edge = values_of(self.model)
        merged = _mean_of_parts(sorted(finished, key=lambda pair: pair[0].name), edge) if finished else dict(start)
        return {**merged, **_named_moments(self.model, optimizer)}, exchange.report()

    def model_of(self, state: State) -> Any:
        """The model with the weights of a state."""
        load_values(self.model, {name: x for name, x in state.items() if not name.startswith(_OPTIMIZER)})
        return self.model


@final
@dataclass(frozen=True, eq=False)
class AveragedEdge:
    """Every client has an edge part of its own for the round, and both parts are averaged (Thapa et al. 2022).

    In exact arithmetic it is FedAvg with the work elsewhere. Weights that both sides hold stay equal, because their
    gradients are summed across the cut. Arguments as `SharedEdge`; both sides train with the rate of `training`.
    """

    model: Any
    network: Network
    training: LocalTraining
    cost_of_cut: Mapping[str, StepCost]
    cut: Cut
    codec: AnyCodec
    participation: Participation = field(default_factory=Participation)
    turn: Turn = run_turn
    _splits: dict[str, SplitModel] = field(default_factory=dict, init=False, repr=False)
    _start: dict[str, Tensor] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        self._start.update(values_of(self.model))

    def init(self, random: Random) -> State:
        """The model as it was."""
        return dict(self._start)

    def round(self, state: State, clients: Sequence[Client], random: Random) -> tuple[State, Report]:
        """As `Algorithm.round`."""
        exchange = Exchange(self.network, random, allowed_by(self, clients))
        finished: list[tuple[Client, State]] = []
        for client in self.participation.asked(clients, random):
            load_values(self.model, state)
            split = split_of(self, client.cut or self.cut)
            split.copy_tied()
            held = self.turn(self, exchange, client, state, self.training.start(split.parameters("edge")), random)
            if held is not None:
                finished.append((client, {**values_of(self.model), **held}))
        finished.sort(key=lambda pair: pair[0].name)
        if not finished:
            return dict(state), exchange.report()
        return average([v for _, v in finished], [c.weight for c, _ in finished]), exchange.report()

    def model_of(self, state: State) -> Any:
        """The model with the weights of a state."""
        load_values(self.model, state)
        return self.model


Fsl = SharedEdge | AveragedEdge


def split_of(algorithm: Fsl, cut: Cut) -> SplitModel:
    """The model cut there; made once per algorithm."""
    if cut.name not in algorithm._splits:
        algorithm._splits[cut.name] = SplitModel.of(algorithm.model, cut)
    return algorithm._splits[cut.name]


def allowed_by(algorithm: Fsl, clients: Sequence[Client]) -> frozenset[str]:
    """Kinds of payload that these clients' cuts send: labels only where a head is on the edge."""
    return KINDS if any((c.cut or algorithm.cut).labels_reach_edge for c in clients) else PRIVATE


def take_steps(split: SplitModel, on_device: Optimizer, at_edge: Optimizer) -> None:
    """One step of both sides; each optimizer moves its own side alone."""
    on_device.step()
    for p in split.parameters("device"):
        p.grad = None
    at_edge.step()
    at_edge.zero_grad(set_to_none=True)


@final
@dataclass(frozen=True)
class Air:
    """The crossing between one device and the edge over links, booked as it goes.

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
        if kind == "tied_gradients":
            return self._surely(kind, tensors, source, target), torch.tensor(True)
        received, arrived = {}, torch.tensor(True)
        for name, x in tensors.items():
            if kind == "labels":
                ((octets, came),) = self.exchange.send(kind, source, (target,), octets_of(x), Octets())
                received[name] = integers_of(octets, x.dtype)
            else:
                ((received[name], came),) = self.exchange.send(kind, source, (target,), x.float(), self.codec)
            arrived = arrived & came
        return received, arrived

    def _surely(self, kind: str, tensors: Mapping[str, Tensor], source: NodeId, target: NodeId) -> dict[str, Tensor]:
        """Both sides need the same sum, so that losing it is an error."""
        received = self.exchange.send_until(kind, source, target, tensors)
        if received is None:
            raise PayloadError("link: the gradients of tied weights were lost again and again; raise the SNR")
        return received


def octets_of(labels: Tensor) -> Tensor:
    """[batch, 4 x length] uint8, labels as 32-bit integers."""
    return labels.to(torch.int32).contiguous().view(torch.uint8)


def integers_of(octets: Tensor, dtype: torch.dtype) -> Tensor:
    """The inverse of `octets_of`, in an integer type."""
    return octets.contiguous().view(torch.int32).to(dtype)


def _edge_optimizer(algorithm: SharedEdge, state: State) -> Optimizer:
    """The edge's optimizer, with the past that the state remembers."""
    training = replace(algorithm.training, rate=algorithm.edge_rate)
    optimizer = training.start(algorithm.model.parameters())
    named = dict(algorithm.model.named_parameters())
    for key, value in state.items():
        if key.startswith(_OPTIMIZER):
            moment, _, name = key.removeprefix(_OPTIMIZER).partition("/")
            optimizer.state[named[name]][moment] = value.clone()
    return optimizer


def _named_moments(model: nn.Module, optimizer: Optimizer) -> dict[str, Tensor]:
    return {
        f"{_OPTIMIZER}{moment}/{name}": value.clone()
        for name, p in model.named_parameters()
        for moment, value in optimizer.state.get(p, {}).items()
    }


Moments = dict[Tensor, dict[str, Tensor]]


def _moments(optimizer: Optimizer) -> Moments:
    return {p: {moment: x.clone() for moment, x in kept.items()} for p, kept in optimizer.state.items()}


def _restore(model: nn.Module, optimizer: Optimizer, values: State, moments: Moments) -> None:
    load_values(model, values)
    optimizer.state.clear()
    optimizer.state.update(moments)


def _mean_of_parts(finished: Sequence[tuple[Client, State]], edge: State) -> dict[str, Tensor]:
    """Every parameter averaged over the clients; the edge's value stands for those that do not hold it."""
    return average([{**edge, **held} for _, held in finished], [client.weight for client, _ in finished])
