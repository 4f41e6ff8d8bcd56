"""Analog, ideal and Shannon links."""

from __future__ import annotations

import math

import pytest
import torch

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.types import Bits, Size, Symbols
from gainnet.radio import AWGN, Air, Analog, Ideal, Radios, Rayleigh, Reports, Shannon

RANDOM = Random.of([4, 5, 6, 7])
SYMBOLS = Symbols.clean(RANDOM.complex_normal((600,), "payload"), torch.full((4,), 3.0))


@pytest.mark.parametrize("channel", [AWGN(), Rayleigh(100)])
def test_analog_link_without_noise_gives_the_symbols_back(channel: AWGN | Rayleigh) -> None:
    link = Analog(Air(channel, math.inf))
    received, usage = link.send(SYMBOLS, link.observe(RANDOM), RANDOM)
    torch.testing.assert_close(received.mmse(), SYMBOLS.values, atol=1e-5, rtol=1e-5)
    assert usage.num_channel_uses == 2400
    assert usage.duration_s == pytest.approx(2400e-6)
    assert usage.tx_energy_j == pytest.approx(2400e-6 * 0.2)
    assert usage.rx_energy_j == pytest.approx(2400e-6 * 0.1)


def test_mmse_error_of_gaussian_symbols_is_the_closed_form() -> None:
    """E|s - s_hat|^2 = 1 / (1 + SNR) for unit Gaussian symbols (Kay 1993, section 12)."""
    random = Random.of(range(100))
    sent = random.complex_normal((1000,), "payload")
    link = Analog(Air(AWGN(), 3.0))
    received, _ = link.send(Symbols.clean(sent), link.observe(random), random)
    error = float((received.mmse() - sent).abs().square().mean())
    assert error == pytest.approx(1 / (1 + 10**0.3), rel=0.02)


def test_report_is_the_snr_of_the_first_block() -> None:
    state = Analog(Air(Rayleigh(), 10.0)).observe(RANDOM)
    torch.testing.assert_close(state.reported_snr, 10 * state.gain.abs().square())
    wrong = Analog(Air(Rayleigh(), 10.0, reports=Reports(3.0))).observe(Random.of(range(2000)))
    error_db = 10 * (wrong.reported_snr / (10 * wrong.gain.abs().square())).log10()
    assert float(error_db.mean()) == pytest.approx(0.0, abs=0.3)
    assert float(error_db.std()) == pytest.approx(3.0, rel=0.06)


def test_sender_is_passed_through_and_durations_are_certain() -> None:
    link = Analog(Air(AWGN(), 0.0, bandwidth_hz=2e6))
    received, usage = link.send(SYMBOLS, link.observe(RANDOM), RANDOM)
    assert received.reported_snr is SYMBOLS.reported_snr
    draws = link.draw_durations_s(Size.fixed(600), 4, 10, 0)
    assert draws.tolist() == pytest.approx([usage.duration_s] * 10)
    assert usage == link.usage(Size.fixed(600), 4)


def test_ideal_link_is_free() -> None:
    link = Ideal()
    payload = Bits.of([b"a", b"", b"xyz"])
    random = Random.of([1, 2, 3])
    received, usage = link.send(payload, link.observe(random), random)
    assert received == payload
    assert (usage.num_bits, usage.num_channel_uses, usage.duration_s, usage.tx_energy_j) == (32, 0, 0, 0)
    assert link.capacity_bits(1.0, 0.001) == math.inf


def test_shannon_link_fills_blocks_at_their_capacity() -> None:
    link = Shannon(Air(Rayleigh(10), 5.0))
    state = link.observe(Random.of(3))
    rate = math.log2(1 + 10**0.5 * float(state.gain.abs().square()))
    num_bytes = int(10 * rate / 8)
    _, usage = link.send(Bits((bytes(num_bytes),), ()), state, Random.of(3))
    assert usage.num_channel_uses == math.ceil(8 * num_bytes / rate)


def test_shannon_link_reaches_the_ergodic_capacity() -> None:
    r"""E log2(1 + g x) = e^{1/g} E1(1/g) / ln 2 for Rayleigh gains (Alouini and Goldsmith 1999, eq. 34)."""
    from scipy.special import exp1

    snr = 10**0.5
    capacity = math.exp(1 / snr) * float(exp1(1 / snr)) / math.log(2)
    usage = Shannon(Air(Rayleigh(10), 5.0)).usage(Size.fixed(20_000), 1)
    assert 20_000 / usage.num_channel_uses == pytest.approx(capacity, rel=0.03)


@pytest.mark.parametrize(
    ("field", "value"),
    [("snr_db", math.nan), ("snr_db", 1000.0), ("bandwidth_hz", 0.0), ("tx_power_w", -1.0), ("report_error_db", -1.0)],
)
def test_absurd_radios_are_refused(field: str, value: float) -> None:
    name = field.removeprefix("report_")
    kind = Radios if field == "tx_power_w" else Reports if field == "report_error_db" else Air
    with pytest.raises(ConfigError, match=name):
        kind(**{name: value})
