"""The link of thought experiments: no errors, no time, no energy."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.core.types import Bits, ChannelState, Payload, Size, Usage


@final
@dataclass(frozen=True)
class IdealLink:
    """Error-free bits at infinite rate: what a protocol is worth when the air is not in the way.

    Args:
        medium: name of the spectrum; nothing is ever serialised on it, since nothing takes time.

    >>> link, random = IdealLink(), Random.of([0])
    >>> received, usage = link.send(Bits.of([b"seed"]), link.observe(random), random)
    >>> received.strings, usage.num_bits, usage.duration_s
    ((b'seed',), 32, 0.0)
    """

    medium: str = "ideal"
    carries: ClassVar[type[Payload]] = Bits

    def observe(self, random: Random) -> ChannelState:
        """Infinite SNR, reported as such."""
        snr = torch.full(random.batch, math.inf)
        return ChannelState(snr, torch.ones(random.batch, dtype=torch.complex64), snr, sys.maxsize)

    def usage(self, size: Size, num_items: int) -> Usage:
        """Bits alone."""
        return _free(size.expected * num_items)

    def draw_durations_s(self, size: Size, num_items: int, num_draws: int, random_seed: int) -> Tensor:
        """Zeros."""
        return torch.zeros(num_draws, dtype=torch.float64)

    def send(self, payload: Bits, state: ChannelState, random: Random) -> tuple[Bits, Usage]:
        """The payload itself."""
        return payload, _free(payload.num_bits)

    def capacity_bits(self, num_channel_uses: float, reported_snr: float) -> float:
        """Infinite."""
        return math.inf


def _free(num_bits: float) -> Usage:
    return Usage(num_bits, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
