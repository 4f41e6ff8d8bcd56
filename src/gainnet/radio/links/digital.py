"""Digital transfer: bytes through 5G LDPC codes and QAM, again until they arrive."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, final

import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.core.types import Bits, ChannelState, Payload, Symbols, Usage
from gainnet.radio.air import Air, Radios
from gainnet.radio.arq import Arq
from gainnet.radio.coding import free, ldpc, polar, redundancy
from gainnet.radio.fading.channel import Channel
from gainnet.radio.links.expectation import capacity_bits, draw_durations_s, expected_usage
from gainnet.radio.links.link import medium_of, observe
from gainnet.radio.links.portion import Batch, Portion, state_at, streams_at
from gainnet.radio.links.rounds import exchange
from gainnet.radio.links.segments import Segments, cut


@final
@dataclass(frozen=True)
class Digital:
    """Bytes through real codewords: CRC16, LDPC and QAM of 5G, link adaptation, selective repeat.

    bytes --> codewords of at most 126 bytes --> + CRC --> LDPC --> QAM --> channel --> decode --> CRC holds? --> bytes
                        ^                                                                              | no
                        +--------------- again, in a new block, with the scheme of its report ---------+

    Attempts are decoded together, or on their own with `Arq(harq="none")`. Items go one after another; the codewords
    of one item go in rounds, and a round waits for the acknowledgements of the one before. The length of an item is
    known to the receiver, as from a 5G scheduling grant, and is not counted.

    Args:
        air: radio conditions.
        radios: their power.
        arq: retransmissions.

    >>> link, random = Digital(Air(snr_db=20.0)), Random.of([0])
    >>> received, usage = link.send(Bits.of([b"a seed"]), link.observe(random), random)
    >>> received.strings, usage.num_channel_uses
    ((b'a seed',), 14.0)
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
        """Items as decoded, or `None` where a codeword failed for good, and the usage."""
        buffers = _Buffers.of(payload)
        segments = cut(self.air, self.arq, buffers.num_bytes, state, random)
        attempt = _BitAttempt(self.air.fading, self.arq.combines, segments, buffers)
        outcome = exchange(self.air, self.arq, segments, len(payload.strings), attempt)
        # An item that was missing before it was sent has no codewords that could fail; it stays missing.
        given = torch.tensor([s is not None for s in payload.strings], dtype=torch.bool)
        usage = outcome.usage(self.air, self.radios, payload.num_bits, self.arq.feedback_delay_s)
        return Bits(buffers.strings(outcome.delivered & given), payload.batch), usage


@final
@dataclass(frozen=True)
class _Buffers:
    """Bytes of all items one after the other, as sent and as received so far; length of each [num_items]."""

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
        """Items as received, `None` where `delivered` [num_items] is false."""
        items = self.received.split(self.num_bytes.tolist())
        return tuple(x.numpy().tobytes() if ok else None for x, ok in zip(items, delivered.tolist(), strict=True))


@final
@dataclass(frozen=True)
class _BitAttempt:
    """An attempt that is encoded, sent, decoded and checked; what passes is kept in the buffers.

    Where attempts are combined, the soft bits of a codeword that failed are kept by row until it passes.
    """

    channel: Channel
    combines: bool
    segments: Segments
    buffers: _Buffers
    soft_bits: dict[int, Tensor] = field(default_factory=dict)

    def __call__(self, batch: Batch, rows: Tensor, state: ChannelState, random: Random) -> Tensor:
        holds = torch.zeros(len(rows), dtype=torch.bool)
        for portion, members in batch.portions():
            streams = streams_at(random, members)
            holds[members] = self._sent(portion, rows[members], state_at(state, members), streams)
        return holds

    def _sent(self, portion: Portion, rows: Tensor, state: ChannelState, random: Random) -> Tensor:
        places, inside = self.buffers.places(self.segments, rows, portion.codeword.num_bytes)
        # Padding is sent as zeros and thrown away: it has no place in the buffers.
        payloads = torch.where(inside, self.buffers.sent[places], 0)
        symbols = _encoded(payloads, portion)
        received = self.channel.transmit(symbols, state.snr, state.gain, random)
        decoded, holds = self._decoded(received, portion, rows)
        kept = inside & holds[:, None]
        self.buffers.received[places[kept]] = decoded[kept]
        return holds

    def _decoded(self, received: Symbols, portion: Portion, rows: Tensor) -> tuple[Tensor, Tensor]:
        """[num_rows, num_bytes] payloads and [num_rows] whether their CRC holds."""
        if portion.is_polar:
            return polar.decode(received, portion.codeword.num_bytes, portion.mcs.bits_per_symbol)
        if portion.start is not None:
            combined = free.soft_bits(received, portion.codeword, portion.mcs.bits_per_symbol, portion.start)
            if portion.number:
                combined = combined + torch.stack([self.soft_bits.pop(row) for row in rows.tolist()])
            num_bits = portion.start + portion.num_channel_uses * portion.mcs.bits_per_symbol
            decoded, holds = free.decode(combined, portion.codeword, num_bits)
            soft_bits = combined[~holds]
        elif portion.number == 0:
            decoded, holds = ldpc.decode(received, portion.codeword)
            if not self.combines:
                return decoded, holds
            # Soft bits of the mother code cost more than a decoding, and most first attempts need none.
            soft_bits = redundancy.first_soft_bits(received.items(~holds), portion.codeword)
        else:
            before = torch.stack([self.soft_bits.pop(row) for row in rows.tolist()])
            combined = before + redundancy.soft_bits(received, portion)
            decoded, holds = redundancy.decode(combined, portion.codeword)
            soft_bits = combined[~holds]
        self.soft_bits.update(zip(rows[~holds].tolist(), soft_bits, strict=True))
        return decoded, holds


def _encoded(payloads: Tensor, portion: Portion) -> Tensor:
    """[num_rows, num_channel_uses], symbols of payloads [num_rows, num_bytes]."""
    if portion.is_polar:
        return polar.encode(payloads, portion.mcs.bits_per_symbol, portion.num_channel_uses)
    if portion.start is not None:
        order, uses = portion.mcs.bits_per_symbol, portion.num_channel_uses
        return free.encode(payloads, portion.codeword, order, portion.start, uses)
    return redundancy.encode(payloads, portion) if portion.number else ldpc.encode(payloads, portion.codeword)
