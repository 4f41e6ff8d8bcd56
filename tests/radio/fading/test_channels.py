"""Channels against closed forms and against Sionna's own blocks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.types import Symbols
from gainnet.radio import AWGN, Rayleigh
from gainnet.radio.coding.ldpc import demodulate, modulate
from gainnet.radio.fading.channel import Channel

NUM_ITEMS, NUM_SYMBOLS = 200, 1000
RANDOM = Random.of(range(NUM_ITEMS))


def transmit(channel: Channel, symbols: torch.Tensor, snr: float) -> Symbols:
    gain = channel.first_gain(RANDOM)
    return channel.transmit(symbols, torch.full((NUM_ITEMS,), snr), gain, RANDOM)


def bit_error_rate(channel: Channel, bits_per_symbol: int, snr: float) -> tuple[float, int]:
    shape = (NUM_ITEMS, NUM_SYMBOLS * bits_per_symbol)
    bits = torch.from_numpy(np.random.default_rng(1).integers(0, 2, shape)).float()
    received = transmit(channel, modulate(bits, bits_per_symbol), snr)
    return float(((demodulate(received, bits_per_symbol) > 0) != bits.bool()).float().mean()), bits.numel()


def q(x: float) -> float:
    return float(stats.norm.sf(x))


@pytest.mark.parametrize("snr", [0.25, 1.0, 8.0])
def test_noise_power_is_one_over_snr(snr: float) -> None:
    received = transmit(AWGN(), torch.zeros(NUM_ITEMS, NUM_SYMBOLS, dtype=torch.complex64), snr)
    power = received.values.abs().square().mean()
    assert float(power) * snr == pytest.approx(1.0, abs=5 / math.sqrt(NUM_ITEMS * NUM_SYMBOLS))
    assert float(received.values.real.square().mean()) * 2 * snr == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("snr", [0.5, 2.0, 6.0])
def test_qpsk_over_awgn_errs_as_the_q_function_says(snr: float) -> None:
    """BER = Q(sqrt(Es/N0)) (Proakis, Digital Communications, section 4.3)."""
    measured, num_bits = bit_error_rate(AWGN(), 2, snr)
    expected = q(math.sqrt(snr))
    assert measured == pytest.approx(expected, abs=4.5 * math.sqrt(expected / num_bits))


@pytest.mark.parametrize("snr", [16.0, *(pytest.param(x, marks=pytest.mark.slow) for x in (4.0, 40.0))])
def test_16qam_over_awgn_errs_as_the_q_function_says(snr: float) -> None:
    """Gray 16QAM, exact: BER = (3 Q(a) + 2 Q(3a) - Q(5a)) / 4, a = sqrt(Es/N0 / 5) (Cho and Yoon 2002)."""
    measured, num_bits = bit_error_rate(AWGN(), 4, snr)
    a = math.sqrt(snr / 5)
    expected = (3 * q(a) + 2 * q(3 * a) - q(5 * a)) / 4
    assert measured == pytest.approx(expected, abs=4.5 * math.sqrt(expected / num_bits))


@pytest.mark.parametrize("snr", [1.0, 10.0, 100.0])
def test_qpsk_over_rayleigh_errs_as_the_closed_form_says(snr: float) -> None:
    """BER = (1 - sqrt(g / (1 + g))) / 2 with g = Es/N0 / 2 per bit (Proakis, section 13.3)."""
    measured, num_bits = bit_error_rate(Rayleigh(block_length=1), 2, snr)
    expected = (1 - math.sqrt(snr / 2 / (1 + snr / 2))) / 2
    assert measured == pytest.approx(expected, abs=6 * math.sqrt(expected / num_bits))


def test_envelope_is_rayleigh_distributed() -> None:
    first = Rayleigh().first_gain(Random.of(range(3000))).abs().numpy()
    assert stats.kstest(first, stats.rayleigh(scale=math.sqrt(0.5)).cdf).pvalue > 1e-3
    sent = torch.ones(NUM_ITEMS, NUM_SYMBOLS, dtype=torch.complex64)
    later = transmit(Rayleigh(block_length=100), sent, 1.0).gain[:, 100::100]
    assert stats.kstest(later.abs().numpy().ravel(), stats.rayleigh(scale=math.sqrt(0.5)).cdf).pvalue > 1e-3
    assert stats.kstest(later.angle().numpy().ravel(), stats.uniform(-math.pi, 2 * math.pi).cdf).pvalue > 1e-3


def test_blocks_are_independent() -> None:
    sent = torch.ones(NUM_ITEMS, NUM_SYMBOLS, dtype=torch.complex64)
    gain = transmit(Rayleigh(block_length=10), sent, 1.0).gain[:, ::10]
    correlation = (gain[:, 1:] * gain[:, :-1].conj()).mean().abs()
    assert float(correlation) < 5 / math.sqrt(gain.numel())


def test_awgn_has_the_distribution_of_sionna() -> None:
    from sionna.phy.channel import AWGN as SionnaAWGN

    symbols = modulate(torch.zeros(NUM_ITEMS, 2 * 100), 2)
    theirs = SionnaAWGN()(symbols, torch.tensor(0.5))
    ours = transmit(AWGN(), symbols, 2.0).values
    for part in ("real", "imag"):
        a, b = (getattr(x, part).numpy().ravel() for x in (ours, theirs))
        assert stats.ks_2samp(a, b).pvalue > 1e-3


def test_block_without_uses_is_refused() -> None:
    with pytest.raises(ConfigError, match="block_length: 0"):
        Rayleigh(block_length=0)
