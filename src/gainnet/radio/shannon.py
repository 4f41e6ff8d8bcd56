"""The bound: bits at the rate that Shannon proved and no code reaches."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.core.types import Bits, ChannelState, Payload, Size, Usage
from gainnet.radio.air import Outcome, check_radio, mean_outcome, observe, resample_durations_s, usage_of
from gainnet.radio.awgn import AWGN
from gainnet.radio.channel import Channel, Evolving, Selective, coherent_uses

_NUM_BLOCKS = 2048
_MAX_NUM_ITEMS = 2048


@final
@dataclass(frozen=True)
class ShannonLink:
    r"""Error-free bits at capacity, every block's gain known to both ends, constant power.

    $R_b = B \log_2(1 + \gamma |h_b|^2)$   (Shannon 1948, Theorem 17; Goldsmith and Varaiya 1997 for fading)

    Arguments and errors as `AnalogLink`.

    >>> link, random = ShannonLink(AWGN(), 0.0), Random.of([0])
    >>> received, usage = link.send(Bits.of([bytes(32)]), link.observe(random), random)
    >>> usage.num_channel_uses
    256.0
    """

    channel: Channel = field(default_factory=AWGN)
    snr_db: float = 10.0
    bandwidth_hz: float = 1e6
    tx_power_w: float = 0.2
    rx_power_w: float = 0.1
    medium: str = "air"
    report_error_db: float = 0.0
    report_delay_blocks: int = 0
    carries: ClassVar[type[Payload]] = Bits

    def __post_init__(self) -> None:
        check_radio(self)

    def observe(self, random: Random) -> ChannelState:
        """Gain of the first block, and the SNR reported of it."""
        return observe(self, random)

    def usage(self, size: Size, num_items: int) -> Usage:
        """Expected usage over the fading."""
        outcome = mean_outcome(_sample(self, size.expected), num_items)
        return usage_of(self, size.expected * num_items, outcome, 0.0)

    def draw_durations_s(self, size: Size, num_items: int, num_draws: int, random_seed: int) -> Tensor:
        """Durations over the fading."""
        return resample_durations_s(self, _sample(self, size.expected), 0.0, num_items, num_draws, random_seed)

    def send(self, payload: Bits, state: ChannelState, random: Random) -> tuple[Bits, Usage]:
        """The payload itself."""
        num_bits = torch.tensor([8.0 * len(s or b"") for s in payload.strings], dtype=torch.float64)
        outcome = _sent(self, num_bits, state, random)
        return payload, usage_of(self, payload.num_bits, outcome, 0.0)

    def capacity_bits(self, num_channel_uses: float, reported_snr: float) -> float:
        """Whole bits at the capacity for `reported_snr`."""
        return float(math.floor(num_channel_uses * math.log2(1 + min(reported_snr, _SNR_LIMIT))))


_SNR_LIMIT = 1e15
"""Stands for an infinite SNR, so that no bits still take no uses."""


_MOST_TURNS = 18
"""After so many doublings of the number of blocks the air counts as out of order."""


def _sent(link: ShannonLink, num_bits: Tensor, state: ChannelState, random: Random) -> Outcome:
    """Whole channel uses of each item until its bits are through, block after block; twice as many blocks per turn."""
    length = coherent_uses(link.channel)
    uses, left = torch.zeros_like(num_bits), num_bits.clone()
    rate = _first_rates(link, state, random)
    for turn in range(_MOST_TURNS + 1):
        carried = (length * rate).cumsum(-1)
        num_full = (carried < left[:, None]).sum(-1)
        done = num_full < carried.shape[-1]
        before = torch.cat([torch.zeros_like(left[:, None]), carried], -1).gather(-1, num_full[:, None]).squeeze(-1)
        last = rate.gather(-1, num_full.clamp_max(rate.shape[-1] - 1)[:, None]).squeeze(-1)
        tail = torch.where(done, ((left - before) / last - 1e-9).ceil().clamp_min(0), 0.0)
        uses, left = uses + num_full * float(length) + tail, torch.where(done, 0.0, left - before)
        if bool(done.all()) or turn == _MOST_TURNS:
            none = torch.zeros_like(uses)
            return Outcome(uses, none, none, done)
        rate = _later_rates(link, state, random, turn)
    raise AssertionError("the last turn returns")


def _first_rates(link: ShannonLink, state: ChannelState, random: Random) -> Tensor:
    """[num_items, 1], bits per use of the first block or slot."""
    if isinstance(link.channel, Selective):
        return _slot_rates(link, state, random, range(1))
    return _rates_of(state, state.gain.reshape(-1, 1))


def _later_rates(link: ShannonLink, state: ChannelState, random: Random, turn: int) -> Tensor:
    """[num_items, 2^(turn + 1)], bits per use of the blocks that this turn adds."""
    width = 2 ** (turn + 1)
    if isinstance(link.channel, Selective):
        return _slot_rates(link, state, random, range(width - 1, 2 * width - 1))
    if isinstance(link.channel, Evolving):
        blocks = torch.arange(width - 1, 2 * width - 1).expand(*random.batch, width)
        return _rates_of(state, link.channel.gains(random, blocks).reshape(-1, width))
    seeds = np.stack([g.integers(2**63, size=width) for g in random.generators("blocks", turn)])
    return _rates_of(state, link.channel.first_gain(Random(tuple(seeds.flatten().tolist()), seeds.shape)))


def _slot_rates(link: ShannonLink, state: ChannelState, random: Random, slots: range) -> Tensor:
    channel = link.channel
    assert isinstance(channel, Selective)
    gains = torch.stack([channel.slot_gains(random, slot) for slot in slots], -2)
    return _rates_of(state, gains.reshape(-1, *gains.shape[-2:])).mean(-1)


def _rates_of(state: ChannelState, gain: Tensor) -> Tensor:
    """[num_items, ...], bits per use behind gains [num_items, ...]."""
    snr = state.snr.reshape(-1, *(1 for _ in gain.shape[1:])).double()
    return torch.log2(1 + (snr * gain.abs().square().double()).clamp_max(_SNR_LIMIT))


@lru_cache(maxsize=256)
def _sample(link: ShannonLink, num_bits: float) -> Outcome:
    blocks = 1 + num_bits / (coherent_uses(link.channel) * math.log2(1 + 10 ** (link.snr_db / 10)))
    num_items = min(max(4, int(_NUM_BLOCKS / blocks)), _MAX_NUM_ITEMS)
    random = Random.of(list(range(num_items))).child("rehearsal")
    bits = torch.full((num_items,), num_bits, dtype=torch.float64)
    return _sent(link, bits, observe(link, random), random)
