"""A bit codec that fills what the air can carry."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, final, runtime_checkable

import torch
from torch import Tensor

from gainnet.codecs.codec import Codec
from gainnet.core.types import Bits, Payload, Size, Spec

LEAST_BITS, MOST_BITS = 8.0, 2.0**31
"""Range of budgets in bits: a byte at least, and finite."""


@runtime_checkable
class Itemised(Protocol):
    """A codec that knows something of every item, such as its prompt."""

    def of_items(self, items: Sequence[int]) -> Codec[Bits]:
        """The codec of a smaller batch, made of these items of the whole one, row-major."""


@final
@dataclass(frozen=True)
class RateMatched:
    """A codec with a budget of bits that follows, item by item, the reported SNR.

    item --> [ capacity at its reported SNR ] --> [ codec with that budget ] --> bits;  not sent when no byte fits

    Args:
        codec_of: the codec for a budget in bits per item.
        capacity_bits: bits per item that fit the air at a linear SNR.
        typical_snrs: equally likely linear SNRs; `size` is their mean.
    """

    codec_of: Callable[[float], Codec[Bits] | Any]
    capacity_bits: Callable[[float], float]
    typical_snrs: tuple[float, ...]
    emits: ClassVar[type[Payload]] = Bits

    def size(self, spec: Spec) -> Size:
        budgets = [self.capacity_bits(snr) for snr in self.typical_snrs]
        expected = [self._codec(budget).size(spec).expected for budget in budgets if budget >= LEAST_BITS]
        # No report can ask for more than a noiseless channel.
        upper = self._codec(self.capacity_bits(math.inf)).size(spec).upper
        return Size(sum(expected) / len(budgets), upper)

    def encode(self, x: Tensor, reported_snr: Tensor) -> Bits:
        batch = tuple(reported_snr.shape)
        items = x.reshape(-1, *x.shape[len(batch) :])
        strings: list[bytes | None] = [None] * len(items)
        for budget, members in self._by_budget(reported_snr).items():
            if budget < LEAST_BITS:
                continue
            codec = self._codec(budget)
            # A codec that was given prompts has to pick those of the items that are left.
            codec = codec.of_items(members) if isinstance(codec, Itemised) else codec
            payload = codec.encode(items[members], reported_snr.reshape(-1)[members])
            for member, string in zip(members, payload.strings, strict=True):
                strings[member] = string
        return Bits(tuple(strings), batch)

    def of_items(self, items: Sequence[int]) -> RateMatched:
        """The codec of a smaller batch, made of these items of the whole one, row-major."""
        made = self.codec_of

        def part(budget: float) -> Codec[Bits]:
            codec: Codec[Bits] = made(budget)
            return codec.of_items(items) if isinstance(codec, Itemised) else codec

        return RateMatched(part, self.capacity_bits, self.typical_snrs)

    def decode(self, payload: Bits, spec: Spec) -> Tensor:
        # A stream tells its own quality, so the receiver needs no budget: any codec of the family reads it.
        return self.reader.decode(payload, spec)

    @property
    def reader(self) -> Codec[Bits]:
        """The codec of the largest budget."""
        return self._codec(MOST_BITS)

    def _codec(self, budget: float) -> Codec[Bits]:
        return self.codec_of(min(max(budget, LEAST_BITS), MOST_BITS))

    def _by_budget(self, reported_snr: Tensor) -> dict[float, list[int]]:
        # Items of equal budgets are coded together: building a codec costs more than a larger batch.
        members: dict[float, list[int]] = defaultdict(list)
        for item, snr in enumerate(reported_snr.reshape(-1).tolist()):
            members[self.capacity_bits(snr)].append(item)
        return members


def typical_rayleigh_snrs(mean_snr: float, num_snrs: int = 32) -> tuple[float, ...]:
    r"""Equally likely SNRs of Rayleigh fading: the mid-quantiles of an exponential distribution.

    >>> round(sum(typical_rayleigh_snrs(10.0)) / 32, 1)
    9.9
    """
    levels = (torch.arange(num_snrs, dtype=torch.float64) + 0.5) / num_snrs
    return tuple((-mean_snr * torch.log1p(-levels)).tolist())
