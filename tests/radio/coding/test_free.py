"""Codewords of any length: the decoder, what attempts add up to, and that tables, plans and both links agree."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from gainnet.core.randomness import Random
from gainnet.core.types import Bits, ChannelState, Size, Symbols
from gainnet.radio import Air, Arq, Digital, Rayleigh, Tabulated
from gainnet.radio.coding import free, polar
from gainnet.radio.coding.attempts import acknowledgement_uses, attempts_for, free_bits_that_fit
from gainnet.radio.coding.free_measurement import (
    free_codeword,
    measure_attempts,
    measure_free_point,
    measure_polar_point,
)
from gainnet.radio.coding.free_tables import RATES, load_free_tables
from gainnet.radio.coding.ldpc import information_bits, modulate


def payloads(num: int, num_bytes: int) -> torch.Tensor:
    """[num, num_bytes], uint8."""
    return (Random.of([2]).uniform((num, num_bytes), "payload")[0] * 256).to(torch.uint8)


@pytest.mark.parametrize(
    ("order", "uses"),
    [(4, 303), pytest.param(2, 400, marks=pytest.mark.slow), pytest.param(6, 100, marks=pytest.mark.slow)],
)
def test_a_first_attempt_is_sionnas_second_graph(order: int, uses: int) -> None:
    from sionna.phy.fec.ldpc import LDPC5GEncoder

    codeword = free_codeword(472, order, uses)
    theirs = LDPC5GEncoder(472, order * uses, num_bits_per_symbol=order, bg="bg2")
    sent = payloads(3, 57)
    expected = modulate(theirs(information_bits(sent, codeword)), order)
    torch.testing.assert_close(free.encode(sent, codeword, order, 0, uses), expected)


@pytest.mark.parametrize("num_bytes", [6, 20, 126])
def test_attempts_that_each_carry_too_little_are_decoded_together(num_bytes: int) -> None:
    k = 8 * num_bytes + 16
    uses = math.ceil(0.8 * k / 4)
    codeword, sent = free_codeword(k, 4, uses), payloads(4, num_bytes)
    soft, start = torch.zeros(4, free.mother(k).buffer_length), 0
    for number in range(2):
        symbols = Symbols.clean(free.encode(sent, codeword, 4, start, uses))
        soft += free.soft_bits(symbols, codeword, 4, start)
        start += 4 * uses
        decoded, holds = free.decode(soft, codeword, start)
        assert bool(holds.all()) == (number == 1)
    assert torch.equal(decoded, sent)


@pytest.mark.slow
def test_layers_find_what_sionna_finds() -> None:
    """The same log-likelihood ratios through Sionna's decoder, flooding with twice the iterations."""
    from sionna.phy.fec.ldpc import LDPC5GDecoder, LDPC5GEncoder

    codeword, sent = free_codeword(176, 2, 230), payloads(120, 20)
    noise = Random.of([3]).complex_normal((120, 230), "noise")[0]
    received = free.encode(sent, codeword, 2, 0, 230) + noise * 10 ** (-0.5 / 20)
    symbols = Symbols(received, torch.ones_like(received), torch.full(received.shape, 10**-0.05))
    soft = free.soft_bits(symbols, codeword, 2, 0)
    ours = free.decode(soft, codeword, 460)[1]
    encoder = LDPC5GEncoder(176, 460, bg="bg2")
    decoder = LDPC5GDecoder(encoder, cn_update="boxplus-phi", num_iter=100)
    theirs = (decoder(soft[:, :460]) == information_bits(sent, codeword)).all(-1)
    assert 0 < int(theirs.sum()) < 120
    assert int((ours != theirs).sum()) <= 2


@pytest.mark.slow
@pytest.mark.parametrize(("order", "k", "rate"), [(2, 472, 0.5), (4, 176, 0.62), (2, 64, 0.5)])
def test_codewords_fail_as_often_as_between_the_measured_curves(order: int, k: int, rate: float) -> None:
    uses = round(k / rate / order)
    snr_db = next(
        snr_db / 20
        for snr_db in range(-200, 400)
        if load_free_tables().bler(order, k, torch.tensor(uses * order), torch.tensor(snr_db / 20)) < 0.1
    )
    expected = float(load_free_tables().bler(order, k, torch.tensor(uses * order), torch.tensor(snr_db)))
    low, high = measure_free_point(free_codeword(k, order, uses), snr_db, 250, 9).wilson(3.3)
    assert low < expected < high


@pytest.mark.parametrize("snr_db", [-12.0, 5.0, 14.0])
def test_a_plan_fails_as_often_as_the_table_says_at_its_lengths(snr_db: float) -> None:
    plan, snr = attempts_for(57, 10 ** (snr_db / 10), 3, 1e-2), torch.tensor(snr_db, dtype=torch.float64)
    num_bits = torch.tensor(plan.ends) * plan.bits_per_symbol
    # All bits, in codewords that repeat too: a plan looks up what depends on no SNR once.
    assert load_free_tables().bler(plan.bits_per_symbol, 472, num_bits, snr).tolist() == list(plan.fails)


