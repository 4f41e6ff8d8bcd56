"""FedAvg: every device trains the whole model, the edge averages (McMahan et al. 2017); and the round of averaging.

Clients train alone between two messages, and the edge makes one state of what they send.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, final

import torch

from gainnet.core.randomness import Random
from gainnet.core.report import Report
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.algorithm import (
    Aggregation,
    Open,
    State,
    load_values,
    trained_values,
    weights_in,
)
from gainnet.learning.algorithms.costs import StepCost
from gainnet.learning.clients import Client, LocalTraining, Participation
from gainnet.learning.exchange import PRIVATE, Exchange, Uplink
from gainnet.models.language import inputs_of, loss_of, task_of
from gainnet.network import EDGE, Network

if TYPE_CHECKING:
    from gainnet.learning.algorithms.controlled import ControlledAveraging
    from gainnet.learning.algorithms.flora import Flora
    from gainnet.learning.algorithms.fpl import Fpl

Steps = Callable[[Any, LocalTraining, Client, int, Random], None]
"""How a client trains in a round, so many steps: the parameters of a model that are not locked, in their place."""


@final
@dataclass(frozen=True)
class Trained:
    """Values that a client sends back.

    Args:
        values: what it has trained, by name, in the type of the air.
        client: who it is, and how much text it has: what it counts in an average.
    """

    values: State
    client: Client


Place = Callable[
    ["FedAvg | Fpl | Flora | ControlledAveraging", Mapping[Client, State], State, Random], Mapping[NodeId, Trained]
]
"""Where the clients are: answers that came back in time, by name; a missing client has fallen away.

