"""What a retransmitting link takes on average: a sample of items of fixed random seeds, sent at table speed."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast, final

import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.core.types import ChannelState, Size, Usage
from gainnet.core.units import db_to_linear
from gainnet.radio.adaptation import tables
from gainnet.radio.air import Outcome, mean_outcome, observe, resample_durations_s, usage_of
from gainnet.radio.arq import ArqLink, adaptation_of, cut, exchange
from gainnet.radio.channel import Channel
from gainnet.radio.information import Accumulated, highest_scheme
from gainnet.radio.mcs import LADDER, NUM_CRC_BITS, Codeword
from gainnet.radio.portion import Batch, Portion, state_at, streams_at
from gainnet.radio.spanning import pieces

_NUM_CODEWORDS = 2048
_MAX_NUM_ITEMS = 2048


@final
@dataclass(frozen=True)
class TableAttempt:
    r"""An attempt whose success is drawn with the block error rate at the codeword's effective SNR.

    $\gamma_\mathrm{eff} = 2^{\overline{\log_2(1 + \gamma |h_i|^2)}} - 1$ over the uses of a codeword that spans blocks:
    equal mutual information (Brueninghaus et al. 2005), with Gaussian inputs. Portions that are combined add their
    information per coded bit, see `Accumulated`; a codeword draws its luck once, since what noise did to it stays.

    Args:
        channel: what gives the gains; they are the ones that the bit-level path sees.
        combines: whether portions are combined.
        learned: information and coded bits so far of codewords that failed, and their luck, by row.
    """

    channel: Channel
    combines: bool = False
    learned: dict[int, tuple[float, float, float]] = field(default_factory=dict)

    def __call__(self, batch: Batch, rows: Tensor, state: ChannelState, random: Random) -> Tensor:
        """[num_codewords] bool, whether each got through."""
        if self.combines:
            return self._combined(batch, rows, state, random)
        return random.uniform((), "outcome") >= self._bler_alone(batch, state, random)

    def _bler_alone(self, batch: Batch, state: ChannelState, random: Random) -> Tensor:
        """[num_codewords], straight from the table, where a scheme was measured."""
        effective = state.snr * state.gain.abs().square()
        for portion, members in batch.portions(batch.length > self.channel.block_length):
            now, streams = state_at(state, members), streams_at(random, members)
            effective[members] = self._effective_snr(portion.codeword, now, streams)
        return tables().bler(batch.scheme, 8 * batch.num_bytes + NUM_CRC_BITS, 10 * effective.log10())

    def _combined(self, batch: Batch, rows: Tensor, state: ChannelState, random: Random) -> Tensor:
        holds = torch.zeros(len(rows), dtype=torch.bool)
        for portion, members in batch.portions(~holds):
            now, streams = state_at(state, members), streams_at(random, members)
            holds[members] = self._with_all_before(portion, rows[members], now, streams)
        return holds

    def _with_all_before(self, portion: Portion, rows: Tensor, state: ChannelState, random: Random) -> Tensor:
        information, num_bits = self._carried(portion, state, random)
        if portion.number == 0:
            luck = random.uniform((), "outcome").double()
        else:
            before = torch.tensor([self.learned.pop(row) for row in rows.tolist()], dtype=torch.float64)
            information, num_bits, luck = before[:, 0] + information, before[:, 1] + num_bits, before[:, 2]
        holds = luck >= self._bler_of(portion, information, num_bits, state)
        kept = torch.stack([information, num_bits, luck], -1)[~holds]
        self.learned.update(zip(rows[~holds].tolist(), map(tuple, kept.tolist()), strict=True))
        return holds

    def _bler_of(self, portion: Portion, information: Tensor, num_bits: Tensor, state: ChannelState) -> Tensor:
        """[num_codewords]; from the table itself where the very codeword was measured."""
        codeword = portion.codeword
        if portion.number == 0 and codeword.mcs in LADDER and codeword.num_channel_uses <= self.channel.block_length:
            scheme, length = torch.tensor(LADDER.index(codeword.mcs)), torch.tensor(codeword.num_information_bits)
            return tables().bler(scheme, length, 10 * (state.snr * state.gain.abs().square()).log10())
        scheme_of_order = highest_scheme(codeword.mcs.bits_per_symbol)
        return Accumulated(information, num_bits).bler(tables(), scheme_of_order, codeword.num_information_bits)

    def _effective_snr(self, codeword: Codeword, state: ChannelState, random: Random) -> Tensor:
        if codeword.num_channel_uses <= self.channel.block_length:
            return state.snr * state.gain.abs().square()
        sent = torch.ones(len(state.snr), codeword.num_channel_uses, dtype=torch.complex64)
        received = self.channel.transmit(sent, state.snr, state.gain, random)
        snr = received.gain.abs().square() / received.noise_variance
        return torch.log2(1 + snr).mean(-1).exp2() - 1

    def _carried(self, portion: Portion, state: ChannelState, random: Random) -> tuple[Tensor, Tensor]:
        """[num_codewords] information and coded bits of a portion."""
        order, uses = portion.mcs.bits_per_symbol, portion.num_channel_uses
        seen = pieces(self.channel, uses, state, random)
        information = seen.information(order, torch.full((len(state.snr),), uses))
        return information, torch.full_like(information, float(uses * order))


def usage(link: ArqLink, size: Size, num_items: int) -> Usage:
    """Expected usage of `num_items` items of `size.expected` bits."""
    sample = _sample(link, math.ceil(size.expected / 8))
    return usage_of(link, size.expected * num_items, mean_outcome(sample, num_items), link.feedback_delay_s)


def draw_durations_s(link: ArqLink, size: Size, num_items: int, num_draws: int, random_seed: int) -> Tensor:
    """[num_draws], samples of duration and feedback of such a transfer."""
    sample = _sample(link, math.ceil(size.expected / 8))
    return resample_durations_s(link, sample, link.feedback_delay_s, num_items, num_draws, random_seed)


def _sample(link: ArqLink, num_bytes: int) -> Outcome:
    """A sample of items; remembered, since a study asks for the same one again and again."""
    return _rehearsed(cast(Hashable, link), num_bytes)


@lru_cache(maxsize=256)
def _rehearsed(link: Any, num_bytes: int) -> Outcome:
    num_items = min(max(4, _NUM_CODEWORDS // (1 + num_bytes // _typical_num_bytes(link))), _MAX_NUM_ITEMS)
    random = Random.of(list(range(num_items))).child("rehearsal")
    segments = cut(link, torch.full((num_items,), num_bytes), observe(link, random), random)
    return exchange(link, segments, num_items, TableAttempt(link.channel, link.harq == "ir"))


def _typical_num_bytes(link: ArqLink) -> int:
    adaptation = adaptation_of(link)
    scheme = adaptation.full_scheme(torch.tensor(db_to_linear(link.snr_db)))
    return int(adaptation.full_num_bytes()[scheme])
