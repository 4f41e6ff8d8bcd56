"""An ideal link: no errors, no time, no energy."""

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
class Ideal:
    """Error-free bits at infinite rate, to see a protocol without the limits of the air.

    Args:
        medium: name of the spectrum; nothing waits for it, since nothing takes time.

    >>> link, random = Ideal(), Random.of([0])
    >>> received, usage = link.send(Bits.of([b"seed"]), link.observe(random), random)
    >>> received.strings, usage.num_bits, usage.duration_s
    ((b'seed',), 32, 0.0)
    """

    medium: str = "ideal"
    carries: ClassVar[type[Payload]] = Bits

    def observe(self, random: Random) -> ChannelState:
        """As `noiseless_state`."""
        return noiseless_state(random)

    def usage(self, size: Size, num_items: int) -> Usage:
        """Bits alone."""
        return _free(size.expected * num_items)

    def draw_durations_s(self, size: Size, num_items: int, num_draws: int, random_seed: int) -> Tensor:
        """[num_draws], float64 zeros."""
        return torch.zeros(num_draws, dtype=torch.float64)

    def send(self, payload: Bits, state: ChannelState, random: Random) -> tuple[Bits, Usage]:
        """The payload itself."""
        return payload, _free(payload.num_bits)

    def capacity_bits(self, num_channel_uses: float, reported_snr: float) -> float:
        """Infinite."""
        return math.inf


def noiseless_state(random: Random) -> ChannelState:
    """Unit gain and infinite SNR for ever, reported as such; [*batch] as `random`."""
    snr = torch.full(random.batch, math.inf)
    return ChannelState(snr, torch.ones(random.batch, dtype=torch.complex64), snr, sys.maxsize)


def _free(num_bits: float) -> Usage:
    return Usage(num_bits, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
