"""Privacy: the accountant against the exact law of Gaussian noise, clipping and noise against their definitions."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from scipy.optimize import brentq
from scipy.stats import norm

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.adapters import attach
from gainnet.learning.algorithms.fedavg import plain_step
from gainnet.learning.clients import Client, LocalTraining
from gainnet.learning.safeguards.privacy import (
    PrivateMean,
    PrivateSteps,
    clip,
    noise_for,
    noisy_mean,
    row_gradients,
    spent_epsilon,
)

DELTA = 1e-5


def exact_epsilon(noise_multiplier: float, num_releases: int, delta: float) -> float:
    """Of Gaussian noise without sampling: delta(eps) is known in closed form (Balle and Wang 2018, theorem 8)."""
    mu = math.sqrt(num_releases) / noise_multiplier

    def excess(eps: float) -> float:
        return float(norm.cdf(mu / 2 - eps / mu) - math.exp(eps) * norm.cdf(-mu / 2 - eps / mu)) - delta

    return float(brentq(excess, 0.0, 200.0))


@pytest.mark.parametrize(("noise", "releases"), [(1.0, 1), (2.0, 1), (1.5, 6), (5.0, 40), (40.0, 10)])
def test_the_accountant_is_above_the_exact_law_and_near_it(noise: float, releases: int) -> None:
    exact = exact_epsilon(noise, releases, DELTA)
    assert exact <= spent_epsilon(noise, 1.0, releases, DELTA) <= 1.15 * exact + 0.02


@pytest.mark.parametrize(("noise", "rate", "releases"), [(0.8, 0.2, 6), (1.0, 0.05, 100)])
def test_with_samples_it_is_above_another_accountant(noise: float, rate: float, releases: int) -> None:
    """Numerical composition (Gopi et al. 2021) is tighter; its lower bound is below any valid epsilon."""
    from opacus.accountants import PRVAccountant

    other = PRVAccountant()
    other.history = [(noise, rate, releases)]
    numerical = other.get_epsilon(DELTA, eps_error=0.02)
    assert numerical - 0.05 <= spent_epsilon(noise, rate, releases, DELTA) <= 1.35 * numerical
    assert spent_epsilon(noise, rate, releases, DELTA) < spent_epsilon(noise, 1.0, releases, DELTA)


@pytest.mark.parametrize(("rate", "releases"), [(1.0, 6), pytest.param(0.2, 20, marks=pytest.mark.slow)])
def test_the_noise_is_the_least_that_is_enough(rate: float, releases: int) -> None:
    noise = noise_for(8.0, DELTA, rate, releases)
    assert spent_epsilon(noise, rate, releases, DELTA) <= 8.0
    assert spent_epsilon(0.998 * noise, rate, releases, DELTA) > 8.0


@pytest.mark.parametrize(
    ("numbers", "field"),
    [
        ((-1.0, 1.0, 1, DELTA), "noise_multiplier"),
        ((1.0, 0.0, 1, DELTA), "sample_rate"),
        ((1.0, 1.5, 1, DELTA), "sample_rate"),
        ((1.0, 1.0, -1, DELTA), "rounds"),
        ((1.0, 1.0, 1, 0.0), "delta"),
        ((math.nan, 1.0, 1, DELTA), "noise_multiplier"),
    ],
)
def test_numbers_out_of_range_are_named(numbers: Any, field: str) -> None:
    with pytest.raises(ConfigError, match=field):
        spent_epsilon(*numbers)
    assert spent_epsilon(0.0, 1.0, 1, DELTA) == math.inf
    assert spent_epsilon(1.0, 1.0, 0, DELTA) == 0.0
    with pytest.raises(ConfigError, match="epsilon"):
        noise_for(0.0, DELTA, 1.0, 1)


def test_one_client_moves_the_sum_by_the_clipping_norm_at_most() -> None:
    """The sensitivity that the accountant is told, with honest and with huge updates."""
    start = {"a": torch.zeros(50)}
    rule = PrivateMean(0.7, 0.0, 4)
    others = [(Client(NodeId(f"c{i}"), torch.zeros(2, 2)), {"a": Random.of(i).normal((50,), "x")}) for i in range(3)]
    for size in (0.01, 1.0, 1e6):
        one = (Client(NodeId("z"), torch.zeros(2, 2)), {"a": size * Random.of(9).normal((50,), "x")})
        with_it = rule(start, [*others, one], Random.of(0)).state["a"].double()
        without = rule(start, others, Random.of(0)).state["a"].double()
        assert float((4 * (with_it - without)).norm()) <= 0.7 + 1e-6
    assert float(clip(torch.full((9,), 1e-3), 1.0).sum()) == pytest.approx(9e-3)
    assert not clip(torch.zeros(3), 1.0).any()


def test_the_noise_has_the_size_that_was_asked_for() -> None:
    found = noisy_mean(torch.zeros(40_000), 0.5, 3.0, 10, Random.of(0))
    assert float(found.std()) == pytest.approx(0.5 * 3.0 / 10, rel=0.02)
    assert abs(float(found.mean())) < 0.003
    rule = PrivateMean(0.5, 3.0, 10)
    alone = rule({"a": torch.zeros(40_000)}, [], Random.of(1))
    assert float(alone.state["a"].std()) == pytest.approx(0.15, rel=0.02), "a round without anybody lets noise out, too"
    assert rule.guarantee(6, DELTA).epsilon == spent_epsilon(3.0, 1.0, 6, DELTA)


@pytest.mark.parametrize("form", ["soft_prompt", "lora", "adapter"])
def test_gradients_of_rows_are_those_of_single_steps(form: Any, model: Any, clients: Any) -> None:
    subject = attach(model, form, 2)
    rows = clients[0].rows[:4]
    together = row_gradients(subject, rows)
    for i, row in enumerate(rows):
        subject.zero_grad()
        plain_step(subject, row[None])
        for name, p in subject.named_parameters():
            if p.requires_grad:
                torch.testing.assert_close(together[name][i], p.grad, rtol=1e-4, atol=1e-7)


def test_one_row_moves_a_gradient_by_the_clipping_norm_at_most(model: Any, clients: Any) -> None:
    subject, rows = attach(model, "adapter", 1), clients[2].rows[:6]
    norms = sum(g.flatten(1).square().sum(1) for g in row_gradients(subject, rows).values()).sqrt()  # type: ignore[union-attr]
    for norm_ in (float(norms.min()) / 2, float(norms.max()) * 2):
        steps = PrivateSteps(norm_, 0.0, 0.5)
        with_it, without = (steps.noisy_gradient(subject, some, 12, Random.of(0)) for some in (rows, rows[1:]))
        moved = math.sqrt(sum(float((6 * (with_it[n] - without[n])).square().sum()) for n in with_it))
        assert moved == pytest.approx(min(norm_, float(norms[0])), rel=1e-4)


def test_private_steps_without_noise_and_clipping_are_plain_steps(model: Any, clients: Any, random: Random) -> None:
    """With all rows in every sample; and noise of the size that was asked for in an empty one."""
    client, training = clients[0], LocalTraining("sgd", 0.1, 2, len(clients[0].rows))
    subject = attach(model, "adapter", 1)
    PrivateSteps(1e9, 0.0, 1.0)(subject, training, client, 2, random)
    private = [p.detach().clone() for p in subject.parameters() if p.requires_grad]
    plain = attach(model, "adapter", 1)
    optimizer = training.start([p for p in plain.parameters() if p.requires_grad])
    for _ in range(2):
        plain_step(plain, client.rows)
        optimizer.step()
        optimizer.zero_grad()
    for a, b in zip(private, (p for p in plain.parameters() if p.requires_grad), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)
    noise = PrivateSteps(0.5, 2.0, 0.25).noisy_gradient(subject, client.rows[:0], 40, Random.of(0))
    found = torch.cat([x.flatten() for x in noise.values()])
    assert float(found.std()) == pytest.approx(0.5 * 2.0 / 10, rel=0.15)


def test_what_is_promised_counts_all_steps() -> None:
    steps = PrivateSteps(0.1, 1.0, 0.2)
    promise = steps.guarantee(10, 24, DELTA)
    assert (promise.level, promise.num_clients, promise.num_releases) == ("example", 10, 24)
    assert promise.epsilon == spent_epsilon(1.0, 0.2, 24, DELTA)
    for make in (
        lambda: PrivateSteps(0.0, 1.0, 0.2),
        lambda: PrivateSteps(1.0, 1.0, 2.0),
        lambda: PrivateMean(1, 1, 0),
    ):
        with pytest.raises(ConfigError):
            make()
