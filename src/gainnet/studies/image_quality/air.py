"""The air of one case: what may be sent, and over what."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import final

from gainnet.codecs.codec import AnyCodec
from gainnet.codecs.rate_matched import RateMatched, typical_rayleigh_snrs
from gainnet.core.randomness import Random
from gainnet.core.units import db_to_linear
from gainnet.generation.budget import Budget
from gainnet.network.hardware import Hardware
from gainnet.network.network import Network
from gainnet.network.scenario import cell
from gainnet.radio import CHANNELS, AnalogLink, Selective, ShannonLink, TabulatedLink
from gainnet.radio.arq import Harq
from gainnet.radio.channel import Channel, coherent_uses
from gainnet.radio.link import AnyLink
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
        snr = db_to_linear(self.snr_db)
        if isinstance(self.channel, Selective):
            link = AnalogLink(self.channel, self.snr_db)
            return tuple(link.observe(Random.of(range(NUM_DRAWN_SLOTS))).reported_snr.tolist())
        return (snr,) if self.block_length is None else typical_rayleigh_snrs(snr)

    @property
    def block_length(self) -> int | None:
        """Channel uses with one gain; `None` without fading."""
        length = coherent_uses(self.channel)
        return None if length > NO_FADING else length

    def tabulated(self, source: Hardware, target: Hardware) -> AnyLink:
        """5G codewords whose failures come from measured tables."""
        return TabulatedLink(
            self.channel,
            self.snr_db,
            tx_power_w=source.tx_power_w,
            rx_power_w=target.rx_power_w,
            report_error_db=self.told.report_error_db,
            report_delay_blocks=self.told.report_delay,
            harq=self.told.harq,
        )

    def in_time(self, link: TabulatedLink) -> TabulatedLink:
        """The link with the deadline of the content, which the prompt does not have."""
        return replace(link, deadline_s=self.told.slack * self.num_channel_uses / link.bandwidth_hz)

    def analog(self, source: Hardware, target: Hardware) -> AnyLink:
        """Symbols as they are."""
        return AnalogLink(
            self.channel,
            self.snr_db,
            tx_power_w=source.tx_power_w,
            rx_power_w=target.rx_power_w,
            report_error_db=self.told.report_error_db,
            report_delay_blocks=self.told.report_delay,
        )

    def shannon(self, source: Hardware, target: Hardware) -> AnyLink:
        """Bits at capacity."""
        return ShannonLink(self.channel, self.snr_db, tx_power_w=source.tx_power_w, rx_power_w=target.rx_power_w)

    def network(self, edge: Hardware, device: Hardware, down: AnyLink) -> Network:
        """One edge and one device; the prompt goes up over codewords."""
        return cell(edge, device, (self.tabulated(device, edge),), (down,))

    def matched(self, codec_of: Callable[[float], AnyCodec], link: AnyLink) -> RateMatched:
        """A codec of bits that fills the budget at the SNR of its first block."""
        return RateMatched(codec_of, self.budget(link), self.typical_snrs)

    def budget(self, link: AnyLink) -> Budget:
        """Bits of one picture over a link."""
        return Budget.of(link, self.num_channel_uses, coherent_uses(self.channel), self.typical_snrs)


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


def mean_budget_bits(air: Air, link: AnyLink) -> float:
    """Bits of one picture that a budget carries on average over the first block."""
    budget = air.budget(link)
    return math.fsum(budget(snr) for snr in air.typical_snrs) / len(air.typical_snrs)