@pytest.mark.slow
def test_plans_are_worth_their_attempts() -> None:
    for num_bytes, snr_db in ((57, 0.0), (57, 10.0), (20, 5.0)):
        snr = 10 ** (snr_db / 10)
        once, several = (attempts_for(num_bytes, snr, number, 1e-2) for number in (1, 8))
        assert len(once.ends) == 1
        assert once.fails[0] <= 1e-2
        assert once.mean_uses == once.ends[0]
        assert several.mean_uses < once.ends[0]
        assert several.fails[-1] <= 5e-4
        assert sorted(several.ends) == list(several.ends)
        assert several.length(1) + several.length(0) == several.ends[1]
        assert several.length(4) == 4 * several.length(2)
        assert several.acknowledgement_uses == acknowledgement_uses(snr_db)
    # Ever shorter with more signal, through all modulations.
    lengths = [attempts_for(57, 10 ** (snr_db / 10), 1, 1e-2) for snr_db in range(-10, 31, 2)]
    assert {plan.bits_per_symbol for plan in lengths} == set(RATES)
    assert all(a.ends > b.ends for a, b in pairwise(lengths) if b.ends[0] > 66)


def test_bits_that_fit_are_those_of_the_plan() -> None:
    cost = attempts_for(57, 1.0, 8, 1e-2).mean_uses
    assert free_bits_that_fit(cost + 0.01, 1.0, 8, 1e-2) == 8 * 57
    full = attempts_for(126, 1.0, 8, 1e-2).mean_uses
    assert free_bits_that_fit(2 * full + cost + 0.01, 1.0, 8, 1e-2) == 8 * (2 * 126 + 57)
    assert free_bits_that_fit(3.0, 1.0, 8, 1e-2) == 0.0


@pytest.mark.slow
@pytest.mark.parametrize("fading", [None, Rayleigh()])
def test_codewords_and_tables_take_the_same_uses_and_bring_the_same_bytes(fading: Rayleigh | None) -> None:
    air = Air(snr_db=5.0) if fading is None else Air(fading, 5.0)
    random = Random.of(range(150))
    sent = Bits(tuple(g.bytes(57) for g in random.generators("payload")), random.batch)
    found = {}
    for kind in (Digital, Tabulated):
        link = kind(air, arq=Arq(harq="free"))
        received, usage = link.send(sent, link.observe(random), random)
        assert received.strings == sent.strings
        expected = link.usage(link_size(sent), 150)
        assert usage.num_channel_uses == pytest.approx(expected.num_channel_uses, rel=0.05 if fading is None else 0.15)
        found[kind] = usage.num_channel_uses
    assert found[Digital] == pytest.approx(found[Tabulated], rel=0.03 if fading is None else 0.1)
    if fading is None:
        plan = attempts_for(57, air.snr, 8, 1e-2)
        chain = measure_attempts(plan, 57, 5.0, 500)
        assert chain.mean_uses == pytest.approx(plan.mean_uses, rel=0.02)
        assert found[Digital] / 150 == pytest.approx(plan.mean_uses, rel=0.03)


def link_size(sent: Bits) -> Size:
    return Size.fixed(sent.num_bits / len(sent.strings))


def test_a_first_attempt_that_errs_is_counted_with_its_acknowledgement() -> None:
    link, random = Tabulated(Air(snr_db=0.0), arq=Arq(harq="free", max_attempts=2)), Random.of(range(64))
    _, usage = link.send(Bits((bytes(57),) * 64, (64,)), link.observe(random), random)
    plan = attempts_for(57, 1.0, 2, 1e-2)
    expected = 64 * (plan.ends[0] + plan.acknowledgement_uses) + usage.num_retransmissions * plan.length(1)
    assert usage.num_channel_uses == expected
    assert usage.num_retransmissions > 0


def test_a_short_packet_that_is_sent_once_is_polar_and_no_other() -> None:
    """Eleven check bits are too few where attempts follow each other, and a list of eight gains nothing at 57 bytes."""
    codes = {size: attempts_for(size, 10**0.5, 1, 1e-2).code for size in (20, 57, 126)}
    assert codes == {20: "polar", 57: "ldpc", 126: "ldpc"}
    assert attempts_for(20, 10**0.5, 8, 1e-2).code == "ldpc"


@pytest.mark.slow
@pytest.mark.parametrize(("num_bytes", "snr_db"), [(20, 5.0), (13, 0.0), (26, 10.0)])
def test_polar_codewords_fail_as_often_as_asked_for(num_bytes: int, snr_db: float) -> None:
    plan = attempts_for(num_bytes, 10 ** (snr_db / 10), 1, 1e-2)
    assert plan.code == "polar"
    sent = payloads(3, num_bytes)
    clean = Symbols.clean(polar.encode(sent, plan.bits_per_symbol, plan.ends[0]))
    assert torch.equal(polar.decode(clean, num_bytes, plan.bits_per_symbol)[0], sent)
    low, high = measure_polar_point(num_bytes, plan.bits_per_symbol, plan.ends[0], snr_db, 2000, 9).wilson(3.3)
    assert low <= 1.3e-2
    assert high >= 0.4e-2


@pytest.mark.slow
def test_polar_codewords_and_their_table_bring_the_same_share() -> None:
    random = Random.of(range(400))
    sent = Bits(tuple(g.bytes(20) for g in random.generators("payload")), random.batch)
    for kind in (Digital, Tabulated):
        # A report 1 dB too good, so that a fair share fails.
        link = kind(Air(snr_db=4.0), arq=Arq(max_attempts=1))
        state = link.observe(random)
        told = ChannelState(state.snr, state.gain, state.reported_snr * 10**0.1, state.block_length)
        received, usage = link.send(sent, told, random)
        assert usage.num_channel_uses == 400 * attempts_for(20, 10**0.5, 1, 1e-2).ends[0]
        assert 0.08 < sum(string is None for string in received.strings) / 400 < 0.35
        assert all(string in (None, was) for string, was in zip(received.strings, sent.strings, strict=True))
