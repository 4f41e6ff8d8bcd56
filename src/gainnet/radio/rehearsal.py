"""What a retransmitting link takes on average: a sample of items of fixed random seeds, sent at table speed."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
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
from gainnet.radio.mcs import LADDER, Codeword

_NUM_CODEWORDS = 2048
_MAX_NUM_ITEMS = 2048


@final
@dataclass(frozen=True)
class TableAttempt:
    r"""An attempt whose success is drawn with the block error rate at the codeword's effective SNR.

    $\gamma_\mathrm{eff} = 2^{\overline{\log_2(1 + \gamma |h_i|^2)}} - 1$ over the uses of a codeword that spans several
    blocks: equal mutual information (Brueninghaus et al. 2005), with Gaussian inputs.

    Args:
        channel: what gives the gains; they are the ones that the bit-level path sees.
    """

    channel: Channel

    def __call__(self, codeword: Codeword, rows: Tensor, state: ChannelState, random: Random) -> Tensor:
        """[num_codewords] bool, whether each got through."""
        snr_db = 10 * self._effective_snr(codeword, state, random).log10()
        scheme = torch.tensor(LADDER.index(codeword.mcs))
        bler = tables().bler(scheme, torch.tensor(codeword.num_information_bits), snr_db)
        return random.uniform((), "outcome") >= bler

    def _effective_snr(self, codeword: Codeword, state: ChannelState, random: Random) -> Tensor:
        if codeword.num_channel_uses <= self.channel.block_length:
            return state.snr * state.gain.abs().square()
        sent = torch.ones(len(state.snr), codeword.num_channel_uses, dtype=torch.complex64)
        received = self.channel.transmit(sent, state.snr, state.gain, random)
        snr = received.gain.abs().square() / received.noise_variance
        return torch.log2(1 + snr).mean(-1).exp2() - 1


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
    return exchange(link, segments, num_items, TableAttempt(link.channel))


def _typical_num_bytes(link: ArqLink) -> int:
    adaptation = adaptation_of(link)
    scheme = adaptation.full_scheme(torch.tensor(db_to_linear(link.snr_db)))
    return int(adaptation.full_num_bytes()[scheme])
