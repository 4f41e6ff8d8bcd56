"""FLoRA: LoRA whose products are averaged exactly, by stacking factors (Wang et al. 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, final

import torch

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.report import Report
from gainnet.learning.algorithms.adapters import attach, fold, load_adapter, values_of_adapter
from gainnet.learning.algorithms.algorithm import Aggregation, Algorithm, Open, State, as_type
from gainnet.learning.algorithms.costs import StepCost
from gainnet.learning.algorithms.fedavg import FedAvg, Place, Steps, averaging_round, on_this_machine, train_locally
from gainnet.learning.algorithms.fpl import Fpl
from gainnet.learning.algorithms.merging import FIRST, StackedMean
from gainnet.learning.clients import Client, LocalTraining, Participation
from gainnet.learning.exchange import Exchange
from gainnet.network import EDGE, Network


@final
@dataclass(frozen=True, eq=False)
class Flora:
    """LoRA of any ranks on a locked backbone; the edge stacks the factors of all clients and all rounds.

    edge ==stack==> devices: stack into the backbone, steps on fresh factors ==factors==> edge: longer stack

    The stack is exact, and costs: its rank is the sum of all, so that the way down grows by the round until it is as
    wide as the maps themselves.

    Args:
        model: of transformers; its values are never changed.
        network: edge and devices.
        training: what a device trains in a round.
        cost: of one step on one device.
        size: rank of a client's factors.
        dtype: type of the values on the air.
        participation: who takes part.
        aggregation: how the edge makes one state of theirs; only a stack fits.
        steps: how a client trains in a round.
        place: where the devices are.
    """

    model: Any
    network: Network
    training: LocalTraining
    cost: StepCost
    size: int
    dtype: torch.dtype = torch.float16
    participation: Participation = field(default_factory=Participation)
    aggregation: Aggregation = field(default_factory=lambda: Open(StackedMean()))
    steps: Steps = train_locally
    place: Place = on_this_machine
    kind: ClassVar[str] = "adapters"

    def init(self, random: Random) -> State:
        """The first values of PEFT: their product is zero."""
        return values_of_adapter(attach(self.model, "lora", self.size))

    def round(self, state: State, clients: Sequence[Client], random: Random) -> tuple[State, Report]:
        """As `Algorithm.round`."""
        return averaging_round(self, state, clients, random)

    def model_of(self, state: State) -> Any:
        """The model with the stack of a state."""
        model = attach(self.model, "lora", next(len(x) for name, x in state.items() if name.endswith(FIRST)))
        load_adapter(model, state)
        return model

    def on_the_air(self, state: State) -> State:
        """The state in the type that it is sent in."""
        return as_type(state, self.dtype)

    def hand_out(self, exchange: Exchange, state: State, asked: Sequence[Client]) -> dict[Client, State]:
        """The stack as it arrives at each client, by one broadcast; clients that lost it are left out."""
        targets = tuple(client.name for client in asked)
        files = exchange.send_file(self.kind, EDGE, targets, self.on_the_air(state))
        return {client: values for client, values in zip(asked, files, strict=True) if values is not None}

    def aggregation_for(self, asked: Sequence[Client]) -> Aggregation:
        """How the edge merges what these clients send."""
        return self.aggregation

    def train_client(self, client: Client, given: State, random: Random) -> State:
        """Fresh factors that a client has trained on the stack, in the type of the air."""
        # Always the same first factors, which are public: what differs between clients is what they have learned.
        model = attach(fold(self.model_of(given)), "lora", client.rank or self.size)
        self.steps(model, self.training, client, self.training.num_steps, random)
        return self.on_the_air(values_of_adapter(model))


def as_averaging(algorithm: Algorithm) -> FedAvg | Fpl | Flora:
    """An algorithm whose clients train alone between two messages; raises `ConfigError` for any other."""
    if not isinstance(algorithm, FedAvg | Fpl | Flora):
        raise ConfigError("algorithm: only fedavg, soft_prompt, lora and adapter average what clients send; choose one")
    return algorithm
