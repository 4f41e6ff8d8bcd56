"""The digital link without its bits: outcomes drawn from measured block error rates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch

from gainnet.core.randomness import Random
from gainnet.core.types import Bits, ChannelState, Payload, Usage
from gainnet.radio.air import Air, Radios
from gainnet.radio.arq import Arq
from gainnet.radio.links.expectation import TableAttempt, capacity_bits, draw_durations_s, expected_usage
from gainnet.radio.links.link import medium_of, observe
from gainnet.radio.links.rounds import exchange
from gainnet.radio.links.segments import cut


@final
@dataclass(frozen=True)
class Tabulated:
    """`Digital` at table speed: the same codewords, gains and rounds, but a table states which of them fail.

    bytes --> codewords --> block error rate at the SNR of each --> drawn --> bytes unharmed, or nothing

    Args:
        air: radio conditions.
        radios: their power.
        arq: retransmissions.

    >>> link, random = Tabulated(Air(snr_db=10.0)), Random.of([0])
    >>> received, usage = link.send(Bits.of([bytes(100)]), link.observe(random), random)
    >>> received.strings == (bytes(100),), usage.num_bits
    (True, 800)
    """

    air: Air = Air()
    radios: Radios = Radios()
    arq: Arq = Arq()
    carries: ClassVar[type[Payload]] = Bits

    medium = property(medium_of)
    observe = observe
    usage = expected_usage
    draw_durations_s = draw_durations_s
    capacity_bits = capacity_bits

    def send(self, payload: Bits, state: ChannelState, random: Random) -> tuple[Bits, Usage]:
        """Items unharmed, or `None` where a codeword failed for good, and the usage."""
        num_bytes = torch.tensor([len(s or b"") for s in payload.strings], dtype=torch.long)
        segments = cut(self.air, self.arq, num_bytes, state, random)
        attempt = TableAttempt(self.air.fading, self.arq.combines)
        outcome = exchange(self.air, self.arq, segments, len(num_bytes), attempt)
        strings = tuple(s if ok else None for s, ok in zip(payload.strings, outcome.delivered.tolist(), strict=True))
        usage = outcome.usage(self.air, self.radios, payload.num_bits, self.arq.feedback_delay_s)
        return Bits(strings, payload.batch), usage
