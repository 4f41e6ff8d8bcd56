"""FedAvg: every device trains the whole model, the edge averages (McMahan et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, final

import torch

from gainnet.core.randomness import Random
from gainnet.core.report import Report
from gainnet.learning.algorithms.aggregation import Aggregation, Open
from gainnet.learning.algorithms.algorithm import State, load_values, values_of
from gainnet.learning.algorithms.averaging import Place, averaging_round, in_this_process, train_locally
from gainnet.learning.algorithms.costs import StepCost
from gainnet.learning.clients import Client, LocalTraining, Participation
from gainnet.learning.exchange import Exchange
from gainnet.network.network import Network
from gainnet.network.scenario import EDGE


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
        place: where the devices are.
    """

    model: Any
    network: Network
    training: LocalTraining
    cost: StepCost
    participation: Participation = field(default_factory=Participation)
    aggregation: Aggregation = field(default_factory=Open)
    place: Place = in_this_process
    _start: dict[str, torch.Tensor] = field(default_factory=dict, init=False, repr=False)
    kind: ClassVar[str] = "weights"

    def __post_init__(self) -> None:
        # One model serves all clients in turn, so that what it was is kept apart.
        self._start.update(values_of(self.model))

    def init(self, random: Random) -> State:
        """The model as it was."""
        return dict(self._start)

    def round(self, state: State, clients: Sequence[Client], random: Random) -> tuple[State, Report]:
        """As `Algorithm.round`."""
        return averaging_round(self, state, clients, random)

    def model_of(self, state: State) -> Any:
        """The model with the weights of a state."""
        load_values(self.model, state)
        return self.model

    def on_the_air(self, state: State) -> State:
        """The state in the type that it is sent in: weights travel as they are."""
        return state

    def hand_out(self, exchange: Exchange, state: State, asked: Sequence[Client]) -> dict[Client, State]:
        """Values as they arrive at each client, by one broadcast; clients that lost them are left out."""
        files = exchange.send_file(self.kind, EDGE, tuple(client.name for client in asked), state)
        return {client: values for client, values in zip(asked, files, strict=True) if values is not None}

    def aggregation_for(self, asked: Sequence[Client]) -> Aggregation:
        """How the edge merges what these clients send."""
        return self.aggregation

    def train_client(self, client: Client, given: State, random: Random) -> State:
        """Values that a client has trained, in the type of the air."""
        load_values(self.model, given)
        train_locally(self.model, self.training, client, self.training.num_steps, random)
        return values_of(self.model)
