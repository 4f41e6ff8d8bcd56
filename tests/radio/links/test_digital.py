"""The digital link, bit by bit: what arrives, what it takes, and what no link can do."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.types import Bits, Size, Usage
from gainnet.radio import AWGN, LADDER, Air, Arq, Channel, Codeword, Digital, LinkAdaptation, Rayleigh, Reports
from gainnet.radio.coding.bler_measurement import measure_point


def payload(*lengths: int) -> Bits:
    rng = np.random.default_rng(9)
    return Bits.of([rng.bytes(n) for n in lengths])


def send(link: Digital, sent: Bits, random: Random) -> tuple[Bits, Usage]:
    return link.send(sent, link.observe(random), random)


@pytest.mark.parametrize("channel", [AWGN(), Rayleigh()])
def test_bytes_of_any_length_arrive(channel: Channel) -> None:
    sent = payload(0, 1, 5, 126, 127)
    received, usage = send(Digital(Air(channel, 14.0)), sent, Random.of(range(5)))
    assert received == sent
    assert usage.delivered
    assert usage.num_bits == 8 * 259


@pytest.mark.slow
def test_item_of_a_batch_is_received_as_the_item_alone() -> None:
    """At an SNR where codewords fail, so that rounds, gains and noise all matter."""
    link = Digital(Air(Rayleigh(), 5.0, reports=Reports(3.0)))
    lengths, batch = (90, 30, 200, 130), Random.of([11, 12, 13, 14])
    sent = payload(*lengths)
    received, _ = send(link, sent, batch)
    alone = Bits((sent.strings[3],), ())
    single, usage = send(link, alone, Random.of(14))
    again, usage_again = send(link, alone, Random.of(14))
    assert single.strings[0] == received.strings[3]
    assert (single, usage) == (again, usage_again)
    _, usage_other = send(link, alone, Random.of(14).child("another transfer"))
    assert usage_other != usage


@pytest.mark.slow
def test_usage_of_a_batch_is_the_sum_of_its_items() -> None:
    link, sent = Digital(Air(Rayleigh(), 8.0, reports=Reports(2.0))), payload(50, 150, 20)
    _, together = send(link, sent, Random.of([1, 2, 3]))
    alone = [send(link, Bits((s,), ()), Random.of(i + 1))[1] for i, s in enumerate(sent.strings)]
    assert together.num_channel_uses == sum(u.num_channel_uses for u in alone)
    assert together.num_retransmissions == sum(u.num_retransmissions for u in alone)
    assert together.feedback_s == pytest.approx(sum(u.feedback_s for u in alone))
    assert together.tx_energy_j == pytest.approx(0.2 * together.num_channel_uses / 1e6)


def test_what_never_was_there_does_not_arrive() -> None:
    sent = Bits((b"there", None), (2,))
    received, usage = send(Digital(Air(AWGN(), 10.0)), sent, Random.of([1, 2]))
    assert received == sent
    assert usage.num_bits == 40


def test_nothing_arrives_below_the_lowest_scheme() -> None:
    link = Digital(Air(AWGN(), -25.0), arq=Arq(max_attempts=3, harq="none"))
    received, usage = send(link, payload(20, 10), Random.of([1, 2]))
    assert received.strings == (None, None)
    assert not usage.delivered
    assert usage.num_retransmissions == 4
    assert usage.feedback_s == pytest.approx(4 * link.arq.feedback_delay_s)
    assert usage.num_channel_uses == 3 * (
        Codeword(20, LADDER[0]).num_channel_uses + Codeword(10, LADDER[0]).num_channel_uses
    )
    assert link.capacity_bits(1000, 10**-2.5) == 0


@pytest.mark.slow
@pytest.mark.parametrize("snr_db", [12.0, *(pytest.param(x, marks=pytest.mark.slow) for x in (-9.0, -3.0, 4.0, 22.0))])
def test_adaptation_keeps_its_target_below_the_shannon_limit(snr_db: float) -> None:
    """The measured rate of failures is compatible with 1e-2 (99.9 % Wilson), and the goodput is below log2(1 + SNR)."""
    num_bytes = 30
    snr = torch.tensor(10 ** (snr_db / 10))
    index = int(LinkAdaptation(AWGN().block_length).scheme(snr, torch.tensor(num_bytes)))
    codeword = Codeword(num_bytes, LADDER[index])
    point = measure_point(codeword, snr_db, 100, random_seed=1)
    assert point.wilson(z=3.29)[0] <= 1e-2
    assert 8 * num_bytes / codeword.num_channel_uses < math.log2(1 + float(snr))
    faster = measure_point(Codeword(num_bytes, LADDER[index + 2]), snr_db, 40, random_seed=1)
    assert faster.wilson(z=3.29)[1] > 1e-2


@pytest.mark.slow
def test_wrong_reports_cost_retransmissions() -> None:
    lengths = [60] * 8
    exact_air, wrong_air, arq = Air(AWGN(), 10.0), Air(AWGN(), 10.0, reports=Reports(4.0)), Arq(harq="none")
    _, exact = send(Digital(exact_air, arq=arq), payload(*lengths), Random.of(range(8)))
    received, wrong = send(Digital(wrong_air, arq=arq), payload(*lengths), Random.of(range(8)))
    assert wrong.num_retransmissions > exact.num_retransmissions + 2
    assert wrong.feedback_s > exact.feedback_s
    assert all(got in (was, None) for got, was in zip(received.strings, payload(*lengths).strings, strict=True))


@pytest.mark.parametrize("snr_db", [10.0, *(pytest.param(x, marks=pytest.mark.slow) for x in (0.0, 20.0))])
def test_capacity_is_what_a_transfer_of_that_size_takes(snr_db: float) -> None:
    link = Digital(Air(AWGN(), snr_db))
    bits = link.capacity_bits(2000, 10 ** (snr_db / 10))
    assert 0 < bits < 2000 * math.log2(1 + 10 ** (snr_db / 10))
    assert link.usage(Size.fixed(bits), 1).num_channel_uses <= 2000 * 1.02
    assert link.usage(Size.fixed(bits * 1.1), 1).num_channel_uses > 2000 * 0.98


def test_no_noise_takes_the_fastest_scheme() -> None:
    received, usage = send(Digital(Air(AWGN(), math.inf), arq=Arq(harq="none")), payload(126), Random.of([0]))
    assert received == payload(126)
    assert usage.num_channel_uses == Codeword(126, LADDER[-1]).num_channel_uses


@pytest.mark.parametrize(
    ("field", "value"),
    [("snr_db", math.nan), ("max_attempts", 0), ("feedback_delay_s", -1.0), ("target_bler", 0.9)],
)
def test_absurd_links_are_refused(field: str, value: float) -> None:
    with pytest.raises(ConfigError, match=field):
        Digital(Air(snr_db=value)) if field == "snr_db" else Arq(**{field: value})
