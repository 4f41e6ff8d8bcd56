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
from gainnet.radio.arq import ArqLink, Portion, adaptation_of, cut, exchange
from gainnet.radio.channel import Channel
from gainnet.radio.information import Accumulated, bit_information
from gainnet.radio.mcs import LADDER, Codeword

_NUM_CODEWORDS = 2048
_MAX_NUM_ITEMS = 2048


@final
@dataclass(frozen=True)
class TableAttempt:
    r"""An attempt whose success is drawn with the block error rate at the codeword's effective SNR.

    $\gamma_\mathrm{eff} = 2^{\overline{\log_2(1 + \gamma |h_i|^2)}} - 1$ over the uses of a codeword that spans several
    blocks: equal mutual information (Brueninghaus et al. 2005), with Gaussian inputs. Portions that are combined add
    their information per coded bit, see `Accumulated`; a codeword draws its luck once, since what noise did to it stays.

    Args:
        channel: what gives the gains; they are the ones that the bit-level path sees.
        combines: whether portions are combined.
        learned: information and coded bits so far of codewords that failed, and their luck, by row.
    """

    channel: Channel
    combines: bool = False
    learned: dict[int, tuple[float, float, float]] = field(default_factory=dict)

    def __call__(self, portion: Portion, rows: Tensor, state: ChannelState, random: Random) -> Tensor:
        """[num_codewords] bool, whether each got through."""
        snr = self._snr_of_uses(portion.num_channel_uses, state, random)
        if portion.number == 0:
            luck = random.uniform((), "outcome").double()
            holds = luck >= self._bler_alone(portion.codeword, snr)
            if not self.combines or bool(holds.all()):
                return holds
            information, num_bits = self._carried(portion, snr)
        else:
            before = torch.tensor([self.learned.pop(row) for row in rows.tolist()], dtype=torch.float64)
            carried = self._carried(portion, snr)
            information, num_bits, luck = before[:, 0] + carried[0], before[:, 1] + carried[1], before[:, 2]
            scheme = LADDER.index(portion.codeword.mcs)
            bler = Accumulated(information, num_bits).bler(tables(), scheme, portion.codeword.num_information_bits)
            holds = luck >= bler
        kept = torch.stack([information, num_bits.expand(information.shape), luck], -1)[~holds]
        self.learned.update(zip(rows[~holds].tolist(), map(tuple, kept.tolist()), strict=True))
        return holds

    def _bler_alone(self, codeword: Codeword, snr: Tensor) -> Tensor:
        effective = snr[:, 0] if snr.shape[-1] == 1 else torch.log2(1 + snr).mean(-1).exp2() - 1
        scheme = torch.tensor(LADDER.index(codeword.mcs))
        return tables().bler(scheme, torch.tensor(codeword.num_information_bits), 10 * effective.log10())

    def _carried(self, portion: Portion, snr: Tensor) -> tuple[Tensor, Tensor]:
        """[num_codewords] information and coded bits of a portion."""
        order = portion.mcs.bits_per_symbol
        num_bits = torch.tensor(float(portion.num_channel_uses * order), dtype=torch.float64)
        return num_bits * bit_information(order, snr).mean(-1), num_bits

    def _snr_of_uses(self, num_channel_uses: int, state: ChannelState, random: Random) -> Tensor:
        """[num_codewords, num_channel_uses], or one column where it is the same for all uses."""
        if num_channel_uses <= self.channel.block_length:
            return (state.snr * state.gain.abs().square()).unsqueeze(-1)
        sent = torch.ones(len(state.snr), num_channel_uses, dtype=torch.complex64)
        received = self.channel.transmit(sent, state.snr, state.gain, random)
        return received.gain.abs().square() / received.noise_variance


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
