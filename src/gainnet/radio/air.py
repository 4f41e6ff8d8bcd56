"""The air between two antennas: fading, noise, bandwidth and what is reported of them, stated once for every link."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor

from gainnet.core.errors import check_numbers, check_range
from gainnet.core.randomness import Random
from gainnet.core.types import ChannelState
from gainnet.core.units import db_to_linear
from gainnet.radio.fading.awgn import AWGN
from gainnet.radio.fading.channel import Channel
from gainnet.radio.reports import Reports, effective_snr

MIN_SNR_DB: Final = -60.0
MAX_SNR_DB: Final = 100.0


@final
@dataclass(frozen=True)
class Air:
    """Radio conditions between two antennas.

    Args:
        fading: channel model, of unit mean power gain unless it says otherwise.
        snr_db: mean received Es/N0 for symbols of unit power, -60 to 100 dB, or `inf` for no noise.
        bandwidth_hz: channel uses per second; 1 MHz is assumed.
        reports: accuracy and age of the SNR reports to the sender.
        medium: name of the spectrum; links of equal medium share it, one transfer after the other.

    Raises:
        ConfigError: a field is out of range.

    >>> Air(snr_db=20.0).snr
    100.0
    """

    fading: Channel = AWGN()
    snr_db: float = 10.0
    bandwidth_hz: float = 1e6
    reports: Reports = Reports()
    medium: str = "air"

    def __post_init__(self) -> None:
        check_numbers(snr_db=self.snr_db, bandwidth_hz=self.bandwidth_hz)
        is_within = MIN_SNR_DB <= self.snr_db <= MAX_SNR_DB or self.snr_db == math.inf
        check_range(is_within, "snr_db", self.snr_db, "-60 to 100 dB, or inf for no noise")
        check_range(0.0 < self.bandwidth_hz < math.inf, "bandwidth_hz", self.bandwidth_hz, "a positive number of Hz")

    @property
    def snr(self) -> float:
        """Mean received Es/N0, linear."""
        return db_to_linear(self.snr_db)

    def observe(self, random: Random) -> ChannelState:
        r"""Channel state when a transmission starts.

        The report describes the block `reports.delay_blocks` before; for a block with many gains (a slot of a
        frequency-selective channel) it is the SNR of equal mutual information, see `effective_snr`.

        Args:
            random: streams of this transmission, [*batch].

        Returns:
            state of [*batch].

        >>> air = Air(snr_db=3.0, reports=Reports(error_db=2.0))
        >>> state = air.observe(Random.of([1, 2]))
        >>> state.snr.round(decimals=3)  # as it is
        tensor([1.9950, 1.9950])
        >>> state.reported_snr.round(decimals=3)  # as the sender hears of it
        tensor([2.4950, 1.6410])
        """
        gain, blocks, delay = self.fading.first_gain(random), self.fading.blocks, self.reports.delay_blocks
        # The gain at hand is the measurement, unless that was earlier or takes in a whole slot.
        is_current = blocks.is_flat and not delay
        measured = gain.unsqueeze(-1) if is_current else blocks.gains(random, (-delay,))[..., 0, :]
        return self._state(gain, measured, random)

    def observe_at(self, item: Random, start: Tensor, own: Random) -> ChannelState:
        """Channel state when a codeword of an item starts.

        Args:
            item: streams of the items that codewords belong to, [*batch]; they name the fading of correlated blocks.
            start: [*batch], block of the item's fading in which each codeword starts.
            own: streams of the codewords, [*batch]; they name independent fading, and the error of the report.

        Returns:
            state of [*batch].
        """
        if not self.fading.blocks.is_correlated:
            return self.observe(own)
        gains = self.fading.blocks.gains(item, (0, -self.reports.delay_blocks), start)
        return self._state(gains[..., 0, 0], gains[..., 1, :], own)

    def _state(self, gain: Tensor, measured: Tensor, random: Random) -> ChannelState:
        """State from the first gain [*batch] and the gains [*batch, num_gains] that the report is about."""
        snr = torch.full(random.batch, self.snr)
        reported = self.reports.of(effective_snr(snr.unsqueeze(-1) * measured.abs().square()), random)
        return ChannelState(snr, gain, reported, self.fading.blocks.length)


@final
@dataclass(frozen=True)
class Radios:
    """Electrical power of the two radios of a link while it is busy.

    Args:
        tx_power_w: sender's radio, >= 0; 0.2 W is assumed.
        rx_power_w: receiver's radio, >= 0; 0.1 W is assumed.

    Raises:
        ConfigError: a field is out of range.

    >>> busy_s = 0.5e-3  # 512 uses at 1 MHz
    >>> radios = Radios()
    >>> round(busy_s * (radios.tx_power_w + radios.rx_power_w), 6)  # J
    0.00015
    """

    tx_power_w: float = 0.2
    rx_power_w: float = 0.1

    def __post_init__(self) -> None:
        for name in ("tx_power_w", "rx_power_w"):
            check_range(0.0 <= getattr(self, name) < math.inf, name, getattr(self, name), "0 W or more")
