"""The air of one case: what may be sent, and over what."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import final

from gainnet import radio
from gainnet.codecs.codec import AnyCodec
from gainnet.codecs.rate_matched import RateMatched, typical_rayleigh_snrs
from gainnet.core.randomness import Random
from gainnet.network.hardware import Hardware
from gainnet.network.network import Network
from gainnet.network.scenario import cell
from gainnet.protocols.budget import Budget
from gainnet.radio import CHANNELS, Analog, Arq, Channel, Harq, Radios, Reports, Shannon, Tabulated
from gainnet.radio.links.link import AnyLink
from gainnet.studies.study import Case

NO_FADING = 1_000_000_000
NUM_DRAWN_SLOTS = 64


@final
@dataclass(frozen=True)
class Air:
    """Radio conditions and budget of one case.

    Args:
        channel: AWGN or fading.
        fading: its name.
        snr_db: mean received Es/N0.
        num_channel_uses: complex uses that one picture may take.
        told: what else links are told: HARQ, age and error of reports, deadline.
    """

    channel: Channel
    fading: str
    snr_db: float
    num_channel_uses: int
    told: Told = field(default_factory=lambda: Told())

    @staticmethod
    def of(case: Case) -> Air:
        """The air that the swept values of a case name."""
        fading, snr_db, uses = (str(case.values[name]) for name in ("fading", "snr_db", "num_channel_uses"))
        return Air(CHANNELS[fading](), fading, float(snr_db), int(uses), Told.of(case))

    @property
    def typical_snrs(self) -> tuple[float, ...]:
        """Equally likely linear SNRs of a block."""
        exact = radio.Air(self.channel, self.snr_db)
        if not self.channel.blocks.is_flat:
            return tuple(exact.observe(Random.of(range(NUM_DRAWN_SLOTS))).reported_snr.tolist())
        return (exact.snr,) if self.block_length is None else typical_rayleigh_snrs(exact.snr)

    @property
    def block_length(self) -> int | None:
        """Channel uses with one gain; `None` without fading."""
        length = self.channel.blocks.length
        return None if length > NO_FADING else length

    def tabulated(self, source: Hardware, target: Hardware) -> AnyLink:
        """5G codewords whose failures come from measured tables."""
        return Tabulated(self._radio, _radios(source, target), Arq(harq=self.told.harq))

    def in_time(self, link: Tabulated) -> Tabulated:
        """The link with the deadline of the content, which the prompt does not have."""
        deadline_s = self.told.slack * self.num_channel_uses / link.air.bandwidth_hz
        return replace(link, arq=replace(link.arq, deadline_s=deadline_s))

    def analog(self, source: Hardware, target: Hardware) -> AnyLink:
        """Symbols as they are."""
        return Analog(self._radio, _radios(source, target))

    def shannon(self, source: Hardware, target: Hardware) -> AnyLink:
        """Bits at capacity."""
        return Shannon(radio.Air(self.channel, self.snr_db), _radios(source, target))

    @property
    def _radio(self) -> radio.Air:
        """The air of links, with its reports."""
        return radio.Air(self.channel, self.snr_db, reports=Reports(self.told.report_error_db, self.told.report_delay))

    def network(self, edge: Hardware, device: Hardware, down: AnyLink) -> Network:
        """One edge and one device; the prompt goes up over codewords."""
        return cell(edge, device, (self.tabulated(device, edge),), (down,))

    def matched(self, codec_of: Callable[[float], AnyCodec], link: AnyLink) -> RateMatched:
        """A codec of bits that fills the budget at the SNR of its first block."""
        return RateMatched(codec_of, self.budget(link), self.typical_snrs)

    def budget(self, link: AnyLink) -> Budget:
        """Bits of one picture over a link."""
        return Budget.of(link, self.num_channel_uses, self.channel.blocks.length, self.typical_snrs)


@final
@dataclass(frozen=True)
class Told:
    """What links of a case are told beyond fading and SNR.

    Args:
        harq: `none` or `ir`.
        report_delay: blocks.
        report_error_db: standard deviation.
        slack: deadline of the content over what its budget takes.
    """

    harq: Harq = "none"
    report_delay: int = 0
    report_error_db: float = 0.0
    slack: float = math.inf

    @staticmethod
    def of(case: Case) -> Told:
        """What a case says, and the defaults for what it does not."""
        values = case.values
        slack = values.get("slack")
        return Told(
            "ir" if values.get("harq") == "ir" else "none",
            int(str(values.get("report_delay", 0))),
            float(str(values.get("report_error_db", 0.0))),
            math.inf if slack is None else float(str(slack)),
        )


def _radios(source: Hardware, target: Hardware) -> Radios:
    return Radios(source.tx_power_w, target.rx_power_w)


def mean_budget_bits(air: Air, link: AnyLink) -> float:
    """Bits of one picture that a budget carries on average over the first block."""
    budget = air.budget(link)
    return math.fsum(budget(snr) for snr in air.typical_snrs) / len(air.typical_snrs)
