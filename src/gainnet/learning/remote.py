"""Rounds whose training runs in other processes: the same algorithms, another place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.report import Report
from gainnet.core.types import NodeId
from gainnet.learning.aggregation import Open
from gainnet.learning.algorithm import State
from gainnet.learning.clients import Client, Participation
from gainnet.learning.exchange import Exchange, file_of, tensors_of
from gainnet.learning.fedavg import FedAvg
from gainnet.learning.fpl import Fpl
from gainnet.learning.payloads import PRIVATE, as_type
from gainnet.network.network import Network
from gainnet.network.scenario import EDGE
from gainnet.radio import Ideal

Averaging = FedAvg | Fpl
"""Algorithms whose clients train alone between two messages."""


@final
@dataclass(frozen=True)
class Trained:
    """What a client sends back.

    Args:
        values: what it has trained, by name.
        num_rows: how much text it has: what it counts in an average.
    """

    values: State
    num_rows: int


class Ask(Protocol):
    """Whoever reaches the clients."""

    def __call__(self, names: Sequence[NodeId], values: State, random: Random) -> Mapping[NodeId, Trained]:
        """What came back in time, by name; whoever is missing has fallen away.

        Args:
            names: of the clients that train.
            values: what they begin with, in the type of the air.
            random: of the round.
        """


@final
@dataclass(frozen=True, eq=False)
class RemoteRounds:
    """An `Algorithm` whose clients train elsewhere, all at once.

    edge ==values==> clients: `train_alone` ==values==> edge: rule of aggregation

    Who takes part, what the air costs and loses, and how the edge merges is decided here, as in the round of the
    algorithm itself: with clients that all answer, state and report are the same.

    Args:
        algorithm: FedAvg or prompt learning, whose edge merges in the open.
        ask: reaches the clients.

    Raises:
        ConfigError: another algorithm, or an aggregation that hides what clients send.
    """

    algorithm: Averaging
    ask: Ask

    def __post_init__(self) -> None:
        if not isinstance(self.algorithm, FedAvg | Fpl):
            raise ConfigError(
                "algorithm: the steps of split learning do not travel as messages of a round; choose fedavg, "
                "soft_prompt, lora or adapter"
            )
        if not isinstance(self.algorithm.aggregation, Open):
            raise ConfigError("aggregation: clients elsewhere send their values in the open; choose an open rule")

    def init(self, random: Random) -> State:
        """As `Algorithm.init`."""
        return self.algorithm.init(random)

    def round(self, state: State, clients: Sequence[Client], random: Random) -> tuple[State, Report]:
        """As `Algorithm.round`; only the names of the clients are read, their text is elsewhere."""
        exchange = Exchange(self.algorithm.network, random, PRIVATE)
        kind, values = on_the_air(self.algorithm, state)
        asked = self.algorithm.participation.asked(clients, random)
        given = exchange.send_file(kind, EDGE, tuple(client.name for client in asked), values)
        reached = [client for client, received in zip(asked, given, strict=True) if received is not None]
        steps = {client.name: self._num_steps(client, random) for client in reached}
        staying = tuple(name for name, (_, lost) in steps.items() if not lost)
        answers = self.ask(staying, values, random)
        finished = []
        for name, (num_steps, lost) in steps.items():
            if not lost and name not in answers:
                continue  # nobody knows what it has computed
            stop_s = exchange.compute(name, "local training", num_steps * self._flops, (kind,), (kind,))
            if not lost:
                finished.append((stop_s, _weighing(name, answers[name].num_rows), answers[name].values))
        deadline_s = self.algorithm.participation.deadline_s
        merged = self.algorithm.aggregation.gather(exchange, kind, state, finished, deadline_s, random)
        return merged.state, exchange.report()

    def model_of(self, state: State) -> Any:
        """As `Algorithm.model_of`."""
        return self.algorithm.model_of(state)

    @property
    def _flops(self) -> float:
        return self.algorithm.cost.device_flops

    def _num_steps(self, client: Client, random: Random) -> tuple[int, bool]:
        """(steps that it takes, whether it falls away in the middle)."""
        num_steps = self.algorithm.training.num_steps
        lost_at = self.algorithm.participation.steps_before_loss(client, num_steps, random)
        return (num_steps, False) if lost_at is None else (lost_at, True)


def on_the_air(algorithm: Averaging, state: State) -> tuple[str, dict[str, Tensor]]:
    """(kind of payload, the state in the type that it is sent in)."""
    if isinstance(algorithm, Fpl):
        return "adapters", as_type(state, algorithm.dtype)
    return "weights", dict(state)


def train_alone(algorithm: Averaging, client: Client, content: Tensor, random: Random) -> Tensor:
    """What a client sends back, where it is: a round of its own, with nobody else, over no air.

    A round of one client is plain training, so that this is the algorithm's own training and no second one.

    Args:
        algorithm: as the edge has it.
        client: with its text.
        content: [num_bytes] uint8, what the edge has sent.
        random: of the round.

    Raises:
        PayloadError: the content is not a state of this algorithm.
    """
    alone = replace(_without_air(algorithm, client.name), participation=Participation(), aggregation=Open())
    start = alone.init(random)
    given = tensors_of(content, start)
    like = next(iter(start.values())).dtype
    state, _ = alone.round(as_type(given, like), (client,), random)
    return file_of(on_the_air(alone, state)[1])


def _without_air(algorithm: Averaging, name: NodeId) -> Averaging:
    nodes = {key: node for key, node in algorithm.network.nodes.items() if key in (EDGE, name)}
    ideal = (Ideal(),)
    return replace(algorithm, network=Network(nodes, {(name, EDGE): ideal, (EDGE, name): ideal}))


def _weighing(name: NodeId, num_rows: int) -> Client:
    """A client as the edge knows it: how many rows it has, and none of what stands in them."""
    return Client(name, torch.empty(num_rows, 0, dtype=torch.long))
