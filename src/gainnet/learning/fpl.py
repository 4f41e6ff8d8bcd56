"""Federated prompt learning: the backbone is locked, devices train and send a few values that guide it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import torch

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.report import Report
from gainnet.learning.adapters import Form, attach, load_adapter, values_of_adapter
from gainnet.learning.algorithm import State
from gainnet.learning.clients import Client, LocalTraining, Participation
from gainnet.learning.costs import StepCost
from gainnet.learning.exchange import Exchange
from gainnet.learning.fedavg import collect_all, train_locally
from gainnet.learning.merging import low_rank, merge_products, merge_weighted, updates_of
from gainnet.learning.payloads import PRIVATE, as_type
from gainnet.network.network import Network
from gainnet.network.scenario import EDGE


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
    """

    model: Any
    network: Network
    training: LocalTraining
    cost: StepCost
    form: Form
    size: int
    dtype: torch.dtype = torch.float16
    participation: Participation = field(default_factory=Participation)
    _models: dict[int, Any] = field(default_factory=dict, init=False, repr=False)

    def init(self, random: Random) -> State:
        """What PEFT starts with: it changes little or nothing."""
        return values_of_adapter(self._model(self.size))

    def round(self, state: State, clients: Sequence[Client], random: Random) -> tuple[State, Report]:
        """As `Algorithm.round`.

        Raises:
            ConfigError: a client has a rank of its own, and what is trained has none.
        """
        exchange = Exchange(self.network, random, PRIVATE)
        finished = []
        for client, values in self._given(exchange, state, self.participation.asked(clients, random)):
            model = self._model(client.rank or self.size)
            load_adapter(model, values)
            lost_at = self.participation.steps_before_loss(client, self.training.num_steps, random)
            num_steps = self.training.num_steps if lost_at is None else lost_at
            train_locally(model, self.training, client, num_steps, random)
            flops = num_steps * self.cost.device_flops
            stop_s = exchange.compute(client.name, "local training", flops, ("adapters",), ("adapters",))
            if lost_at is None:
                finished.append((stop_s, client, as_type(values_of_adapter(model), self.dtype)))
        arrived = collect_all(exchange, "adapters", finished, self.participation.deadline_s)
        return self._merged(state, arrived), exchange.report()

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

    def _merged(self, state: State, arrived: Sequence[tuple[Client, State]]) -> State:
        if not arrived:
            return state
        weights = [client.weight for client, _ in arrived]
        states = [as_type(values, torch.float32) for _, values in arrived]
        if any((client.rank or self.size) != self.size for client, _ in arrived):
            return merge_products(states, weights, self.size)
        return merge_weighted(states, weights)
