"""A transfer that takes too long is given up: its time is its deadline, and what is missing is concealed."""

import numpy as np
import pytest
import torch

from gainnet.codecs import Float32, RawAnalog
from gainnet.core.randomness import Random
from gainnet.protocols import Plan, Transfer, estimate, execute
from gainnet.protocols.deadline import within
from gainnet.radio import AWGN, Air, Analog, Tabulated
from toy_parts import DEVICE, EDGE, SHAPE, network

X = torch.arange(1.0, 5.0)
GIVEN = {(EDGE, "x"): X.expand(4, 4)}


def send(codec, deadline_s):
    return within(Plan((Transfer(EDGE, (DEVICE,), "x", codec),), (DEVICE, "x")), deadline_s)


def test_symbols_that_were_not_sent_are_estimated_by_their_mean():
    link = Analog(Air(AWGN(), float("inf"), bandwidth_hz=1.0))
    at, report = execute(send(RawAnalog(), 4.0), GIVEN, network(link), Random.of(range(4)))
    assert report.duration_s == pytest.approx(4.0)
    assert report.num_channel_uses() == pytest.approx(4)
    assert not report.delivered
    torch.testing.assert_close(at[DEVICE, "x"], torch.tensor([1.0, 2.0, 0.0, 0.0]).expand(4, 4), atol=1e-4, rtol=0)


def test_items_that_were_complete_in_time_arrive():
    link = Tabulated(Air(AWGN(), 20.0, bandwidth_hz=1e3))
    plan = send(Float32(), float("inf"))
    whole_s = execute(plan, GIVEN, network(link), Random.of(range(4)))[1].duration_s
    at, report = execute(send(Float32(), 0.6 * whole_s), GIVEN, network(link), Random.of(range(4)))
    arrived = [bool(torch.equal(row, X)) for row in at[DEVICE, "x"]]
    assert arrived == [True, True, False, False]
    assert report.duration_s == pytest.approx(0.6 * whole_s)
    assert not report.delivered


def test_c19_items_of_a_batch_share_the_time_of_a_transfer():
    """The one exception to "an item of a batch equals the item alone", which the page on concepts names."""
    link, alone = Tabulated(Air(AWGN(), 20.0, bandwidth_hz=1e3)), {(EDGE, "x"): X[None]}
    whole_s = execute(send(Float32(), float("inf")), alone, network(link), Random.of([3]))[1].duration_s
    (at, report), (batch, _) = (
        execute(send(Float32(), 1.5 * whole_s), given, network(link), random)
        for given, random in ((alone, Random.of([3])), (GIVEN, Random.of(range(4))))
    )
    assert report.delivered
    assert torch.equal(at[DEVICE, "x"][0], X)
    assert not torch.equal(batch[DEVICE, "x"][3], X)


def test_a_deadline_that_is_kept_changes_nothing():
    link = Tabulated(Air(AWGN(), 5.0))
    free, kept = (execute(send(Float32(), t), GIVEN, network(link), Random.of(range(4)))[1] for t in (np.inf, 1e3))
    assert [s.num_channel_uses for s in free.steps] == [s.num_channel_uses for s in kept.steps]


def test_the_estimate_knows_the_deadline():
    link = Analog(Air(AWGN(), 10.0, bandwidth_hz=1.0))
    priced = estimate(send(RawAnalog(), 1.0), {(EDGE, "x"): SHAPE}, network(link))
    assert priced.duration_s == pytest.approx(1.0)
    assert priced.num_channel_uses() == pytest.approx(1.0)
    assert (priced.duration_p50_s, priced.duration_p95_s) == (pytest.approx(1.0), pytest.approx(1.0))
