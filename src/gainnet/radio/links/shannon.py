"""The Shannon bound as a link: bits at the capacity of each block, which no code reaches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Final, final

import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.core.types import Bits, ChannelState, Payload, Size, Usage
from gainnet.radio.air import Air, Radios
from gainnet.radio.links.link import medium_of, observe
from gainnet.radio.links.outcome import Outcome

_NUM_BLOCKS: Final = 2048
_MAX_NUM_ITEMS: Final = 2048
_MAX_DOUBLINGS: Final = 18
"""An item that is not through after 2^19 blocks is lost; the mean SNR is then below anything a link works at."""
_SNR_LIMIT: Final = 1e15
"""Stands for an infinite SNR, so that a rate stays finite and no bits still take no uses."""


@final
@dataclass(frozen=True)
class Shannon:
    r"""Error-free bits at capacity, every block's gain known to both ends, constant power.

    $R_b = B \log_2(1 + \gamma |h_b|^2)$   (Shannon 1948, Theorem 17; Goldsmith and Varaiya 1997 for fading)

    Args:
        air: radio conditions.
        radios: their power.

    >>> link, random = Shannon(Air(snr_db=0.0)), Random.of([0])
    >>> received, usage = link.send(Bits.of([bytes(32)]), link.observe(random), random)
    >>> usage.num_channel_uses
    256.0
    """

    air: Air = Air()
    radios: Radios = Radios()
    carries: ClassVar[type[Payload]] = Bits

    medium = property(medium_of)
    observe = observe

    def usage(self, size: Size, num_items: int) -> Usage:
        """Expected usage over the fading."""
        sample = _sample(self.air, size.expected)
        return sample.expected_usage(num_items, self.air, self.radios, size.expected * num_items)

    def draw_durations_s(self, size: Size, num_items: int, num_draws: int, random_seed: int) -> Tensor:
        """[num_draws], float64 durations over the fading."""
        return _sample(self.air, size.expected).draw_durations_s(num_items, num_draws, random_seed, self.air)

    def send(self, payload: Bits, state: ChannelState, random: Random) -> tuple[Bits, Usage]:
        """The payload itself, and the usage."""
        num_bits = torch.tensor([8.0 * len(s or b"") for s in payload.strings], dtype=torch.float64)
        return payload, _sent(self.air, num_bits, state, random).usage(self.air, self.radios, payload.num_bits)

    def capacity_bits(self, num_channel_uses: float, reported_snr: float) -> float:
        """Whole bits at the capacity for `reported_snr`."""
        return float(math.floor(num_channel_uses * math.log2(1 + min(reported_snr, _SNR_LIMIT))))


def _sent(air: Air, num_bits: Tensor, state: ChannelState, random: Random) -> Outcome:
    """Whole channel uses of each item until its bits are through, block after block.

    Args:
        air: radio conditions.
        num_bits: [num_items], float64.
        state: at the start, [*batch].
        random: streams of the items, [*batch].
    """
    length = air.fading.blocks.length
    uses, left = torch.zeros_like(num_bits), num_bits.clone()
    done = torch.zeros_like(num_bits, dtype=torch.bool)
    # Blocks are drawn in batches of doubling size: few items need many, and all of a batch are handled at once.
    for doubling in range(_MAX_DOUBLINGS + 1):
        rate = _rates(air, state, random, range(2**doubling - 1, 2 ** (doubling + 1) - 1))
        carried = (length * rate).cumsum(-1)
        num_full = (carried < left[:, None]).sum(-1)
        done = num_full < carried.shape[-1]
        before = torch.cat([torch.zeros_like(left[:, None]), carried], -1).gather(-1, num_full[:, None]).squeeze(-1)
        last = rate.gather(-1, num_full.clamp_max(rate.shape[-1] - 1)[:, None]).squeeze(-1)
        # 1e-9 of a use less, since bits that fill a number of uses exactly must not take one more by rounding.
        tail = torch.where(done, ((left - before) / last - 1e-9).ceil().clamp_min(0), 0.0)
        uses, left = uses + num_full * float(length) + tail, torch.where(done, 0.0, left - before)
        if bool(done.all()):
            break
    return Outcome.at_once(uses, done)


def _rates(air: Air, state: ChannelState, random: Random, numbers: Sequence[int]) -> Tensor:
    """[num_items, num_blocks], bits per channel use of blocks."""
    blocks = air.fading.blocks
    # The state holds the gain of a flat block 0, which the caller may have set; of a slot it holds one of many.
    is_known = blocks.is_flat and tuple(numbers) == (0,)
    gains = state.gain[..., None, None] if is_known else blocks.gains(random, numbers)
    snr = state.snr.reshape(-1, 1, 1).double() * gains.reshape(-1, *gains.shape[-2:]).abs().square().double()
    return torch.log2(1 + snr.clamp_max(_SNR_LIMIT)).mean(-1)


# A study asks for the expectation of the same payload many times over.
@lru_cache(maxsize=256)
def _sample(air: Air, num_bits: float) -> Outcome:
    """Outcomes of items of fixed random seeds; fewer of them where each one needs many blocks."""
    num_blocks = 1 + num_bits / (air.fading.blocks.length * math.log2(1 + air.snr))
    num_items = min(max(4, int(_NUM_BLOCKS / num_blocks)), _MAX_NUM_ITEMS)
    random = Random.of(list(range(num_items))).child("rehearsal")
    bits = torch.full((num_items,), num_bits, dtype=torch.float64)
    return _sent(air, bits, air.observe(random), random)
