"""Analog transfer: complex symbols go on the air as they are."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, final

import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.core.types import ChannelState, Payload, Size, Symbols, Usage
from gainnet.radio.air import Outcome, check_radio, observe, usage_of
from gainnet.radio.awgn import AWGN
from gainnet.radio.channel import Channel
from gainnet.radio.power import Spending


@final
@dataclass(frozen=True)
class AnalogLink:
    """Symbols through a channel: no code, no retransmission, always on time; differentiable in the symbols.

    symbols --> channel --> symbols with gain and noise variance (a codec equalises with `Symbols.mmse`)

    Args:
        channel: what the air does.
        snr_db: mean received Es/N0 for symbols of unit power, -60 .. 100 dB, or inf for no noise.
        bandwidth_hz: channel uses per second; 1 MHz is assumed.
        tx_power_w: power of the sender's radio while sending; assumed.
        rx_power_w: power of the receiver's radio while receiving; assumed.
        medium: links of equal medium share the spectrum.
        report_error_db: standard deviation of the error of the SNR report, in dB.
        report_delay_blocks: fading blocks between the measurement of that report and its use.

    Raises:
        ConfigError: a field out of range.

    >>> AnalogLink(AWGN(), 10.0).usage(Size.fixed(256), num_items=2).duration_s
    0.000512
    """

    channel: Channel = field(default_factory=AWGN)
    snr_db: float = 10.0
    bandwidth_hz: float = 1e6
    tx_power_w: float = 0.2
    rx_power_w: float = 0.1
    medium: str = "air"
    report_error_db: float = 0.0
    report_delay_blocks: int = 0
    carries: ClassVar[type[Payload]] = Symbols

    def __post_init__(self) -> None:
        check_radio(self)

    def observe(self, random: Random) -> ChannelState:
        """Gain of the first block, and the SNR reported of it."""
        return observe(self, random)

    def usage(self, size: Size, num_items: int) -> Usage:
        """One channel use per symbol."""
        return self._usage(size.expected * num_items)

    def draw_durations_s(self, size: Size, num_items: int, num_draws: int, random_seed: int) -> Tensor:
        """Always the same duration."""
        duration_s = self.usage(size, num_items).duration_s
        return torch.full((num_draws,), duration_s, dtype=torch.float64)

    def send(self, payload: Symbols, state: ChannelState, random: Random) -> tuple[Symbols, Usage]:
        """Symbols as received, not equalised."""
        spent = self._usage(float(payload.values.numel()))
        if isinstance(self.channel, Spending):
            # What the sender's power policy left over of the energy was not spent.
            received, shares = self.channel.transmit_counting(payload.values, state.snr, state.gain, random)
            spent = replace(spent, tx_energy_j=spent.tx_energy_j * float(shares.double().mean()))
        else:
            received = self.channel.transmit(payload.values, state.snr, state.gain, random)
        return replace(received, reported_snr=payload.reported_snr), spent

    def capacity_bits(self, num_channel_uses: float, reported_snr: float) -> float:
        """0: symbols are not bits."""
        return 0.0

    def _usage(self, num_symbols: float) -> Usage:
        return usage_of(self, 0.0, Outcome.at_once(torch.tensor([num_symbols], dtype=torch.float64)), 0.0)
