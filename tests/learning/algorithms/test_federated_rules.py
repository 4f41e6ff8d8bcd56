"""FedAvg, FedProx, FedAdam, FedYogi and SCAFFOLD on quadratics, beside plain references in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar, final

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gainnet.catalog.families import parse
from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.learning.algorithms.algorithm import Algorithm, weights_in
from gainnet.learning.algorithms.controlled import ControlledAveraging
from gainnet.learning.algorithms.costs import StepCost
from gainnet.learning.algorithms.methods import Setting
from gainnet.learning.clients import Client, LocalTraining, Participation, devices_of
from gainnet.network import Network

Doubles = NDArray[np.float64]
SIZE, STEPS, RATE, ROUNDS = 3, 4, 0.3, 5


@final
@dataclass(frozen=True)
class Quadratics:
    """The family of a model whose loss on a row is half its squared distance from the weights."""

    name: ClassVar[str] = "quadratic"
    peft_task: ClassVar[str | None] = None

    def task(self, model: Any, rows: Tensor) -> tuple[Tensor, Tensor]:
        return rows, rows

    def inputs(self, model: Any, given: Tensor, labels: Tensor) -> dict[str, Tensor]:
        return {"rows": given}

    def losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        return 0.5 * (logits - labels).square()

    def predicted(self, labels: Tensor) -> Tensor:
        return labels


class Quadratic(nn.Module):
    gainnet_family = Quadratics()

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.linspace(-1, 1, SIZE, dtype=torch.float64))

    def forward(self, rows: Tensor, use_cache: bool = False) -> Any:
        return SimpleNamespace(logits=self.w.expand_as(rows))


TARGETS = np.random.default_rng(3).standard_normal((4, SIZE))
WEIGHTS = np.array([2.0, 3.0, 4.0, 5.0])


@pytest.fixture
def quadratic_clients() -> tuple[Client, ...]:
    return tuple(
        Client(name, torch.from_numpy(np.tile(target, (int(count), 1))))
        for name, target, count in zip(devices_of(4), TARGETS, WEIGHTS, strict=True)
    )


def slope(w: Doubles, client: int) -> Doubles:
    return (w - TARGETS[client]) / SIZE  # a loss is a mean over predictions


def local(w: Doubles, client: int, change: Callable[[Doubles], Doubles] = np.zeros_like) -> Doubles:
    y = w.copy()
    for _ in range(STEPS):
        y = y - RATE * (slope(y, client) + change(y))
    return y


def mean_of(ended: list[Doubles]) -> Doubles:
    return np.average(ended, axis=0, weights=WEIGHTS)


def fedavg(w: Doubles) -> list[Doubles]:
    found = []
    for _ in range(ROUNDS):
        w = mean_of([local(w, i) for i in range(4)])
        found.append(w)
    return found


def fedprox(w: Doubles) -> list[Doubles]:
    found = []
    for _ in range(ROUNDS):
        w = mean_of([local(w, i, lambda y, x=w: 0.7 * (y - x)) for i in range(4)])  # type: ignore[misc]
        found.append(w)
    return found


def fedopt(w: Doubles, yogi: bool) -> list[Doubles]:
    m, v, found = np.zeros(SIZE), np.full(SIZE, 0.1**2), []
    for _ in range(ROUNDS):
        delta = mean_of([local(w, i) for i in range(4)]) - w
        m = 0.8 * m + 0.2 * delta
        v = v - 0.1 * delta**2 * np.sign(v - delta**2) if yogi else 0.9 * v + 0.1 * delta**2
        w = w + 0.05 * m / (np.sqrt(v) + 0.1)
        found.append(w)
    return found


OPTIONS = "rate=0.05, beta1=0.8, beta2=0.9, tau=0.1"
REFERENCES = {
    "fedavg": fedavg,
    "fedprox(mu=0.7)": fedprox,
    f"fedadam({OPTIONS})": lambda w: fedopt(w, False),
    f"fedyogi({OPTIONS})": lambda w: fedopt(w, True),
}


def bound(text: str, network: Network, participation: Participation | None = None, **training: Any) -> Algorithm:
    chosen = LocalTraining(**{"optimizer": "sgd", "rate": RATE, "num_steps": STEPS, "batch_size": 2, **training})
    setting = Setting(Quadratic(), network, chosen, participation or Participation(), SIZE)
    algorithm: Algorithm = parse("algorithm", text).bound(setting)[0]
    return algorithm


@pytest.mark.parametrize("text", REFERENCES)
def test_rounds_equal_a_plain_reference(
    text: str, network: Callable[..., Network], quadratic_clients: tuple[Client, ...]
) -> None:
    algorithm = bound(text, network())
    state = algorithm.init(Random.of(0))
    start = state["w"].numpy().copy()
    for index, wanted in enumerate(REFERENCES[text](start)):
        state, _ = algorithm.round(state, quadratic_clients, Random.of(0).child("round", index))
        np.testing.assert_allclose(state["w"].numpy(), wanted, rtol=0, atol=1e-12)
        assert list(weights_in(state)) == ["w"]


def test_scaffold_equals_a_plain_reference_with_half_of_the_clients(
    network: Callable[..., Network], quadratic_clients: tuple[Client, ...]
) -> None:
    half = Participation(share=0.5)
    algorithm = bound("scaffold(rate=0.9)", network(), half)
    state, x = algorithm.init(Random.of(0)), np.linspace(-1, 1, SIZE)
    c, own = np.zeros(SIZE), np.zeros((4, SIZE))
    for index in range(8):
        random = Random.of(0).child("round", index)
        state, report = algorithm.round(state, quadratic_clients, random)
        asked = [int(client.name[-1]) for client in half.select(quadratic_clients, random)]
        ended, fresh = {}, {}
        for i in asked:
            ended[i] = local(x, i, lambda y, shift=c - own[i]: shift)  # type: ignore[misc]
            fresh[i] = own[i] - c + (x - ended[i]) / (STEPS * RATE)
        x = x + 0.9 * np.mean([ended[i] - x for i in asked], axis=0)
        c = c + sum(fresh[i] - own[i] for i in asked) / 4
        for i in asked:
            own[i] = fresh[i]
        np.testing.assert_allclose(state["w"].numpy(), x, rtol=0, atol=1e-12)
        np.testing.assert_allclose(state["control/common/w"].numpy(), c, rtol=0, atol=1e-12)
    # Weights and variate, of every client that is asked.
    assert report.num_bits_of("up") >= 2 * 2 * SIZE * 64


@pytest.mark.slow
def test_scaffold_reaches_the_common_optimum_where_averaging_drifts(
    network: Callable[..., Network],
) -> None:
    # Quadratics of other curvature would drift; here each client takes few rows, so that all count alike.
    clients = [Client(name, torch.from_numpy(TARGETS[i : i + 1])) for i, name in enumerate(devices_of(4))]
    algorithm = bound("scaffold", network())
    state = algorithm.init(Random.of(0))
    for index in range(25):
        state, _ = algorithm.round(state, clients, Random.of(0).child("round", index))
    np.testing.assert_allclose(state["w"].numpy(), TARGETS.mean(0), atol=1e-2)


def test_scaffold_asks_for_plain_steps(network: Callable[..., Network]) -> None:
    with pytest.raises(ConfigError, match=r"^optimizer: scaffold .*; choose sgd$"):
        ControlledAveraging(Quadratic(), network(), LocalTraining(), StepCost(0, 0, 0, 0, 0))


def test_parts_of_a_batch_take_the_step_of_the_batch(
    network: Callable[..., Network], quadratic_clients: tuple[Client, ...]
) -> None:
    states = []
    for num_parts in (1, 4):
        algorithm = bound("fedavg", network(), batch_size=8, num_parts=num_parts)
        states.append(algorithm.round(algorithm.init(Random.of(0)), quadratic_clients, Random.of(0))[0]["w"])
    torch.testing.assert_close(states[0], states[1], rtol=0, atol=1e-12)
