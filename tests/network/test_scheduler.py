"""Sharing a cell: round robin and proportional fairness against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.special import exp1

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.network.scheduler import ProportionalFair, RoundRobin, throughput
from gainnet.network.sharing import BestOf, shared_channel
from gainnet.radio import Ofdm, Rayleigh
from gainnet.testing import check_channel


def gains(num_blocks: int, num_devices: int, num_items: int = 8) -> torch.Tensor:
    return Random.of(range(num_items)).complex_normal((num_blocks, num_devices), "gains").abs().square().double()


def harmonic(num: int) -> float:
    return sum(1 / k for k in range(1, num + 1))


def rate_of_the_best(num: int, snr: float) -> float:
    r"""E log2(1 + g max_k x_k) = sum_j (-1)^{j+1} C(K, j) e^{j/g} E1(j/g) / ln 2, from the density of the maximum."""
    terms = ((-1) ** (j + 1) * math.comb(num, j) * math.exp(j / snr) * float(exp1(j / snr)) for j in range(1, num + 1))
    return sum(terms) / math.log(2)


@pytest.mark.parametrize(
    "num_devices", [1, pytest.param(2, marks=pytest.mark.slow), 4, pytest.param(8, marks=pytest.mark.slow)]
)
def test_proportional_fairness_reaches_the_harmonic_number(num_devices: int) -> None:
    power = gains(1500, num_devices)
    rate = torch.log2(1 + 10 * power)
    served = ProportionalFair(1000.0).schedule(rate)
    best = power.gather(-1, served.unsqueeze(-1))[..., 300:, 0]
    assert float(best.mean()) == pytest.approx(harmonic(num_devices), rel=0.04)
    total = throughput(rate[:, 300:], served[:, 300:]).sum(-1).mean()
    assert float(total) == pytest.approx(rate_of_the_best(num_devices, 10.0), rel=0.03)
    fresh = BestOf(Rayleigh(), num_devices).first_gain(Random.of(range(4000))).abs().square()
    assert float(fresh.mean()) == pytest.approx(harmonic(num_devices), rel=0.05)


def test_proportional_fairness_gives_equal_time_to_devices_of_unequal_strength() -> None:
    """Over Rayleigh fading a device 20 dB weaker gets about as many blocks, each in its own good moments."""
    rate = torch.log2(1 + gains(3000, 2) * torch.tensor([10.0, 0.1]))
    served = ProportionalFair(500.0).schedule(rate)[:, 500:]
    assert float(served.double().mean()) == pytest.approx(0.5, abs=0.12)
    greedy = rate.argmax(-1).double().mean()
    assert float(greedy) < 0.06


def test_round_robin_gives_equal_shares_and_what_a_device_has_alone() -> None:
    rate = torch.log2(1 + 10 * gains(4000, 4))
    shares = throughput(rate, RoundRobin().schedule(rate)).mean(0)
    alone = math.exp(0.1) * float(exp1(0.1)) / math.log(2)
    torch.testing.assert_close(shares, torch.full((4,), alone / 4, dtype=torch.float64), rtol=0.03, atol=0)


def test_a_shared_channel_is_a_channel() -> None:
    assert shared_channel(Rayleigh(), 4, "round_robin") == Rayleigh()
    check_channel(BestOf(Rayleigh(16), 1))
    random, sent = Random.of([1, 2]), torch.ones(2, 40) + 0j
    channel = shared_channel(Rayleigh(10), 3, "proportional_fair")
    received = channel.transmit(sent, torch.full((2,), math.inf), channel.first_gain(random), random)
    torch.testing.assert_close(received.values, received.gain)
    assert bool((received.gain[:, ::10].diff() != 0).all())


def test_what_cannot_be_shared_is_refused() -> None:
    with pytest.raises(ConfigError, match="num_devices"):
        shared_channel(Rayleigh(), 0, "round_robin")
    with pytest.raises(ConfigError, match="scheduler"):
        shared_channel(Rayleigh(), 2, "lottery")
    with pytest.raises(ConfigError, match="blocks"):
        shared_channel(Ofdm(), 2, "proportional_fair")
    with pytest.raises(ConfigError, match="memory_blocks"):
        ProportionalFair(0.5)