It is given the algorithm, which trains one client where it is, what has arrived at each client that trains to the end,
the state of the edge in the type of the air, and the streams of the round.
"""


def averaging_round(
    algorithm: FedAvg | Fpl | Flora | ControlledAveraging, state: State, clients: Sequence[Client], random: Random
) -> tuple[State, Report]:
    """As `Algorithm.round`.

    edge ==values==> devices: steps ==values==> edge: aggregation

    A client that falls away in the middle of its training is booked up to there; one that only never answers is not,
    since nobody knows what it has computed.
    """
    exchange, num_steps = Exchange(algorithm.network, random, PRIVATE), algorithm.training.num_steps
    asked = algorithm.participation.select(clients, random)
    aggregation = algorithm.aggregation_for(asked)
    # Samples of clients that nobody knows beforehand can be empty.
    given = algorithm.hand_out(exchange, state, asked) if asked else {}
    lost_at = {client: algorithm.participation.steps_before_loss(client, num_steps, random) for client in given}
    # What a client would have trained before it fell away reaches nobody, so only those who stay are trained.
    staying = {client: values for client, values in given.items() if lost_at[client] is None}
    answers = algorithm.place(algorithm, staying, algorithm.on_the_air(state), random)
    finished = []
    for client, lost in lost_at.items():
        if lost is None and client.name not in answers:
            continue
        # The cost is that of a part of a mini-batch, which is what a device has in memory.
        flops = (num_steps if lost is None else lost) * algorithm.training.num_parts * algorithm.cost.device_flops
        stop_s = exchange.compute(client.name, "local training", flops, (algorithm.kind,), (algorithm.kind,))
        if lost is None:
            finished.append((stop_s, answers[client.name].client, answers[client.name].values))
    uplink = Uplink(exchange, algorithm.kind, algorithm.participation.deadline_s)
    merged = aggregation.gather(uplink, state, finished, random)
    return merged.state, exchange.report()


def on_this_machine(
    algorithm: FedAvg | Fpl | Flora | ControlledAveraging,
    given: Mapping[Client, State],
    values: State,
    random: Random,
) -> dict[NodeId, Trained]:
    """A `Place`: one client after the other, on one model."""
    return {c.name: Trained(algorithm.train_client(c, held, random), c) for c, held in given.items()}


def weighing(name: NodeId, num_rows: int) -> Client:
    """A client as the edge knows it: how many rows it has, and none of what stands in them.

    >>> weighing(NodeId("device_0"), 12).weight
    12.0
    """
    return Client(name, torch.empty(num_rows, 0, dtype=torch.long))


def train_locally(
    model: Any,
    training: LocalTraining,
    client: Client,
    num_steps: int,
    random: Random,
    correct: Callable[[], None] = lambda: None,
) -> None:
    """Plain steps of a client on its own text; parameters that are locked stay as they are.

    Args:
        model: whose parameters are trained in their place.
        training: of the client.
        client: with its text.
        num_steps: mini-batches.
        random: of the round.
        correct: changes the gradients of a mini-batch, summed over its parts, before the optimizer takes its step.
    """
    optimizer = training.start([p for p in model.parameters() if p.requires_grad])
    for step in range(num_steps):
        for part, rows in enumerate(training.parts(client, random, step)):
            with training.computing([model], random, client.name, step, part):
                plain_step(model, rows)
        correct()
        training.move(optimizer)


def plain_step(model: Any, rows: torch.Tensor) -> torch.Tensor:
    """Gradients of the mean loss over rows [batch, length], added to `.grad`; the loss."""
    tokens, labels = task_of(model, rows)
    loss = loss_of(model, model(**inputs_of(model, tokens, labels), use_cache=False).logits, labels)
    loss.backward()
    return loss.detach()


@final
@dataclass(frozen=True, eq=False)
class FedAvg:
    """Full fine-tuning on every device.

    edge ==weights==> devices: steps on the whole model ==weights==> edge: weighted mean

    A device that falls away or comes too late is left out of the mean, and nothing else changes.

    Args:
        model: of transformers; its parameters are the start, and scratch afterwards.
        network: edge and devices.
        training: what a device trains in a round.
        cost: of one step on one device.
        participation: who takes part.
        aggregation: how the edge makes one state of theirs.
        steps: how a client trains in a round.
        place: where the devices are.
    """

    model: Any
    network: Network
    training: LocalTraining
    cost: StepCost
    participation: Participation = field(default_factory=Participation)
    aggregation: Aggregation = field(default_factory=Open)
    steps: Steps = train_locally
    place: Place = on_this_machine
    _start: dict[str, torch.Tensor] = field(default_factory=dict, init=False, repr=False)
    kind: ClassVar[str] = "weights"

    def __post_init__(self) -> None:
        # One model serves all clients in turn, so that what it was is kept apart.
        self._start.update(trained_values(self.model))

    def init(self, random: Random) -> State:
        """The model as it was."""
        return dict(self._start)

    def round(self, state: State, clients: Sequence[Client], random: Random) -> tuple[State, Report]:
        """As `Algorithm.round`."""
        return averaging_round(self, state, clients, random)

    def model_of(self, state: State) -> Any:
        """The model with the weights of a state."""
        load_values(self.model, weights_in(state))
        return self.model

    def on_the_air(self, state: State) -> State:
        """The state in the type that it is sent in: weights travel as they are."""
        return weights_in(state)

    def hand_out(self, exchange: Exchange, state: State, asked: Sequence[Client]) -> dict[Client, State]:
        """Values as they arrive at each client, by one broadcast; clients that lost them are left out."""
        targets = tuple(client.name for client in asked)
        files = exchange.send_file(self.kind, EDGE, targets, self.on_the_air(state))
        return {client: values for client, values in zip(asked, files, strict=True) if values is not None}

    def aggregation_for(self, asked: Sequence[Client]) -> Aggregation:
        """How the edge merges what these clients send."""
        return self.aggregation

    def train_client(self, client: Client, given: State, random: Random) -> State:
        """Values that a client has trained, in the type of the air."""
        load_values(self.model, given)
        self.steps(self.model, self.training, client, self.training.num_steps, random)
        return trained_values(self.model)
