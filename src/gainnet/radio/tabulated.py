"""The digital link without its bits: outcomes drawn from the block error rates that were measured."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar, final

import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.core.types import Bits, ChannelState, Payload, Size, Usage
from gainnet.radio import rehearsal
from gainnet.radio.adaptation import payload_bits_that_fit
from gainnet.radio.air import Outcome, observe, usage_of
from gainnet.radio.arq import Harq, adaptation_of, check_arq, cut, exchange
from gainnet.radio.awgn import AWGN
from gainnet.radio.channel import Channel
from gainnet.radio.rehearsal import TableAttempt


@final
@dataclass(frozen=True)
class TabulatedLink:
    """`DigitalLink` at table speed: the same codewords, gains and rounds, but a table says which of them fail.

    bytes --> codewords --> block error rate at the SNR of each --> drawn --> bytes unharmed, or nothing

    Arguments and errors as `DigitalLink`.

    >>> link, random = TabulatedLink(AWGN(), 10.0), Random.of([0])
    >>> received, usage = link.send(Bits.of([bytes(100)]), link.observe(random), random)
    >>> received.strings == (bytes(100),), usage.num_bits
    (True, 800)
    """

    channel: Channel = field(default_factory=AWGN)
    snr_db: float = 10.0
    bandwidth_hz: float = 1e6
    tx_power_w: float = 0.2
    rx_power_w: float = 0.1
    medium: str = "air"
    report_error_db: float = 0.0
    max_attempts: int = 8
    feedback_delay_s: float = 1e-3
    target_bler: float = 1e-2
    report_delay_blocks: int = 0
    deadline_s: float = math.inf
    harq: Harq = "none"
    carries: ClassVar[type[Payload]] = Bits

    def __post_init__(self) -> None:
        check_arq(self)

    def observe(self, random: Random) -> ChannelState:
        """Gain of the first block, and the SNR reported of it."""
        return observe(self, random)

    def usage(self, size: Size, num_items: int) -> Usage:
        """Expected usage, from a rehearsal."""
        return rehearsal.usage(self, size, num_items)

    def draw_durations_s(self, size: Size, num_items: int, num_draws: int, random_seed: int) -> Tensor:
        """Durations with feedback, drawn from a rehearsal."""
        return rehearsal.draw_durations_s(self, size, num_items, num_draws, random_seed)

    def send(self, payload: Bits, state: ChannelState, random: Random) -> tuple[Bits, Usage]:
        """Items unharmed, or `None` where a codeword failed for good."""
        outcome = self._outcome(payload, state, random)
        strings = tuple(s if ok else None for s, ok in zip(payload.strings, outcome.delivered.tolist(), strict=True))
        return Bits(strings, payload.batch), usage_of(self, payload.num_bits, outcome, self.feedback_delay_s)

    def capacity_bits(self, num_channel_uses: float, reported_snr: float) -> float:
        """Payload bits whose expected uses fit, at the scheme for `reported_snr`."""
        return payload_bits_that_fit(adaptation_of(self), num_channel_uses, reported_snr)

    def _outcome(self, payload: Bits, state: ChannelState, random: Random) -> Outcome:
        num_bytes = torch.tensor([len(s or b"") for s in payload.strings], dtype=torch.long)
        segments = cut(self, num_bytes, state, random)
        return exchange(self, segments, len(num_bytes), TableAttempt(self.channel, self.harq == "ir"))
