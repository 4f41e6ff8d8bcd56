"""Digital transfer: bytes through 5G LDPC codes and QAM, again until they arrive."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar, final

import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.core.types import Bits, ChannelState, Payload, Size, Symbols, Usage
from gainnet.radio import ldpc, redundancy, rehearsal
from gainnet.radio.adaptation import payload_bits_that_fit
from gainnet.radio.air import observe, usage_of
from gainnet.radio.arq import Harq, Segments, adaptation_of, check_arq, cut, exchange
from gainnet.radio.awgn import AWGN
from gainnet.radio.channel import Channel
from gainnet.radio.portion import Batch, Portion, state_at, streams_at


@final
@dataclass(frozen=True)
class DigitalLink:
    """Bytes through real codewords: CRC16, LDPC and QAM of 5G, link adaptation, selective repeat.

    bytes --> codewords of at most 126 bytes --> + CRC --> LDPC --> QAM --> channel --> decode --> CRC holds? --> bytes
                        ^                                                                              | no
                        +--------------- again, in a new block, with the scheme of its report ---------+

    Attempts are decoded on their own, or with `harq="ir"` together. Items go one after another; the codewords of one
    item go in rounds, and a round waits for the acknowledgements of the one before. The length of an item is known to
    the receiver, as from a 5G scheduling grant, and is not counted.

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
        report_delay_blocks: fading blocks between the measurement of a report and its use.
        deadline_s: time from the start of an item, feedback included, after which it is of no use; nothing that would
            end later is sent, and the item is lost.
        harq: `none` sends a failed codeword anew; `ir` sends more redundancy of it and decodes all attempts together.

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
        """Expected usage, from a rehearsal with the block error rate tables."""
        return rehearsal.usage(self, size, num_items)

    def draw_durations_s(self, size: Size, num_items: int, num_draws: int, random_seed: int) -> Tensor:
        """Durations with feedback, drawn from a rehearsal with the block error rate tables."""
        return rehearsal.draw_durations_s(self, size, num_items, num_draws, random_seed)

    def send(self, payload: Bits, state: ChannelState, random: Random) -> tuple[Bits, Usage]:
        """Items as decoded, or `None` where a codeword failed for good."""
        buffers = _Buffers.of(payload)
        segments = cut(self, buffers.num_bytes, state, random)
        outcome = exchange(self, segments, len(payload.strings), _BitAttempt(self, segments, buffers))
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
    """An attempt that is encoded, sent, decoded and checked; what passes is kept in the buffers.

    With incremental redundancy the soft bits of a codeword that failed are kept by row until it passes.
    """

    link: DigitalLink
    segments: Segments
    buffers: _Buffers
    soft_bits: dict[int, Tensor] = field(default_factory=dict)

    def __call__(self, batch: Batch, rows: Tensor, state: ChannelState, random: Random) -> Tensor:
        holds = torch.zeros(len(rows), dtype=torch.bool)
        for portion, members in batch.portions(~holds):
            streams = streams_at(random, members)
            holds[members] = self._sent(portion, rows[members], state_at(state, members), streams)
        return holds

    def _sent(self, portion: Portion, rows: Tensor, state: ChannelState, random: Random) -> Tensor:
        places, inside = self.buffers.places(self.segments, rows, portion.codeword.num_bytes)
        payloads = torch.where(inside, self.buffers.sent[places], 0)
        send = self._first if portion.number == 0 else self._later
        decoded, holds = send(payloads, portion, rows, state, random)
        kept = inside & holds[:, None]
        self.buffers.received[places[kept]] = decoded[kept]
        return holds

    def _first(
        self, payloads: Tensor, portion: Portion, rows: Tensor, state: ChannelState, random: Random
    ) -> tuple[Tensor, Tensor]:
        codeword = portion.codeword
        received = self.link.channel.transmit(ldpc.encode(payloads, codeword), state.snr, state.gain, random)
        decoded, holds = ldpc.decode(received, codeword)
        if self.link.harq == "ir":
            self._keep(rows[~holds], redundancy.first_soft_bits(_rows(received, ~holds), codeword))
        return decoded, holds

    def _later(
        self, payloads: Tensor, portion: Portion, rows: Tensor, state: ChannelState, random: Random
    ) -> tuple[Tensor, Tensor]:
        sent = redundancy.encode(payloads, portion)
        received = self.link.channel.transmit(sent, state.snr, state.gain, random)
        before = torch.stack([self.soft_bits.pop(row) for row in rows.tolist()])
        combined = before + redundancy.soft_bits(received, portion)
        decoded, holds = redundancy.decode(combined, portion.codeword)
        self._keep(rows[~holds], combined[~holds])
        return decoded, holds

    def _keep(self, rows: Tensor, soft_bits: Tensor) -> None:
        self.soft_bits.update(zip(rows.tolist(), soft_bits, strict=True))


def _rows(received: Symbols, rows: Tensor) -> Symbols:
    return Symbols(received.values[rows], received.gain[rows], received.noise_variance[rows])
