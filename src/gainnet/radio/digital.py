"""Digital transfer: bytes through 5G LDPC codes and QAM, again until they arrive."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, final

import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.core.types import Bits, ChannelState, Payload, Size, Usage
from gainnet.radio import ldpc, rehearsal
from gainnet.radio.adaptation import payload_bits_that_fit
from gainnet.radio.air import observe, usage_of
from gainnet.radio.arq import Segments, adaptation_of, check_arq, cut, exchange
from gainnet.radio.awgn import AWGN
from gainnet.radio.channel import Channel
from gainnet.radio.mcs import Codeword


@final
@dataclass(frozen=True)
class DigitalLink:
    """Bytes through real codewords: CRC16, LDPC and QAM of 5G, link adaptation, selective repeat.

    bytes --> codewords of at most 126 bytes --> + CRC --> LDPC --> QAM --> channel --> decode --> CRC holds? --> bytes
                        ^                                                                              | no
                        +--------------- again, in a new block, with the scheme of its report ---------+

    Attempts are decoded on their own (no soft combining). Items go one after another; the codewords of one item go in
    rounds, and a round waits for the acknowledgements of the one before. The length of an item is known to the
    receiver, as from a 5G scheduling grant, and is not counted.

    Args:
        channel: what the air does.
        snr_db: mean received Es/N0 for symbols of unit power, -60 .. 100 dB, or inf for no noise.
        bandwidth_hz: channel uses per second; 1 MHz is assumed.
        tx_power_w: power of the sender's radio while sending; assumed.
        rx_power_w: power of the receiver's radio while receiving; assumed.
        medium: links of equal medium share the spectrum.
        report_error_db: standard deviation of the error of every SNR report, in dB.
        max_attempts: how often a codeword is sent at most; an item that lacks one then is lost.
        feedback_delay_s: wait for acknowledgements before codewords are sent again; 1 ms is assumed.
        target_bler: block error rate that link adaptation aims at, in (0, 0.5).

    Raises:
        ConfigError: a field out of range.

    >>> link, random = DigitalLink(AWGN(), 20.0), Random.of([0])
    >>> received, usage = link.send(Bits.of([b"a seed"]), link.observe(random), random)
    >>> received.strings, usage.num_channel_uses
    ((b'a seed',), 14.0)
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
    carries: ClassVar[type[Payload]] = Bits

    def __post_init__(self) -> None:
        check_arq(self)

    def observe(self, random: Random) -> ChannelState:
        """Gain of the first block, and the SNR reported of it."""
        return observe(self, random)

    def usage(self, size: Size, num_items: int) -> Usage:
        """Expected usage, from a rehearsal with the block error rate tables."""
        return rehearsal.usage(self, size, num_items)

    def draw_durations_s(self, size: Size, num_items: int, num_draws: int, random_seed: int) -> Tensor:
        """Durations with feedback, drawn from a rehearsal with the block error rate tables."""
        return rehearsal.draw_durations_s(self, size, num_items, num_draws, random_seed)

    def send(self, payload: Bits, state: ChannelState, random: Random) -> tuple[Bits, Usage]:
        """Items as decoded, or `None` where a codeword failed for good."""
        buffers = _Buffers.of(payload)
        segments = cut(self, buffers.num_bytes, state, random)
        outcome = exchange(self, segments, len(payload.strings), _BitAttempt(self.channel, segments, buffers))
        lost = [s is None for s in payload.strings]
        strings = buffers.strings(outcome.delivered & ~torch.tensor(lost, dtype=torch.bool))
        return Bits(strings, payload.batch), usage_of(self, payload.num_bits, outcome, self.feedback_delay_s)

    def capacity_bits(self, num_channel_uses: float, reported_snr: float) -> float:
        """Payload bits whose expected uses fit, at the scheme for `reported_snr`."""
        return payload_bits_that_fit(adaptation_of(self), num_channel_uses, reported_snr)


@final
@dataclass(frozen=True)
class _Buffers:
    """Bytes of all items one after the other, as sent and as received so far."""

    sent: Tensor
    received: Tensor
    num_bytes: Tensor

    @staticmethod
    def of(payload: Bits) -> _Buffers:
        strings = [s or b"" for s in payload.strings]
        sent = torch.tensor(bytearray(b"".join(strings)), dtype=torch.uint8)
        return _Buffers(sent, torch.zeros_like(sent), torch.tensor([len(s) for s in strings], dtype=torch.long))

    def places(self, segments: Segments, rows: Tensor, num_bytes: int) -> tuple[Tensor, Tensor]:
        """[num_rows, num_bytes], index of every payload byte, and whether it is one and no padding."""
        item = segments.item[rows]
        within = segments.first_byte[rows, None] + torch.arange(num_bytes)
        start = self.num_bytes.cumsum(0) - self.num_bytes
        inside = within < self.num_bytes[item, None]
        return torch.where(inside, start[item, None] + within, 0), inside

    def strings(self, delivered: Tensor) -> tuple[bytes | None, ...]:
        items = self.received.split(self.num_bytes.tolist())
        return tuple(x.numpy().tobytes() if ok else None for x, ok in zip(items, delivered.tolist(), strict=True))


@final
@dataclass(frozen=True)
class _BitAttempt:
    """An attempt that is encoded, sent, decoded and checked; what passes is kept in the buffers."""

    channel: Channel
    segments: Segments
    buffers: _Buffers

    def __call__(self, codeword: Codeword, rows: Tensor, state: ChannelState, random: Random) -> Tensor:
        places, inside = self.buffers.places(self.segments, rows, codeword.num_bytes)
        sent = ldpc.encode(torch.where(inside, self.buffers.sent[places], 0), codeword)
        received = self.channel.transmit(sent, state.snr, state.gain, random)
        payloads, holds = ldpc.decode(received, codeword)
        kept = inside & holds[:, None]
        self.buffers.received[places[kept]] = payloads[kept]
        return holds
