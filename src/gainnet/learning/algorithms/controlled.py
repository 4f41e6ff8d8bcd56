"""SCAFFOLD: steps corrected by how a client's gradients differ from everybody's (Karimireddy et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, final

import torch

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.report import Report
from gainnet.learning.algorithms.algorithm import (
    Aggregation,
    Arrived,
    Merged,
    Open,
    State,
    average,
    load_values,
    names_of,
    trained_values,
    weights_in,
)
from gainnet.learning.algorithms.costs import StepCost
from gainnet.learning.algorithms.fedavg import Place, averaging_round, on_this_machine, train_locally
from gainnet.learning.clients import Client, LocalTraining, Participation
from gainnet.learning.exchange import Exchange
from gainnet.network import EDGE, Network

COMMON, OWN = "control/common/", "control/own/"
"""Where a state keeps the control variate of the edge, and what crosses that of one client."""


def _of_client(client: Client) -> str:
    return f"control/client/{client.name}/"


@final
@dataclass(frozen=True)
class ControlledMean:
    r"""The edge's half of SCAFFOLD: $x \leftarrow x + \eta_g \overline{(y_i - x)}, \;
    c \leftarrow c + \frac{|S|}{N} \overline{(c_i^+ - c_i)}$, both means over the clients $S$ that arrived.

    Args:
        num_clients: $N$, all clients.
        rate: $\eta_g > 0$.
    """

    num_clients: int
    rate: float = 1.0

    def __call__(self, start: State, arrived: Arrived, random: Random) -> Merged:
        """As `Rule`."""
        if not arrived:
            return Merged(start)
        state, weights = dict(start), weights_in(start)
        # Every client counts alike, as in the paper: their controls add up to zero only then.
        mean = average([values for _, values in arrived], [1.0] * len(arrived))
        for name, x in weights.items():
            state[name] = (x.double() + self.rate * (mean[name].double() - x.double())).to(x.dtype)
            zero = torch.zeros_like(x)
            change = sum(
                (values[OWN + name].double() - start.get(_of_client(client) + name, zero).double())
                for client, values in arrived
            )
            state[COMMON + name] = (start[COMMON + name].double() + change / self.num_clients).to(x.dtype)
        for client, values in arrived:
            state |= {_of_client(client) + name: values[OWN + name] for name in weights}
        return Merged(state, names_of(arrived))


@final
@dataclass(frozen=True, eq=False)
class ControlledAveraging:
    r"""Full fine-tuning with SCAFFOLD: clients whose text differs do not drift apart.

    edge ==weights, c==> devices: steps along g_i - c_i + c ==weights, c_i==> edge: means

    $c_i^+ = c_i - c + (x - y_i) / (K \eta)$   (option II of the paper)

    What crosses is twice the weights, both ways. A client's own variate stays with it; the state holds it so that a
    stopped run goes on. A client that falls away keeps the one it had.

    Args:
        model: of transformers; its parameters are the start, and scratch afterwards.
        network: edge and all devices.
        training: what a device trains in a round; its optimizer is sgd.
        cost: of one step on one device.
        rate: of the edge's step, > 0.
        participation: who takes part.
        place: where the devices are.

    Raises:
        ConfigError: the optimizer of the clients is another one.
    """

    model: Any
    network: Network
    training: LocalTraining
    cost: StepCost
    rate: float = 1.0
    participation: Participation = field(default_factory=Participation)
    place: Place = on_this_machine
    _start: dict[str, torch.Tensor] = field(default_factory=dict, init=False, repr=False)
    kind: ClassVar[str] = "weights"

    def __post_init__(self) -> None:
        if self.training.optimizer != "sgd":
            raise ConfigError("optimizer: scaffold corrects plain gradient steps; choose sgd")
        self._start.update(trained_values(self.model))

    def init(self, random: Random) -> State:
        """The model as it was, and variates of zero."""
        return {**self._start, **{COMMON + name: torch.zeros_like(x) for name, x in self._start.items()}}

    def round(self, state: State, clients: Sequence[Client], random: Random) -> tuple[State, Report]:
        """As `Algorithm.round`."""
        return averaging_round(self, state, clients, random)

    def model_of(self, state: State) -> Any:
        """The model with the weights of a state."""
        load_values(self.model, weights_in(state))
        return self.model

    def on_the_air(self, state: State) -> State:
        """Weights and the common variate, as they are broadcast."""
        return {**weights_in(state), **{name: x for name, x in state.items() if name.startswith(COMMON)}}

    def hand_out(self, exchange: Exchange, state: State, asked: Sequence[Client]) -> dict[Client, State]:
        """Values as they arrive at each client, by one broadcast, beside its own variate."""
        files = exchange.send_file(self.kind, EDGE, tuple(c.name for c in asked), self.on_the_air(state))
        return {c: self._with_own(c, state, x) for c, x in zip(asked, files, strict=True) if x is not None}

    def _with_own(self, client: Client, state: State, given: State) -> State:
        zeros = {name: torch.zeros_like(x) for name, x in weights_in(given).items()}
        return {**given, **{OWN + name: state.get(_of_client(client) + name, x) for name, x in zeros.items()}}

    def aggregation_for(self, asked: Sequence[Client]) -> Aggregation:
        """How the edge merges what these clients send."""
        num_clients = sum(node.kind == "device" for node in self.network.nodes.values())
        return Open(ControlledMean(num_clients, self.rate))

    def train_client(self, client: Client, given: State, random: Random) -> State:
        """Weights and variate of a client after its steps."""
        start, training = weights_in(given), self.training
        load_values(self.model, start)
        trained = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        shifts = {n: (given[COMMON + n] - given[OWN + n]).to(p.device) for n, p in trained.items()}

        def correct() -> None:
            for name, p in trained.items():
                p.grad = shifts[name].clone() if p.grad is None else p.grad.add_(shifts[name])

        train_locally(self.model, training, client, training.num_steps, random, correct)
        ended, scale = trained_values(self.model), 1.0 / (training.num_steps * training.rate)
        own = {OWN + n: given[OWN + n] - given[COMMON + n] + (start[n] - y) * scale for n, y in ended.items()}
        return {**ended, **own}
