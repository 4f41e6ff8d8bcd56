"""The least spectrum of an exchange, against a closed form and a search."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from gainnet.orchestration.exchange import Exchange, least_duration_s, least_spectrum

NUM_CASES = 2000


def scalar(x: float) -> Tensor:
    return torch.tensor(x, dtype=torch.float64)


def drawn_cases(low: float, high: float) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Size, bandwidth, both C/N0 with SNRs between powers of ten, and a time that suffices."""
    source = torch.Generator().manual_seed(3)

    def decades(least: float, most: float) -> Tensor:
        return 10 ** (least + (most - least) * torch.rand(NUM_CASES, generator=source, dtype=torch.float64))

    bits, band = decades(4, 8), decades(5, 8)
    down, up = band * decades(low, high), band * decades(low, high)
    time = (least_duration_s(bits, band, down) + least_duration_s(bits, band, up)) * (1 + decades(-4, 2))
    return bits, band, down, up, time


def test_equal_directions_share_the_time_equally() -> None:
    """Closed form: with equal gains each has half the time, and a = t c / u with log2(1 + u) / u = 2 S / (tau c)."""
    bits, cn0, snr = 3.0, 5.0, 0.25
    time = 2 * bits * snr / (cn0 * math.log2(1 + snr))
    found = least_spectrum(scalar(bits), scalar(1e3), scalar(cn0), scalar(cn0), scalar(time))
    assert float(found.duration_down_s) == pytest.approx(time / 2, rel=1e-12)
    assert float(found.area_hz_s) == pytest.approx(2 * bits / math.log2(1 + snr), rel=1e-12)


@pytest.mark.parametrize(("low", "high"), [(-1, 3), (-5, 5)])
def test_both_directions_carry_the_model_in_the_whole_time(low: float, high: float) -> None:
    bits, band, down, up, time = drawn_cases(low, high)
    found = least_spectrum(bits, band, down, up, time)
    assert bool(found.feasible.all())
    torch.testing.assert_close(found.duration_down_s + found.duration_up_s, time, rtol=1e-11, atol=0)
    for area, duration, cn0 in (
        (found.area_down_hz_s, found.duration_down_s, down),
        (found.area_up_hz_s, found.duration_up_s, up),
    ):
        carried = area * torch.log1p(cn0 * duration / area) / math.log(2)
        torch.testing.assert_close(carried, bits, rtol=1e-9, atol=0)
        assert bool((area <= band * duration * (1 + 1e-12)).all())


def area_of_split(bits: Tensor, cn0: Tensor, duration_s: Tensor) -> Tensor:
    """The area of one direction by bisection of a log2(1 + c t / a) = S, independent of the code under test."""
    low, high = torch.full_like(duration_s, -60.0), torch.full_like(duration_s, 60.0)
    for _ in range(100):
        middle = (low + high) / 2
        area = middle.exp() * bits
        enough = area * torch.log1p(cn0 * duration_s / area) >= bits * math.log(2)
        low, high = torch.where(enough, low, middle), torch.where(enough, middle, high)
    return high.exp() * bits


@pytest.mark.slow
def test_no_other_split_of_the_time_takes_less() -> None:
    bits, band, down, up, time = drawn_cases(-2, 4)
    found = least_spectrum(bits, band, down, up, time)
    slack = time - least_duration_s(bits, band, down) - least_duration_s(bits, band, up)
    for share in torch.linspace(0, 1, 41, dtype=torch.float64):
        duration_down = least_duration_s(bits, band, down) + share * slack
        other = area_of_split(bits, down, duration_down) + area_of_split(bits, up, time - duration_down)
        assert bool((found.area_hz_s <= other * (1 + 1e-9)).all())


def test_the_marginal_is_what_a_second_saves() -> None:
    bits, band, down, up, time = drawn_cases(-1, 3)
    time = time * 1.01
    step = 1e-5 * time
    less, more = (least_spectrum(bits, band, down, up, time + sign * step).area_hz_s for sign in (-1, 1))
    slope = (less - more) / (2 * step)
    found = least_spectrum(bits, band, down, up, time).marginal_hz
    assert float(((slope - found).abs() / found).quantile(0.99)) < 1e-3
    torch.testing.assert_close(slope, found, rtol=0.05, atol=0)


def test_directions_can_be_swapped() -> None:
    bits, band, down, up, time = drawn_cases(-1, 3)
    one, other = least_spectrum(bits, band, down, up, time), least_spectrum(bits, band, up, down, time)
    assert torch.equal(one.area_down_hz_s, other.area_up_hz_s)
    assert torch.equal(one.duration_up_s, other.duration_down_s)


@pytest.mark.parametrize(
    ("down", "up", "time"), [(0.0, 1.0, 9.0), (1.0, 0.0, 9.0), (0.0, 0.0, 9.0), (1.0, 1.0, 3.9), (1.0, 1.0, -1.0)]
)
def test_what_does_not_fit_is_zero_and_said(down: float, up: float, time: float) -> None:
    found = least_spectrum(scalar(2), scalar(1), scalar(down), scalar(up), scalar(time))
    assert not bool(found.feasible)
    for field in Exchange.__dataclass_fields__:
        assert float(getattr(found, field)) == 0.0


def test_an_item_of_a_batch_is_the_item_alone() -> None:
    cases = drawn_cases(-1, 3)
    together = least_spectrum(*cases).area_hz_s
    alone = [float(least_spectrum(*(x[i] for x in cases)).area_hz_s) for i in range(20)]
    assert together[:20].tolist() == pytest.approx(alone, rel=1e-12)
