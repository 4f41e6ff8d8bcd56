"""Incremental redundancy: the standard's buffer, what combining gains, and tables against codewords."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.types import Bits, Symbols, Usage
from gainnet.radio import (
    AWGN,
    LADDER,
    Air,
    Arq,
    Channel,
    Codeword,
    Digital,
    Jakes,
    Ofdm,
    Rayleigh,
    Reports,
    Tabulated,
    Tdl,
)
from gainnet.radio.coding import redundancy as harq
from gainnet.radio.coding.bler import load_bler_tables
from gainnet.radio.coding.information import Accumulated, bit_information, snr_db_of_information
from gainnet.radio.coding.ldpc import demodulate, encode, modulate
from gainnet.radio.links.portion import Portion


def payload(num_items: int, num_bytes: int) -> Bits:
    rng = np.random.default_rng(3)
    return Bits.of([rng.bytes(num_bytes) for _ in range(num_items)])


def sent(link: Digital | Tabulated, num_items: int, num_bytes: int, first: int = 0) -> tuple[Bits, Usage]:
    random = Random.of(range(first, first + num_items))
    return link.send(payload(num_items, num_bytes), link.observe(random), random)


@pytest.mark.parametrize("index", [0, 8, 14, 22, 33])
def test_buffer_holds_what_the_first_attempt_sent(index: int) -> None:
    codeword = Codeword(40, LADDER[index])
    payloads = torch.arange(80, dtype=torch.uint8).reshape(2, 40)
    clean = Symbols.clean(encode(payloads, codeword))
    soft = harq.first_soft_bits(clean, codeword)
    decoded, holds = harq.decode(soft, codeword)
    assert torch.equal(decoded, payloads)
    assert bool(holds.all())


@pytest.mark.parametrize("index", [8, 14, 22, 33])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_redundancy_versions_are_sionnas(index: int, number: int) -> None:
    """Our portion of the circular buffer is what Sionna's encoder gives for that redundancy version."""
    from sionna.phy.fec.ldpc import LDPC5GEncoder

    from gainnet.radio.coding.ldpc import information_bits

    codeword = Codeword(40, LADDER[index])
    payloads = torch.arange(80, dtype=torch.uint8).reshape(2, 40)
    order = codeword.mcs.bits_per_symbol
    theirs = LDPC5GEncoder(codeword.num_information_bits, codeword.num_coded_bits, num_bits_per_symbol=order)
    bits = theirs(information_bits(payloads, codeword), rv=[harq.VERSIONS[number]])[:, 0]
    portion = Portion(codeword, codeword.mcs, codeword.num_channel_uses, number)
    start = theirs.get_start_positions_comp([harq.VERSIONS[number]])[0]
    if start + codeword.num_coded_bits > harq._mother(*harq._mother_of(codeword))[0].n:
        pytest.skip("goes around the end of the buffer, which is limited to the lowest rate that Sionna codes")
    torch.testing.assert_close(harq.encode(payloads, portion), modulate(bits, order))


def test_later_portion_alone_is_decodable() -> None:
    """At high SNR any redundancy version of enough bits but the first carries the payload, or nearly so."""
    codeword = Codeword(60, LADDER[8])
    payloads = torch.arange(120, dtype=torch.uint8).reshape(2, 60)
    portion = Portion(codeword, LADDER[14], 900, 2)
    soft = harq.soft_bits(Symbols.clean(harq.encode(payloads, portion)), portion)
    decoded, holds = harq.decode(soft, codeword)
    assert torch.equal(decoded, payloads)
    assert bool(holds.all())


@pytest.mark.parametrize("order", [2, 4, 6, pytest.param(8, marks=pytest.mark.slow)])
def test_bit_information_is_that_of_the_demapper(order: int) -> None:
    """1 - E log2(1 + e^-L) over Sionna's own log-likelihood ratios; max-log loses a little at low SNR."""
    rng = np.random.default_rng(0)
    bits = torch.from_numpy(rng.integers(0, 2, (80, 120 * order))).float()
    for snr in (1.0, 10.0, 60.0):
        random = Random.of(range(80))
        gain = torch.ones(80, dtype=torch.complex64)
        received = AWGN().transmit(modulate(bits, order), torch.full((80,), snr), gain, random)
        llr = demodulate(received, order) * (2 * bits - 1)
        measured = 1 - float(torch.nn.functional.softplus(-llr).mean()) / math.log(2)
        expected = float(bit_information(order, torch.tensor(snr)))
        assert measured == pytest.approx(expected, abs=0.025)
        assert (
            float(snr_db_of_information(order, torch.tensor(expected))) == pytest.approx(10 * math.log10(snr), abs=0.05)
            or expected > 0.999
        )


@pytest.mark.parametrize("index", [2, 8, 14, 22])
def test_one_whole_portion_has_the_block_error_rate_of_the_table(index: int) -> None:
    tables, codeword = load_bler_tables(), Codeword(62, LADDER[index])
    length = torch.tensor(codeword.num_information_bits)
    snr_db = tables.required_snr_db(torch.tensor(index), length, 0.1)
    num_bits = torch.tensor([float(codeword.num_coded_bits)])
    information = num_bits * bit_information(codeword.mcs.bits_per_symbol, 10 ** (snr_db / 10))
    found = Accumulated(information, num_bits).bler(tables, index, int(length))
    assert float(found) == pytest.approx(0.1, abs=0.03)


def test_redundancy_costs_less_than_sending_anew() -> None:
    """With reports that are 3 dB wrong codewords fail, and what arrived of them is not lost."""
    links = [Tabulated(Air(AWGN(), 8.0, reports=Reports(3.0)), arq=Arq(harq=harq_)) for harq_ in ("none", "ir")]
    anew, more = (sent(link, 200, 120)[1].num_channel_uses for link in links)
    assert more < 0.85 * anew


