"""FedAvg: every device trains the whole model, the edge averages (McMahan et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, final

import torch

from gainnet.core.randomness import Random
from gainnet.core.report import Report
from gainnet.learning.aggregation import Aggregation, Open
from gainnet.learning.algorithm import State, load_values, values_of
from gainnet.learning.clients import Client, LocalTraining, Participation
from gainnet.learning.costs import StepCost
from gainnet.learning.exchange import Exchange
from gainnet.learning.payloads import PRIVATE
from gainnet.models.language import inputs_of, loss_of, task_of
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
    """

    model: Any
    network: Network
    training: LocalTraining
    cost: StepCost
    participation: Participation = field(default_factory=Participation)
    aggregation: Aggregation = field(default_factory=Open)
    _start: dict[str, torch.Tensor] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        self._start.update(values_of(self.model))

    def init(self, random: Random) -> State:
        """The model as it was."""
        return dict(self._start)

    def round(self, state: State, clients: Sequence[Client], random: Random) -> tuple[State, Report]:
        """As `Algorithm.round`."""
        exchange = Exchange(self.network, random, PRIVATE)
        asked = self.participation.asked(clients, random)
        given = exchange.send_file("weights", EDGE, tuple(c.name for c in asked), state)
        finished = []
        for client, values in zip(asked, given, strict=True):
            if values is None:
                continue
            load_values(self.model, values)
            lost_at = self.participation.steps_before_loss(client, self.training.num_steps, random)
            num_steps = self.training.num_steps if lost_at is None else lost_at
            train_locally(self.model, self.training, client, num_steps, random)
            flops = num_steps * self.cost.device_flops
            stop_s = exchange.compute(client.name, "local training", flops, ("weights",), ("weights",))
            if lost_at is None:
                finished.append((stop_s, client, values_of(self.model)))
        merged = self.aggregation.gather(exchange, "weights", state, finished, self.participation.deadline_s, random)
        return merged.state, exchange.report()

    def model_of(self, state: State) -> Any:
        """The model with the weights of a state."""
        load_values(self.model, state)
        return self.model


def train_locally(model: Any, training: LocalTraining, client: Client, num_steps: int, random: Random) -> None:
    """Plain steps of a client on its own text; parameters that are locked stay as they are."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = training.start(parameters)
    for step in range(num_steps):
        plain_step(model, training.batch(client, random, step))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def plain_step(model: Any, rows: torch.Tensor) -> torch.Tensor:
    """Gradients of the mean loss over rows, added to `.grad`; the loss."""
    tokens, labels = task_of(model, rows)
    loss = loss_of(model, model(**inputs_of(model, tokens, labels), use_cache=False).logits, labels)
    loss.backward()
    return loss.detach()
