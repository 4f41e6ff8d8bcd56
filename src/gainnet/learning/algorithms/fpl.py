"""Federated prompt learning: the backbone is locked, devices train and send a few values that guide it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, final

import torch

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.report import Report
from gainnet.learning.algorithms.adapters import Form, attach, load_adapter, values_of_adapter
from gainnet.learning.algorithms.algorithm import Aggregation, Open, State, as_type
from gainnet.learning.algorithms.costs import StepCost
from gainnet.learning.algorithms.fedavg import Place, Steps, averaging_round, on_this_machine, train_locally
from gainnet.learning.algorithms.merging import ProductMean, low_rank, updates_of
from gainnet.learning.clients import Client, LocalTraining, Participation
from gainnet.learning.exchange import Exchange
from gainnet.network import EDGE, Network


@final
@dataclass(frozen=True, eq=False)
class Fpl:
    """Soft prompts, LoRA or adapters, averaged by the edge; every device holds the locked backbone already.

    edge ==adapters==> devices: steps on the adapters ==adapters==> edge: mean

    Clients of one rank are averaged tensor by tensor. Where ranks of LoRA differ, a client gets the best approximation
    of the common update that its rank allows, and the edge averages products.

    Args:
        model: of transformers; its values are never changed.
        network: edge and devices.
        training: what a device trains in a round.
        cost: of one step on one device.
        form: soft_prompt, lora or adapter.
        size: virtual tokens, or rank.
        dtype: type of the values on the air.
        participation: who takes part.
        aggregation: how the edge makes one state of theirs; ranks that differ leave it no choice.
        steps: how a client trains in a round.
        place: where the devices are.
    """

    model: Any
    network: Network
    training: LocalTraining
    cost: StepCost
    form: Form
    size: int
    dtype: torch.dtype = torch.float16
    participation: Participation = field(default_factory=Participation)
    aggregation: Aggregation = field(default_factory=Open)
    steps: Steps = train_locally
    place: Place = on_this_machine
    _models: dict[int, Any] = field(default_factory=dict, init=False, repr=False)
    kind: ClassVar[str] = "adapters"

    def init(self, random: Random) -> State:
        """The first values of PEFT, whatever was trained before: they change little or nothing."""
        return values_of_adapter(attach(self.model, self.form, self.size))

    def round(self, state: State, clients: Sequence[Client], random: Random) -> tuple[State, Report]:
        """As `Algorithm.round`.

        Raises:
            ConfigError: a client has a rank of its own, and what is trained or how it is merged has none.
        """
        return averaging_round(self, state, clients, random)

    def model_of(self, state: State) -> Any:
        """The model with the adapters of a state."""
        model = self._model(self.size)
        load_adapter(model, state)
        return model

    def _model(self, size: int) -> Any:
        if size not in self._models:
            self._models[size] = attach(self.model, self.form, size)
        return self._models[size]

    def on_the_air(self, state: State) -> State:
        """The state in the type that it is sent in: adapters travel in a smaller type than they are trained in."""
        return as_type(state, self.dtype)

    def hand_out(self, exchange: Exchange, state: State, asked: Sequence[Client]) -> dict[Client, State]:
        """Values as they arrive at each client, by one broadcast to all of one rank; who lost them is left out."""
        ranks = {client: client.rank or self.size for client in asked}
        if set(ranks.values()) - {self.size} and self.form != "lora":
            raise ConfigError(f"rank: a client has a rank of its own, and {self.form} has none; choose lora")
        received: dict[Client, State] = {}
        for rank in sorted(set(ranks.values())):
            members = [client for client in asked if ranks[client] == rank]
            # Singular values in falling order: the best approximation of each rank (Eckart and Young 1936).
            values = state if rank == self.size else low_rank(updates_of(state), rank)
            files = exchange.send_file(self.kind, EDGE, tuple(c.name for c in members), self.on_the_air(values))
            received |= {client: values for client, values in zip(members, files, strict=True) if values is not None}
        # Back in the order in which clients are served, whatever their ranks.
        return {client: received[client] for client in asked if client in received}

    def aggregation_for(self, asked: Sequence[Client]) -> Aggregation:
        """How the edge merges what these clients send: factors of LoRA at equal ranks alone, else their products."""
        if all((client.rank or self.size) == self.size for client in asked):
            return self.aggregation
        if self.aggregation not in (Open(), Open(ProductMean(self.size))):
            raise ConfigError("rank: only the weighted mean merges ranks that differ; leave ranks or aggregation out")
        return Open(ProductMean(self.size))

    def train_client(self, client: Client, given: State, random: Random) -> State:
        """Values that a client has trained, in the type of the air."""
        model = self._model(client.rank or self.size)
        load_adapter(model, given)
        self.steps(model, self.training, client, self.training.num_steps, random)
        return self.on_the_air(values_of_adapter(model))
