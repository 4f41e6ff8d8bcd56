"""Air, retransmissions and budget of one case, and the links and codecs that follow from them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, final

import torch
from torch import Tensor

from gainnet.codecs.codec import AnyCodec
from gainnet.codecs.rate_matched import RateMatched, typical_rayleigh_snrs
from gainnet.core.randomness import Random
from gainnet.network.hardware import Hardware
from gainnet.network.network import Network
from gainnet.network.scenario import cell
from gainnet.protocols.budget import Budget
from gainnet.radio import Air, Analog, Arq, Harq, Radios, Reports, Shannon, Tabulated
from gainnet.radio.links.link import AnyLink
from gainnet.studies.settings import air_of
from gainnet.studies.study import Case

NO_FADING: Final = 1_000_000_000
NUM_DRAWN_SLOTS: Final = 64


@final
@dataclass(frozen=True)
class BudgetedAir:
    """Radio conditions of one case, and the channel uses that one picture may take there.

    Args:
        air: fading, SNR and reports.
        num_channel_uses: complex uses of one picture.
        harq: `none` or `ir`.
        slack: deadline of the content over the time that its budget takes.
    """

    air: Air
    num_channel_uses: int
    harq: Harq = "none"
    slack: float = math.inf

    @staticmethod
    def of(case: Case) -> BudgetedAir:
        """The conditions that the swept values of a case name; exact and prompt reports where it names none."""
        harq: Harq = "ir" if case.values.get("harq") == "ir" else "none"
        slack = float(case.values.get("slack") or math.inf)
        return BudgetedAir(air_of(case), case.count("num_channel_uses"), harq, slack)

    @property
    def exact(self) -> Air:
        """The same air with exact and prompt reports."""
        return replace(self.air, reports=Reports())

    @property
    def typical_snrs(self) -> tuple[float, ...]:
        """Equally likely linear SNRs of a block."""
        # A slot of a frequency-selective channel has many gains, whose effective SNR has no closed form: drawn.
        if not self.air.fading.blocks.is_flat:
            return tuple(self.exact.observe(Random.of(range(NUM_DRAWN_SLOTS))).reported_snr.tolist())
        return (self.air.snr,) if self.block_length is None else typical_rayleigh_snrs(self.air.snr)

    @property
    def block_length(self) -> int | None:
        """Channel uses with one gain; `None` without fading."""
        length = self.air.fading.blocks.length
        return None if length > NO_FADING else length

    def tabulated(self, source: Hardware, target: Hardware) -> AnyLink:
        """5G codewords whose failures come from measured tables."""
        return Tabulated(self.air, _radios(source, target), Arq(harq=self.harq))

    def in_time(self, link: Tabulated) -> Tabulated:
        """The link with the deadline of the content, which the prompt does not have."""
        deadline_s = self.slack * self.num_channel_uses / self.air.bandwidth_hz
        return replace(link, arq=replace(link.arq, deadline_s=deadline_s))

    def analog(self, source: Hardware, target: Hardware) -> AnyLink:
        """Symbols as they are."""
        return Analog(self.air, _radios(source, target))

    def shannon(self, source: Hardware, target: Hardware) -> AnyLink:
        """Bits at capacity."""
        return Shannon(self.exact, _radios(source, target))

    def network(self, edge: Hardware, device: Hardware, down: AnyLink) -> Network:
        """One edge and one device; the prompt goes up over codewords."""
        return cell(edge, device, (self.tabulated(device, edge),), (down,))

    def matched(self, codec_of: Callable[[float], AnyCodec], link: AnyLink) -> RateMatched:
        """A codec of bits that fills the budget at the SNR of its first block."""
        return RateMatched(codec_of, self.budget(link), self.typical_snrs)

    def budget(self, link: AnyLink) -> Budget:
        """Bits of one picture over a link."""
        return Budget.of(link, self.num_channel_uses, self.air.fading.blocks.length, self.typical_snrs)

    def mean_budget_bits(self, link: AnyLink) -> float:
        """Bits of one picture that a budget carries on average over the first block."""
        budget = self.budget(link)
        return math.fsum(budget(snr) for snr in self.typical_snrs) / len(self.typical_snrs)

    def mutual_information(self, random: Random) -> Tensor:
        r"""[num_items], bits that Gaussian symbols carry, $\sum_t \log_2(1 + \gamma |h_t|^2)$ with each item's gains.

        Args:
            random: streams of the items; the gains are those that a code meets.
        """
        fading, snr = self.air.fading, torch.full(random.batch, self.air.snr)
        ones = torch.ones(*random.batch, self.num_channel_uses, dtype=torch.complex64)
        gain = fading.transmit(ones, snr, fading.first_gain(random), random).gain
        return torch.log2(1 + snr.double()[:, None] * gain.abs().square().double()).sum(-1)


def _radios(source: Hardware, target: Hardware) -> Radios:
    return Radios(source.tx_power_w, target.rx_power_w)
