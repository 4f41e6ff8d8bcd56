"""Wires between edges: bits at a fixed rate after a fixed delay, without errors."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, final

import torch
from torch import Tensor

from gainnet.core.errors import check_range
from gainnet.core.randomness import Random
from gainnet.core.types import Bits, ChannelState, Payload, Size, Usage
from gainnet.radio.links.ideal import noiseless_state


@final
@dataclass(frozen=True)
class Wire:
    r"""A full-duplex wire, such as the fibre between two base stations.

    $T = \tau + b / R$ for a payload of $b$ bits; items go one after the other and share the delay.

    A wire has no channel uses: its bits are counted, the spectrum is not touched.

    Args:
        medium: name of this direction of the wire.
        bits_per_s: rate $R$, > 0; 1 Gbit/s is assumed.
        delay_s: $\tau$, propagation, switching and protocol together, >= 0; 1 ms is assumed.
        energy_per_bit_j: of both ends together, >= 0; 10 nJ is assumed, half of it at each end.

    Raises:
        ConfigError: a field is out of range.

    >>> round(Wire().usage(Size.fixed(32768), num_items=1).duration_s * 1e3, 3)
    1.033
    """

    medium: str = "wire"
    bits_per_s: float = 1e9
    delay_s: float = 1e-3
    energy_per_bit_j: float = 1e-8
    carries: ClassVar[type[Payload]] = Bits

    def __post_init__(self) -> None:
        check_range(0.0 < self.bits_per_s < math.inf, "bits_per_s", self.bits_per_s, "a positive number of bit/s")
        for name in ("delay_s", "energy_per_bit_j"):
            check_range(0.0 <= getattr(self, name) < math.inf, name, getattr(self, name), "0 or more")

    def observe(self, random: Random) -> ChannelState:
        """As `noiseless_state`."""
        return noiseless_state(random)

    def usage(self, size: Size, num_items: int) -> Usage:
        """Exactly the usage of sending."""
        return self._usage(size.expected * num_items)

    def draw_durations_s(self, size: Size, num_items: int, num_draws: int, random_seed: int) -> Tensor:
        """[num_draws], float64, always the same duration."""
        return torch.full((num_draws,), self.usage(size, num_items).duration_s, dtype=torch.float64)

    def send(self, payload: Bits, state: ChannelState, random: Random) -> tuple[Bits, Usage]:
        """The payload itself."""
        # The first item waits for the delay of the wire, the others follow it at its rate.
        sizes = [0 if s is None else 8 * len(s) for s in payload.strings]
        item_s = tuple(n / self.bits_per_s + (0.0 if item else self.delay_s) for item, n in enumerate(sizes))
        return payload, replace(self._usage(payload.num_bits), item_s=item_s)

    def capacity_bits(self, num_channel_uses: float, reported_snr: float) -> float:
        """Infinite: a wire takes no channel uses."""
        return math.inf

    def _usage(self, num_bits: float) -> Usage:
        # The delay once, since items follow each other without a gap.
        duration_s, half_j = self.delay_s + num_bits / self.bits_per_s, num_bits * self.energy_per_bit_j / 2.0
        return Usage(num_bits, 0.0, 0.0, duration_s, 0.0, half_j, half_j)
