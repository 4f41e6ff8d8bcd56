"""How many bits of one picture a number of channel uses carries."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

from gainnet.codecs.rate_matched import typical_rayleigh_snrs
from gainnet.core.plugins import call_plugin
from gainnet.core.randomness import Random
from gainnet.core.types import Size
from gainnet.radio import AWGN, Air, Digital, Rayleigh
from gainnet.radio.links.link import AnyLink

SMALLEST_BUDGET_BITS = 8.0
SEVERAL_CODEWORDS_BITS = 384.0
NUM_DRAWN_STATES: Final = 64


@final
@dataclass(frozen=True)
class Budget:
    r"""Bits of one picture that a number of channel uses carries.

    $C(\min(L, B), \hat\gamma_1) + r (L - B)^+$

    The sender knows the SNR of the first block of length $B$ and the statistics of later ones, so that uses agree with
    the budget $L$ exactly without fading and on average with it. (The air chooses the scheme of every later block.)

    Args:
        link: its `capacity_bits` is $C$, its expected `usage` gives the rate $r$ of many blocks.
        first_length: $\min(L, B)$.
        later_bits: the second term.
    """

    link: AnyLink
    first_length: int
    later_bits: float

    @staticmethod
    def of(link: AnyLink, num_channel_uses: int, block_length: int, typical_snrs: Sequence[float]) -> Budget:
        """The budget over a link.

        Args:
            link: a digital bearer.
            num_channel_uses: $L$, complex uses of one picture.
            block_length: $B$, uses with one fading gain.
            typical_snrs: equally likely linear SNRs of a block.
        """
        # Only the first block has a reported SNR; the rest is spent at the mean rate of the fading.
        length = min(num_channel_uses, block_length)
        num_later = num_channel_uses - length
        rate = _bits_per_use(link, length, num_later, typical_snrs) if num_later else 0.0
        return Budget(link, length, num_later * rate)

    def __call__(self, reported_snr: float) -> float:
        """At a linear SNR of the first block."""
        bits = self.link.capacity_bits(self.first_length, reported_snr) + self.later_bits
        return max(bits, SMALLEST_BUDGET_BITS)


def _bits_per_use(link: AnyLink, block_length: int, num_channel_uses: int, typical_snrs: Sequence[float]) -> float:
    """Bits per channel use over blocks that the sender has not seen, retransmissions counted."""
    capacities = [link.capacity_bits(block_length, snr) for snr in typical_snrs]
    num_bits = math.fsum(capacities) / len(capacities) * num_channel_uses / block_length
    # A single short codeword would price its padding; several codewords have the rate of many.
    many = max(num_bits, SEVERAL_CODEWORDS_BITS)
    return many / link.usage(Size.fixed(many), 1).num_channel_uses


def block_length(link: AnyLink) -> int:
    """Channel uses of which one report speaks."""
    return link.air.fading.blocks.length if isinstance(link, Digital) else sys.maxsize


def typical_snrs(link: AnyLink) -> tuple[float, ...]:
    """Equally likely linear SNRs of a block: one without fading, quantiles for Rayleigh, draws for all others.

    >>> from gainnet.radio import Ideal
    >>> typical_snrs(Ideal())
    (1.0,)
    """
    if not isinstance(link, Digital):
        return (1.0,)
    air = link.air
    if air.fading == AWGN():
        return (air.snr,)
    if isinstance(air.fading, Rayleigh):
        return typical_rayleigh_snrs(air.snr)
    # Fading of any other law, also of a user: its distribution is sampled once, with fixed random seeds.
    exact = Air(air.fading, air.snr_db)
    return tuple(call_plugin("fading", exact.observe, Random.of(range(NUM_DRAWN_STATES))).reported_snr.tolist())
