"""The fast path is the slow path, seen from far enough away."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gainnet.core.randomness import Random
from gainnet.core.types import Bits, Size, Usage
from gainnet.radio import AWGN, Air, Arq, Channel, Digital, Rayleigh, Reports, Tabulated

POINTS = [(AWGN(), 3.0, 1.0), (Rayleigh(), 12.0, 0.0), (Rayleigh(), 0.0, 0.0), (Rayleigh(64), 6.0, 2.0)]


def sent_items(link: Digital | Tabulated, num_bytes: int, num_items: int) -> list[Usage]:
    usages = []
    for i in range(num_items):
        random = Random.of(i)
        usages.append(link.send(Bits((bytes(num_bytes),), ()), link.observe(random), random)[1])
    return usages


def agrees(x: list[float], y: list[float], relative: float) -> bool:
    spread = math.sqrt(np.var(x) / len(x) + np.var(y) / len(y))
    return abs(np.mean(x) - np.mean(y)) <= 4 * spread + relative * np.mean(y)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("channel", "snr_db", "report_error_db"),
    [pytest.param(*point, marks=() if point == POINTS[1] else pytest.mark.slow) for point in POINTS],
)
def test_fast_path_agrees_with_the_bit_level(channel: Channel, snr_db: float, report_error_db: float) -> None:
    links = [kind(Air(channel, snr_db, reports=Reports(report_error_db))) for kind in (Digital, Tabulated)]
    slow, fast = (sent_items(link, 60, 16) for link in links)
    for name in ("num_channel_uses", "num_retransmissions", "feedback_s"):
        assert agrees([getattr(u, name) for u in slow], [getattr(u, name) for u in fast], 0.02), name
    same = np.mean([a.num_channel_uses == b.num_channel_uses for a, b in zip(slow, fast, strict=True)])
    assert same > 0.5, "both see the same gains, so most transfers are alike"


@pytest.mark.parametrize(
    ("channel", "snr_db", "report_error_db", "num_bytes"),
    [
        # Many short items and few long ones, each over one channel; the others need the same code.
        pytest.param(*point, size, marks=() if (k, size) in ((0, 300), (3, 10)) else pytest.mark.slow)
        for k, point in enumerate(POINTS)
        for size in (10, 300)
    ],
)
def test_usage_is_the_mean_of_what_sending_takes(
    channel: Channel, snr_db: float, report_error_db: float, num_bytes: int
) -> None:
    # Of the ladder, whose schemes are looked up: the default is tried in test_free.
    link = Tabulated(Air(channel, snr_db, reports=Reports(report_error_db)), arq=Arq(harq="none"))
    num_items = 600 // num_bytes
    payload = Bits((bytes(num_bytes),) * num_items, (num_items,))
    batches = [Random.of(range(i, i + num_items)) for i in range(1000, 1000 + 10 * num_items, num_items)]
    sends = [link.send(payload, link.observe(random), random)[1] for random in batches]
    expected = link.usage(Size.fixed(8 * num_bytes), num_items)
    for name, slack in (("num_channel_uses", 0.05 * expected.num_channel_uses), ("num_retransmissions", 0.1)):
        taken = [getattr(usage, name) for usage in sends]
        error = np.std(taken, ddof=1) / math.sqrt(len(taken))
        assert np.mean(taken) == pytest.approx(getattr(expected, name), abs=4 * error + slack), name
    assert sends[0].num_bits == expected.num_bits
    assert link.usage(Size.fixed(8 * num_bytes), 1) == Digital(
        Air(channel, snr_db, reports=Reports(report_error_db)), arq=Arq(harq="none")
    ).usage(Size.fixed(8 * num_bytes), 1)


def test_durations_are_spread_around_the_expected_one() -> None:
    link = Tabulated(Air(Rayleigh(), 5.0), arq=Arq(harq="none"))
    expected = link.usage(Size.fixed(800), 3)
    draws = link.draw_durations_s(Size.fixed(800), 3, 2000, 1)
    assert float(draws.mean()) == pytest.approx(expected.duration_s + expected.feedback_s, rel=0.05)
    assert float(draws.std()) > 0
    assert (draws == link.draw_durations_s(Size.fixed(800), 3, 2000, 1)).all()


def test_lost_items_are_not_delivered() -> None:
    link = Tabulated(Air(AWGN(), -25.0), arq=Arq(max_attempts=2))
    received, usage = link.send(Bits.of([b"gone"]), link.observe(Random.of([0])), Random.of([0]))
    assert received.strings == (None,)
    assert not usage.delivered
    assert not link.usage(Size.fixed(32), 1).delivered


def test_item_of_a_batch_is_received_as_the_item_alone() -> None:
    link = Tabulated(Air(Rayleigh(), 5.0, reports=Reports(3.0)))
    random = Random((11, 12, 13, 14), (2, 2))
    _, together = link.send(Bits((bytes(70),) * 4, (2, 2)), link.observe(random), random)
    alone = [link.send(Bits((bytes(70),), ()), link.observe(Random.of(s)), Random.of(s))[1] for s in (11, 12, 13, 14)]
    assert together.num_channel_uses == sum(u.num_channel_uses for u in alone)
