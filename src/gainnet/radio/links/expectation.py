"""Expected usage of a link that retransmits: a sample of items with fixed random seeds, sent at table speed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Protocol, final

import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.core.types import ChannelState, Size, Usage
from gainnet.core.units import linear_to_db
from gainnet.radio.air import Air, Radios
from gainnet.radio.arq import Arq
from gainnet.radio.coding.adaptation import payload_bits_that_fit, tables
from gainnet.radio.coding.attempts import free_bits_that_fit
from gainnet.radio.coding.free_tables import POLAR_TABLE_PATH, load_free_tables
from gainnet.radio.coding.information import Accumulated, highest_scheme
from gainnet.radio.coding.mcs import LADDER, NUM_CRC_BITS, Codeword
from gainnet.radio.coding.polar import num_polar_bits
from gainnet.radio.fading.channel import Channel
from gainnet.radio.links.outcome import Outcome
from gainnet.radio.links.portion import Batch, Portion, state_at, streams_at
from gainnet.radio.links.rounds import exchange
from gainnet.radio.links.segments import adaptation_of, cut
from gainnet.radio.links.spanning import pieces
from gainnet.radio.reports import effective_snr

_NUM_CODEWORDS: Final = 2048
_MAX_NUM_ITEMS: Final = 2048


@final
@dataclass(frozen=True)
class TableAttempt:
    r"""An attempt whose success is drawn with the block error rate at the codeword's effective SNR.

    Over the uses of a codeword that spans blocks this is the SNR of equal mutual information, see `effective_snr`.
    Portions that are combined add their information per coded bit, see `Accumulated`; a codeword draws once, since the
    noise of its first attempt stays in the sum.

    Args:
        channel: gives the gains, the same as in the bit-level link.
        combines: whether portions are combined.
        learned: information, coded bits and draw of codewords that failed so far, by row.
    """

    channel: Channel
    combines: bool = False
    learned: dict[int, tuple[float, float, float]] = field(default_factory=dict)

    def __call__(self, batch: Batch, rows: Tensor, state: ChannelState, random: Random) -> Tensor:
        """[num_codewords] bool, whether each is decoded."""
        if not self.combines:
            return random.uniform((), "outcome") >= self._bler_alone(batch, state, random)
        holds = torch.zeros(len(rows), dtype=torch.bool)
        for portion, members in batch.portions():
            now, streams = state_at(state, members), streams_at(random, members)
            holds[members] = self._with_all_before(portion, rows[members], now, streams)
        return holds

    def _bler_alone(self, batch: Batch, state: ChannelState, random: Random) -> Tensor:
        """[num_codewords], straight from the table, where a scheme was measured."""
        effective = state.snr * state.gain.abs().square()
        for portion, members in batch.portions(batch.length > self.channel.block_length):
            now, streams = state_at(state, members), streams_at(random, members)
            effective[members] = self._effective_snr(portion.codeword, now, streams)
        return tables().bler(batch.scheme, 8 * batch.num_bytes + NUM_CRC_BITS, linear_to_db(effective))

    def _with_all_before(self, portion: Portion, rows: Tensor, state: ChannelState, random: Random) -> Tensor:
        order, uses = portion.mcs.bits_per_symbol, portion.num_channel_uses
        seen = pieces(self.channel, uses, state, random)
        information = seen.information(order, torch.full((len(state.snr),), uses))
        num_bits = torch.full_like(information, float(uses * order))
        if portion.number == 0:
            drawn = random.uniform((), "outcome").double()
        else:
            before = torch.tensor([self.learned.pop(row) for row in rows.tolist()], dtype=torch.float64)
            information, num_bits, drawn = before[:, 0] + information, before[:, 1] + num_bits, before[:, 2]
        holds = drawn >= self._bler_of(portion, information, num_bits, state)
        kept = torch.stack([information, num_bits, drawn], -1)[~holds]
        self.learned.update(zip(rows[~holds].tolist(), map(tuple, kept.tolist()), strict=True))
        return holds

    def _bler_of(self, portion: Portion, information: Tensor, num_bits: Tensor, state: ChannelState) -> Tensor:
        """[num_codewords]; from the table itself where the very codeword was measured."""
        codeword = portion.codeword
        if portion.is_polar:
            k = num_polar_bits(codeword.num_bytes)
            tables_of_polar = load_free_tables(POLAR_TABLE_PATH)
            return tables_of_polar.combined_bler(codeword.mcs.bits_per_symbol, k, information, num_bits)
        if portion.start is not None:
            order, k = codeword.mcs.bits_per_symbol, codeword.num_information_bits
            return load_free_tables().combined_bler(order, k, information, num_bits)
        if portion.number == 0 and codeword.mcs in LADDER and codeword.num_channel_uses <= self.channel.block_length:
            scheme, length = torch.tensor(LADDER.index(codeword.mcs)), torch.tensor(codeword.num_information_bits)
            return tables().bler(scheme, length, linear_to_db(state.snr * state.gain.abs().square()))
        scheme_of_order = highest_scheme(codeword.mcs.bits_per_symbol)
        return Accumulated(information, num_bits).bler(tables(), scheme_of_order, codeword.num_information_bits)

    def _effective_snr(self, codeword: Codeword, state: ChannelState, random: Random) -> Tensor:
        # A transmission, since channels that estimate their gains add an error to the noise.
        sent = torch.ones(len(state.snr), codeword.num_channel_uses, dtype=torch.complex64)
        received = self.channel.transmit(sent, state.snr, state.gain, random)
        return effective_snr(received.gain.abs().square() / received.noise_variance)


class Coded(Protocol):
    """A link of codewords that are sent again."""

    @property
    def air(self) -> Air: ...

    @property
    def radios(self) -> Radios: ...

    @property
    def arq(self) -> Arq: ...


def expected_usage(link: Coded, size: Size, num_items: int) -> Usage:
    """Expected usage of `num_items` items of `size.expected` bits, from a sample sent with block error rate tables."""
    sample, num_bits = _sample(link.air, link.arq, math.ceil(size.expected / 8)), size.expected * num_items
    return sample.expected_usage(num_items, link.air, link.radios, num_bits, link.arq.feedback_delay_s)


def draw_durations_s(link: Coded, size: Size, num_items: int, num_draws: int, random_seed: int) -> Tensor:
    """[num_draws], float64 durations with feedback of `num_items` items of `size.expected` bits, of that sample."""
    sample = _sample(link.air, link.arq, math.ceil(size.expected / 8))
    return sample.draw_durations_s(num_items, num_draws, random_seed, link.air, link.arq.feedback_delay_s)


def capacity_bits(link: Coded, num_channel_uses: float, reported_snr: float) -> float:
    """Payload bits whose expected uses fit, at the scheme for `reported_snr` (linear)."""
    if link.arq.is_free:
        return free_bits_that_fit(num_channel_uses, reported_snr, link.arq.max_attempts, link.arq.target_bler)
    return payload_bits_that_fit(adaptation_of(link.air, link.arq), num_channel_uses, reported_snr)


# A study asks for the expectation of the same payload many times over.
@lru_cache(maxsize=256)
def _sample(air: Air, arq: Arq, num_bytes: int) -> Outcome:
    """Fewer items where each one has many codewords."""
    adaptation = adaptation_of(air, arq)
    typical_bytes = int(adaptation.full_num_bytes()[adaptation.full_scheme(torch.tensor(air.snr))])
    num_items = min(max(4, _NUM_CODEWORDS // (1 + num_bytes // typical_bytes)), _MAX_NUM_ITEMS)
    random = Random.of(list(range(num_items))).child("rehearsal")
    segments = cut(air, arq, torch.full((num_items,), num_bytes), air.observe(random), random)
    return exchange(air, arq, segments, num_items, TableAttempt(air.fading, arq.combines))
