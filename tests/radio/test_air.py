"""The air, gains of blocks over time, and the time of each item."""

from __future__ import annotations

import math

import pytest
import torch

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.types import Bits
from gainnet.core.units import db_to_linear, linear_to_db
from gainnet.radio import AWGN, Air, Arq, Digital, Jakes, Link, Ofdm, Radios, Rayleigh, Reports, Shannon, Tabulated
from gainnet.radio.reports import effective_snr

RANDOM = Random.of([7, 8, 9])


def test_an_air_that_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="snr_db: 200"):
        Air(snr_db=200.0)
    with pytest.raises(ConfigError, match="bandwidth_hz"):
        Air(bandwidth_hz=math.nan)
    with pytest.raises(ConfigError, match=r"reports\.delay_blocks"):
        Reports(delay_blocks=-1)
    with pytest.raises(ConfigError, match="rx_power_w"):
        Radios(rx_power_w=math.inf)
    with pytest.raises(ConfigError, match="deadline_s"):
        Arq(deadline_s=math.nan)


def test_decibels_of_tensors_and_numbers_agree() -> None:
    values_db = torch.tensor([-20.0, 0.0, 7.0], dtype=torch.float64)
    assert db_to_linear(values_db).tolist() == pytest.approx([db_to_linear(x) for x in values_db.tolist()])
    torch.testing.assert_close(linear_to_db(db_to_linear(values_db)), values_db)


def test_effective_snr_of_equal_gains_is_their_snr() -> None:
    assert effective_snr(torch.tensor([[3.0, 3.0, 3.0]])).item() == pytest.approx(3.0)
    assert effective_snr(torch.tensor([[0.0, 3.0]])).item() == pytest.approx(1.0)


@pytest.mark.parametrize("channel", [Rayleigh(), Jakes(), AWGN()])
def test_a_block_has_the_same_gain_whichever_blocks_are_asked_for(channel: Rayleigh | Jakes | AWGN) -> None:
    many = channel.blocks.gains(RANDOM, range(-2, 9))
    for number in (-2, 0, 1, 5, 8):
        torch.testing.assert_close(channel.blocks.gains(RANDOM, (number,))[:, 0], many[:, number + 2])
    torch.testing.assert_close(many[:, 2, 0], channel.first_gain(RANDOM))


def test_a_codeword_of_a_process_sees_the_block_in_which_it_starts() -> None:
    own, start = Random.of([1, 2, 3]), torch.tensor([0, 4, 9])
    state = Air(Jakes(), 10.0).observe_at(RANDOM, start, own)
    torch.testing.assert_close(state.gain, Jakes().gains(RANDOM, start[:, None])[:, 0])
    independent = Air(Rayleigh(), 10.0).observe_at(RANDOM, start, own)
    torch.testing.assert_close(independent.gain, Rayleigh().first_gain(own))


def test_a_report_of_a_slot_is_one_number_for_many_gains() -> None:
    channel = Ofdm()
    state = Air(channel, 10.0).observe(RANDOM)
    assert state.block_length == channel.slot_length
    power = channel.slot_gains(RANDOM, 0).abs().square()
    torch.testing.assert_close(state.reported_snr, effective_snr(10.0 * power))


LINKS = [Tabulated(Air(Rayleigh(), 3.0)), Shannon(Air(Jakes(64), 0.0)), Digital(Air(Rayleigh(), 6.0))]


@pytest.mark.parametrize("link", LINKS, ids=("tabulated", "shannon", "digital"))
def test_items_take_as_long_in_a_batch_as_alone(link: Link[Bits]) -> None:
    strings = tuple(generator.bytes(30 + 50 * i) for i, generator in enumerate(RANDOM.generators("payload")))
    _, usage = link.send(Bits(strings, (3,)), link.observe(RANDOM), RANDOM)
    assert sum(usage.item_s) == pytest.approx(usage.duration_s + usage.feedback_s)
    for item, string in enumerate(strings):
        one = Random((RANDOM.random_seeds[item],), (), ())
        _, alone = link.send(Bits((string,), ()), link.observe(one), one)
        assert usage.item_s[item] == pytest.approx(alone.duration_s + alone.feedback_s)


@pytest.mark.parametrize("kind", [pytest.param(Digital, marks=pytest.mark.slow), Tabulated])
def test_redundancy_is_sent_only_of_codewords_that_were_begun(kind: type[Digital] | type[Tabulated]) -> None:
    """A first attempt that misses the deadline leaves nothing that a shorter second one could add to."""
    arq = Arq(harq="ir", deadline_s=2.2e-3, feedback_delay_s=2e-4)
    link = kind(Air(Rayleigh(64), 4.0, reports=Reports(3.0)), arq=arq)
    random = Random.of(range(6))
    received, usage = link.send(Bits(tuple(bytes(250) for _ in range(6)), (6,)), link.observe(random), random)
    assert None in received.strings
    assert max(usage.item_s) <= arq.deadline_s + 1e-9