@pytest.mark.slow
@pytest.mark.parametrize("snr_db", [0.0, *(pytest.param(x, marks=pytest.mark.slow) for x in (-10.0, 10.0))])
def test_redundancy_reaches_most_of_the_capacity_over_fading(snr_db: float) -> None:
    """Goodput over the ergodic capacity e^{1/g} E1(1/g) / ln 2; sending anew got 0.32 of it at 0 dB."""
    from scipy.special import exp1

    snr = 10 ** (snr_db / 10)
    capacity = math.exp(1 / snr) * float(exp1(1 / snr)) / math.log(2)
    received, usage = sent(Tabulated(Air(Rayleigh(), snr_db), arq=Arq(harq="ir")), 60, 500)
    assert None not in received.strings
    assert 0.58 < 60 * 4000 / usage.num_channel_uses / capacity < 0.85


@pytest.mark.slow
@pytest.mark.parametrize(
    ("channel", "snr_db", "report_error_db"),
    [(AWGN(), 5.0, 3.0), (Rayleigh(), 2.0, 3.0), (Jakes(), 8.0, 2.0), (Ofdm(Tdl("C")), 10.0, 2.0)],
    ids=str,
)
def test_fast_path_agrees_with_the_bit_level(channel: Channel, snr_db: float, report_error_db: float) -> None:
    """Mean uses and retransmissions of 36 items within four standard errors of their difference, item by item."""
    usages = []
    for kind in (Digital, Tabulated):
        link = kind(Air(channel, snr_db, reports=Reports(report_error_db)), arq=Arq(harq="ir"))
        usages.append([sent(link, 1, 60, first)[1] for first in range(36)])
    for name in ("num_channel_uses", "num_retransmissions"):
        slow, fast = (np.array([getattr(u, name) for u in list_]) for list_ in usages)
        error = (slow - fast).std() / math.sqrt(len(slow))
        assert abs(slow.mean() - fast.mean()) <= 4 * error + 0.02 * slow.mean(), name


@pytest.mark.slow
def test_late_reports_hurt_as_far_as_the_channel_forgets() -> None:
    """Over Jakes blocks a report one block old is nearly true, one of a zero of the Bessel function is worthless."""
    zero = round(2.405 / (2 * math.pi * 0.02))
    uses = []
    for delay in (0, 1, zero):
        link = Tabulated(Air(Jakes(doppler=0.02), 10.0, reports=Reports(delay_blocks=delay)), arq=Arq(harq="none"))
        uses.append(sent(link, 150, 120)[1].num_channel_uses)
    assert uses[0] <= uses[1] < 1.25 * uses[0]
    assert uses[2] > 1.5 * uses[0]


def test_reports_over_memoryless_fading_are_worthless_when_late() -> None:
    state = Tabulated(Air(Rayleigh(), 10.0, reports=Reports(delay_blocks=1))).observe(Random.of(range(3000)))
    true = 10 * state.gain.abs().square()
    assert abs(float(torch.corrcoef(torch.stack([true, state.reported_snr]))[0, 1])) < 4.5 / math.sqrt(3000)
    now = Tabulated(Air(Rayleigh(), 10.0)).observe(Random.of(range(10)))
    torch.testing.assert_close(now.reported_snr, 10 * now.gain.abs().square())


def test_report_of_a_slot_has_its_mutual_information() -> None:
    """An effective SNR lies between the lowest and the highest of the slot, and at the true rate on average."""
    link = Tabulated(Air(Ofdm(Tdl("C")), 10.0))
    reported = link.observe(Random.of(range(400))).reported_snr
    assert float((1 + reported).log2().mean()) == pytest.approx(2.9, abs=0.15), "ergodic capacity of Rayleigh at 10 dB"
    assert float(reported.log10().std()) < 0.9 * float(
        (10 * Random.of(range(400)).complex_normal(()).abs() ** 2).log10().std()
    )


def test_what_would_end_after_the_deadline_is_not_sent() -> None:
    whole = sent(Tabulated(Air(AWGN(), 5.0)), 1, 600)[1]
    early = Tabulated(Air(AWGN(), 5.0), arq=Arq(deadline_s=0.6 * whole.duration_s))
    received, usage = sent(early, 1, 600)
    assert received.strings == (None,)
    assert usage.duration_s <= 0.6 * whole.duration_s
    assert sent(Tabulated(Air(AWGN(), 5.0), arq=Arq(deadline_s=1.01 * whole.duration_s)), 1, 600)[1] == whole
    real = Digital(Air(AWGN(), 5.0), arq=Arq(deadline_s=0.6 * whole.duration_s))
    assert sent(real, 1, 600)[1].num_channel_uses == usage.num_channel_uses


def test_deadlines_lose_what_waits_for_feedback() -> None:
    link = Tabulated(Air(Rayleigh(), 5.0, reports=Reports(4.0)), arq=Arq(feedback_delay_s=5e-3, harq="none"))
    patient, hurried = (
        sent(Tabulated(link.air, arq=replace(link.arq, deadline_s=d)), 100, 60)[0] for d in (math.inf, 4e-3)
    )
    assert link.arq.deadline_s == math.inf
    lost = [sum(s is None for s in received.strings) for received in (patient, hurried)]
    assert lost[0] == 0 < lost[1] < 100


@pytest.mark.parametrize(("field", "value"), [("deadline_s", 0.0), ("harq", "maybe"), ("report_delay_blocks", -1)])
def test_absurd_links_are_refused(field: str, value: object) -> None:
    kind, name = (Reports, "delay_blocks") if field == "report_delay_blocks" else (Arq, field)
    with pytest.raises(ConfigError, match=name):
        kind(**{name: value})
