"""The air of one case: what may be sent, and over what."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from gainnet.codecs.codec import AnyCodec
from gainnet.codecs.rate_matched import RateMatched, typical_rayleigh_snrs
from gainnet.core.types import Size
from gainnet.core.units import db_to_linear
from gainnet.network.hardware import Hardware
from gainnet.network.network import Network
from gainnet.network.scenario import cell
from gainnet.radio import CHANNELS, AnalogLink, ShannonLink, TabulatedLink
from gainnet.radio.channel import Channel
from gainnet.radio.link import AnyLink
from gainnet.studies.study import Case

SMALLEST_BUDGET_BITS = 8.0
SEVERAL_CODEWORDS_BITS = 384.0
NO_FADING = 1_000_000_000


@final
@dataclass(frozen=True)
class Air:
    """Radio conditions and budget of one case.

    Args:
        channel: AWGN or fading.
        fading: its name.
        snr_db: mean received Es/N0.
        num_channel_uses: complex uses that one picture may take.
    """

    channel: Channel
    fading: str
    snr_db: float
    num_channel_uses: int

    @staticmethod
    def of(case: Case) -> Air:
        """The air that the swept values of a case name."""
        fading, snr_db, uses = (str(case.values[name]) for name in ("fading", "snr_db", "num_channel_uses"))
        return Air(CHANNELS[fading](), fading, float(snr_db), int(uses))

    @property
    def typical_snrs(self) -> tuple[float, ...]:
        """Equally likely linear SNRs of a block."""
        snr = db_to_linear(self.snr_db)
        return (snr,) if self.block_length is None else typical_rayleigh_snrs(snr)

    @property
    def block_length(self) -> int | None:
        """Channel uses with one gain; `None` without fading."""
        return None if self.channel.block_length > NO_FADING else self.channel.block_length

    def tabulated(self, source: Hardware, target: Hardware) -> AnyLink:
        """5G codewords whose failures come from measured tables."""
        return TabulatedLink(self.channel, self.snr_db, tx_power_w=source.tx_power_w, rx_power_w=target.rx_power_w)

    def analog(self, source: Hardware, target: Hardware) -> AnyLink:
        """Symbols as they are."""
        return AnalogLink(self.channel, self.snr_db, tx_power_w=source.tx_power_w, rx_power_w=target.rx_power_w)

    def shannon(self, source: Hardware, target: Hardware) -> AnyLink:
        """Bits at capacity."""
        return ShannonLink(self.channel, self.snr_db, tx_power_w=source.tx_power_w, rx_power_w=target.rx_power_w)

    def network(self, edge: Hardware, device: Hardware, down: AnyLink) -> Network:
        """One edge and one device; the prompt goes up over codewords."""
        return cell(edge, device, (self.tabulated(device, edge),), (down,))

    def matched(self, codec_of: Callable[[float], AnyCodec], link: AnyLink) -> RateMatched:
        """A codec of bits that fills the budget at the SNR of its first block."""
        return RateMatched(codec_of, Budget.of(self, link), self.typical_snrs)


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
    def of(air: Air, link: AnyLink) -> Budget:
        """The budget of an air over a link."""
        length = min(air.num_channel_uses, air.channel.block_length)
        num_later = air.num_channel_uses - length
        return Budget(link, length, num_later * _bits_per_use(air, link, length, num_later) if num_later else 0.0)

    def __call__(self, reported_snr: float) -> float:
        """At a linear SNR of the first block."""
        bits = self.link.capacity_bits(self.first_length, reported_snr) + self.later_bits
        return max(bits, SMALLEST_BUDGET_BITS)


def mean_budget_bits(air: Air, link: AnyLink) -> float:
    """Bits of one picture that a budget carries on average over the first block."""
    budget = Budget.of(air, link)
    return math.fsum(budget(snr) for snr in air.typical_snrs) / len(air.typical_snrs)


def _bits_per_use(air: Air, link: AnyLink, block_length: int, num_channel_uses: int) -> float:
    """Bits per channel use over blocks that the sender has not seen, retransmissions counted."""
    capacities = [link.capacity_bits(block_length, snr) for snr in air.typical_snrs]
    num_bits = math.fsum(capacities) / len(capacities) * num_channel_uses / block_length
    many = max(num_bits, SEVERAL_CODEWORDS_BITS)
    return many / link.usage(Size.fixed(many), 1).num_channel_uses
