"""The accountant: against the exact law of Gaussian noise, and against another accountant; two readers, two figures."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from gainnet.catalog.records import LearnConfig, SafeguardsConfig
from gainnet.catalog.safeguards import guarantee_of
from gainnet.core.errors import ConfigError
from gainnet.learning.safeguards.accounting import Accountant, noise_for, spent_epsilon

DELTA = 1e-5


def exact_epsilon(noise_multiplier: float, num_releases: int, delta: float) -> float:
    """Of Gaussian noise without sampling: delta(eps) is known in closed form (Balle and Wang 2018, theorem 8)."""
    mu = math.sqrt(num_releases) / noise_multiplier

    def excess(eps: float) -> float:
        return float(norm.cdf(mu / 2 - eps / mu) - math.exp(eps) * norm.cdf(-mu / 2 - eps / mu)) - delta

    return float(brentq(excess, 0.0, 200.0))


@pytest.mark.parametrize(
    ("noise", "releases"), [(1.0, 1), (2.0, 1), (1.5, 6), pytest.param(5.0, 40, marks=pytest.mark.slow), (40.0, 10)]
)
def test_the_accountant_is_above_the_exact_law_and_near_it(noise: float, releases: int) -> None:
    exact = exact_epsilon(noise, releases, DELTA)
    assert exact <= spent_epsilon(noise, 1.0, releases, DELTA) <= exact + 2.1e-3
    assert exact <= spent_epsilon(noise, 1.0, releases, DELTA, "rdp") <= 1.15 * exact + 0.02


@pytest.mark.slow
@pytest.mark.parametrize(
    ("noise", "rate", "releases"), [pytest.param(0.8, 0.2, 6, marks=pytest.mark.slow), (1.0, 0.05, 100)]
)
def test_with_samples_it_is_above_another_accountant(noise: float, rate: float, releases: int) -> None:
    """Numerical composition of Opacus (Gopi et al. 2021) with an error of 1e-3; Rényi divergences are above it."""
    from opacus.accountants import PRVAccountant

    other = PRVAccountant()
    other.history = [(noise, rate, releases)]
    numerical = other.get_epsilon(DELTA, eps_error=1e-3)
    assert 0.999 * numerical <= spent_epsilon(noise, rate, releases, DELTA) <= 1.01 * numerical
    assert numerical <= spent_epsilon(noise, rate, releases, DELTA, "rdp") <= 1.35 * numerical
    assert spent_epsilon(noise, rate, releases, DELTA) < spent_epsilon(noise, 1.0, releases, DELTA)


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("rate", "releases", "bound"),
    [pytest.param(1.0, 6, "prv", marks=SLOW), (1.0, 6, "rdp"), pytest.param(0.2, 20, "prv", marks=SLOW)],
)
def test_the_noise_is_the_least_that_is_enough(rate: float, releases: int, bound: Accountant) -> None:
    noise = noise_for(8.0, DELTA, rate, releases, bound)
    assert spent_epsilon(noise, rate, releases, DELTA, bound) <= 8.0
    assert spent_epsilon(0.998 * noise, rate, releases, DELTA, bound) > 8.0


def test_beyond_any_use_the_cheaper_bound_is_given() -> None:
    assert spent_epsilon(0.1, 1.0, 5, DELTA) == spent_epsilon(0.1, 1.0, 5, DELTA, "rdp") > 60


@pytest.mark.slow
def test_who_reads_the_folder_gains_what_samples_hid_from_others() -> None:
    """The record names the clients of a round, so that their sample hides nothing; rows are named nowhere."""
    settings = LearnConfig("lora", clients=20, share=0.2, rounds=4, num_steps=2)
    asked = SafeguardsConfig(privacy="client", epsilon=6.0)
    clients, repeated = guarantee_of(asked, settings), guarantee_of(replace(asked, noise="seeded"), settings)
    assert clients is not None
    assert repeated is not None
    assert (clients.num_clients, clients.num_releases, clients.sample_rate) == (4.0, 4, 0.2)
    assert clients.epsilon == clients.epsilon_folder == spent_epsilon(clients.noise_multiplier, 1.0, 4, DELTA)
    assert 5.9 < clients.epsilon <= 6.0
    assert clients.epsilon_model == spent_epsilon(clients.noise_multiplier, 0.2, 4, DELTA) < 0.8 * clients.epsilon
    assert clients.after(5).epsilon > clients.epsilon
    assert (clients.private, repeated.private) == (True, False)


@pytest.mark.slow
def test_rows_are_hidden_from_both_readers_alike() -> None:
    rows = guarantee_of(SafeguardsConfig(privacy="example"), LearnConfig("lora", clients=3, rounds=2, num_steps=3))
    assert rows is not None
    assert rows.epsilon == rows.epsilon_model == rows.epsilon_folder
    assert (rows.level, rows.num_clients, rows.num_releases) == ("example", 3, 6)


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
