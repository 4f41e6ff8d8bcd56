"""Federated prompt learning: the backbone is locked, devices train and send a few values that guide it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, final

import torch

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.report import Report
from gainnet.learning.adapters import Form, attach, load_adapter, values_of_adapter
from gainnet.learning.aggregation import Aggregation, Open, ProductMean
from gainnet.learning.algorithm import State
from gainnet.learning.clients import Client, LocalTraining, Participation
from gainnet.learning.costs import StepCost
from gainnet.learning.exchange import Exchange
from gainnet.learning.fedavg import train_locally
from gainnet.learning.merging import low_rank, updates_of
from gainnet.learning.payloads import PRIVATE, as_type
from gainnet.network.network import Network
from gainnet.network.scenario import EDGE


class Steps(Protocol):
    """How a client trains in a round."""

    def __call__(self, model: Any, training: LocalTraining, client: Client, num_steps: int, random: Random, /) -> None:
        """Trains the parameters of a model that are not locked, in their place."""


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
    _models: dict[int, Any] = field(default_factory=dict, init=False, repr=False)

    def init(self, random: Random) -> State:
        """What PEFT starts with, whatever was trained before: it changes little or nothing."""
        return values_of_adapter(attach(self.model, self.form, self.size))

    def round(self, state: State, clients: Sequence[Client], random: Random) -> tuple[State, Report]:
        """As `Algorithm.round`.

        Raises:
            ConfigError: a client has a rank of its own, and what is trained or how it is merged has none.
        """
        exchange = Exchange(self.network, random, PRIVATE)
        asked = self.participation.asked(clients, random)
        aggregation = self._aggregation_of(asked)
        finished = []
        for client, values in self._given(exchange, state, asked):
            model = self._model(client.rank or self.size)
            load_adapter(model, values)
            lost_at = self.participation.steps_before_loss(client, self.training.num_steps, random)
            num_steps = self.training.num_steps if lost_at is None else lost_at
            self.steps(model, self.training, client, num_steps, random)
            flops = num_steps * self.cost.device_flops
            stop_s = exchange.compute(client.name, "local training", flops, ("adapters",), ("adapters",))
            if lost_at is None:
                finished.append((stop_s, client, as_type(values_of_adapter(model), self.dtype)))
        merged = aggregation.gather(exchange, "adapters", state, finished, self.participation.deadline_s, random)
        return merged.state, exchange.report()

    def model_of(self, state: State) -> Any:
        """The model with the adapters of a state."""
        model = self._model(self.size)
        load_adapter(model, state)
        return model

    def _model(self, size: int) -> Any:
        if size not in self._models:
            self._models[size] = attach(self.model, self.form, size)
        return self._models[size]

    def _given(
        self, exchange: Exchange, state: State, asked: Sequence[Client]
    ) -> list[tuple[Client, Mapping[str, torch.Tensor]]]:
        """Who has what: one broadcast to all of one rank."""
        ranks = {client.name: client.rank or self.size for client in asked}
        if set(ranks.values()) - {self.size} and self.form != "lora":
            raise ConfigError(f"rank: a client has a rank of its own, and {self.form} has none; choose lora")
        received: dict[str, Mapping[str, torch.Tensor]] = {}
        for rank in sorted(set(ranks.values())):
            names = tuple(client.name for client in asked if ranks[client.name] == rank)
            values = state if rank == self.size else low_rank(updates_of(state), rank)
            files = exchange.send_file("adapters", EDGE, names, as_type(values, self.dtype))
            received |= {name: values for name, values in zip(names, files, strict=True) if values is not None}
        return [(client, received[client.name]) for client in asked if client.name in received]

    def _aggregation_of(self, asked: Sequence[Client]) -> Aggregation:
        """Averaging factors of LoRA apart needs equal ranks; else products are averaged."""
        if all((client.rank or self.size) == self.size for client in asked):
            return self.aggregation
        if self.aggregation != Open():
            raise ConfigError("rank: only the weighted mean merges ranks that differ; leave ranks or aggregation out")
        return Open(ProductMean(self.size))
