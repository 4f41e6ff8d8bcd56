"""A recorded link delivers as the emulator whose traces it reads: packet by packet, opportunity by opportunity."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.types import Bits, Size
from gainnet.radio import Delivery, Radios
from gainnet.radio.links.delivery import PACKET_BYTES

TRACES = [(1,), (0, 0, 7), (10, 20, 20, 20, 45), (3, 1000)]
LENGTHS = (0, 1, 1500, 1501, 4500, 30_000)


def emulated_s(times_ms: tuple[int, ...], start_ms: float, num_bytes: int) -> float:
    """Seconds until a queue of bytes is empty, by walking along the trace from a moment in it."""
    left = num_bytes
    if left == 0:
        return 0.0
    for number in itertools.count():
        for time_ms in times_ms:
            now_ms = number * times_ms[-1] + time_ms
            if now_ms < start_ms:
                continue
            left -= PACKET_BYTES
            if left <= 0:
                return (now_ms - start_ms) / 1e3
    raise AssertionError


@pytest.mark.parametrize("times_ms", TRACES)
def test_a_transfer_takes_what_the_emulator_takes(times_ms: tuple[int, ...]) -> None:
    link, random = Delivery(times_ms, Radios(0.5, 0.25)), Random.of(range(len(LENGTHS)))
    payload = Bits.of([bytes(n) for n in LENGTHS])
    received, usage = link.send(payload, link.observe(random), random)
    starts_ms = (random.uniform((), "start").double() * times_ms[-1]).tolist()
    expected = [emulated_s(times_ms, start, n) for start, n in zip(starts_ms, LENGTHS, strict=True)]
    assert received == payload
    assert usage.item_s == pytest.approx(expected)
    assert usage.duration_s == pytest.approx(sum(expected))
    assert (usage.tx_energy_j, usage.rx_energy_j) == pytest.approx((0.5 * sum(expected), 0.25 * sum(expected)))
    assert usage.num_bits == payload.num_bits
    assert not usage.has_uses


@pytest.mark.parametrize("times_ms", TRACES)
@pytest.mark.parametrize("num_bytes", [1, 1500, 4000, 20_000])
def test_expected_usage_is_the_mean_over_all_moments(times_ms: tuple[int, ...], num_bytes: int) -> None:
    period_ms, num = times_ms[-1], 20_000
    moments = (np.arange(num) + 0.5) / num * period_ms
    mean_s = math.fsum(emulated_s(times_ms, moment, num_bytes) for moment in moments[:: 10 if period_ms > 1 else 100])
    mean_s /= len(moments[:: 10 if period_ms > 1 else 100])
    usage = Delivery(times_ms).usage(Size.fixed(8 * num_bytes), 3)
    assert usage.duration_s == pytest.approx(3 * mean_s, rel=2e-2, abs=1e-5)


def test_an_item_is_late_by_its_own_time() -> None:
    link, random = Delivery((1000,)), Random.of([1, 2])
    _, usage = link.send(Bits.of([b"a", b"b"]), link.observe(random), random)
    assert len(usage.item_s) == 2
    assert all(0.0 < one <= 1.0 for one in usage.item_s)


def test_a_trace_is_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "cellular.up"
    path.write_text("0\n5\n5\n12\n")
    assert Delivery.read(path) == (0, 5, 5, 12)


@pytest.mark.parametrize(
    ("content", "reason"), [("1\nx\n", "line 2 holds 'x'"), ("1\n-2\n", "line 2"), ("1.5", "line 1")]
)
def test_what_is_no_trace_is_refused(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "trace"
    path.write_text(content)
    with pytest.raises(ConfigError, match=reason):
        Delivery.read(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        Delivery.read(tmp_path / "nothing")


@pytest.mark.parametrize("times_ms", [(), (0,), (5, 3)])
def test_times_that_make_no_trace_are_refused(times_ms: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="delivery"):
        Delivery(times_ms)


def test_drawn_durations_are_those_of_the_trace() -> None:
    draws = Delivery((3, 1000)).draw_durations_s(Size.fixed(8), 1, 2000, 0)
    assert draws.dtype == torch.float64
    assert 0.0 <= float(draws.min()) <= float(draws.max()) <= 0.997
