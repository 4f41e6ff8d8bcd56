"""Gains of a channel over time: independent blocks, blocks of one process, or slots with many gains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import ClassVar, Protocol, final

import numpy as np
import torch
from torch import Tensor

from gainnet.core.randomness import Random


class Blocks(Protocol):
    """Fading block by block. A block is what one report describes: uses with one gain, or a slot with many.

    is_flat: a block has one gain.   is_correlated: blocks of one process, so that it matters when a codeword starts.
    """

    is_flat: ClassVar[bool]
    is_correlated: ClassVar[bool]

    @property
    def length(self) -> int:
        """Channel uses of a block."""

    def gains(self, random: Random, numbers: Sequence[int], start: Tensor | None = None) -> Tensor:
        """[*batch, num_blocks, num_gains], complex gains of blocks before, at and after a start.

        Args:
            random: streams of the fading, [*batch]; block 0 has `first_gain` of the same streams.
            numbers: blocks, counted from the start; negative ones were before.
            start: [*batch], block of the process that is the start, 0 if left out; independent blocks ignore it.
        """


@final
@dataclass(frozen=True)
class IndependentBlocks:
    """Blocks that are drawn independently of each other: a late report is worthless.

    Args:
        length: channel uses with one gain.
        first_gain: [*batch], complex gains of given streams; all blocks have its distribution.

    >>> IndependentBlocks(64, lambda random: random.complex_normal(())).gains(Random.of([1, 2]), (-1, 0, 1)).shape
    torch.Size([2, 3, 1])
    """

    length: int
    first_gain: Callable[[Random], Tensor]
    is_flat: ClassVar[bool] = True
    is_correlated: ClassVar[bool] = False

    def gains(self, random: Random, numbers: Sequence[int], start: Tensor | None = None) -> Tensor:
        """As `Blocks.gains`."""
        groups = groupby(numbers, key=lambda number: (number + 1).bit_length() if number > 0 else min(number, 0))
        return torch.cat([self._drawn(random, tuple(members)) for _, members in groups], -1).unsqueeze(-1)

    def _drawn(self, random: Random, numbers: tuple[int, ...]) -> Tensor:
        """[*batch, num_blocks]; numbers above 0 between two powers of two, less one, share a stream."""
        if numbers[0] <= 0:
            streams = random.child("late report", -numbers[0]) if numbers[0] else random
            return self.first_gain(streams).unsqueeze(-1).expand(*random.batch, len(numbers))
        # A stream per doubling: who asks for twice as many blocks pays one generator per item, not one per block.
        octave = (numbers[0] + 1).bit_length() - 1
        seeds = np.stack([g.integers(2**63, size=2**octave) for g in random.generators("blocks", octave - 1)])
        chosen = seeds[:, [number + 1 - 2**octave for number in numbers]]
        gains = self.first_gain(Random(tuple(chosen.flatten().tolist()), chosen.shape))
        return gains.reshape(*random.batch, len(numbers))


class _Drawn(Protocol):
    @property
    def block_length(self) -> int: ...

    def first_gain(self, random: Random) -> Tensor: ...


def independent_blocks(channel: _Drawn) -> IndependentBlocks:
    """The blocks of a channel that draws each anew: also all that reports on a channel around another describe."""
    return IndependentBlocks(channel.block_length, channel.first_gain)


@final
@dataclass(frozen=True)
class CorrelatedBlocks:
    """Blocks of one process with memory.

    Args:
        length: channel uses with one gain.
        at: [*batch, num_blocks], complex gains of the process of given streams in given blocks [*batch, num_blocks].

    >>> def process(random: Random, number: Tensor) -> Tensor:
    ...     return torch.exp(0.1j * number)
    >>> blocks = CorrelatedBlocks(256, process)
    >>> blocks.gains(Random.of([1]), [0, 1, 2]).squeeze(-1).angle().round(decimals=1)
    tensor([[0.0000, 0.1000, 0.2000]])
    """

    length: int
    at: Callable[[Random, Tensor], Tensor]
    is_flat: ClassVar[bool] = True
    is_correlated: ClassVar[bool] = True

    def gains(self, random: Random, numbers: Sequence[int], start: Tensor | None = None) -> Tensor:
        """As `Blocks.gains`."""
        begin = torch.zeros(random.batch, dtype=torch.long) if start is None else start
        return self.at(random, begin.unsqueeze(-1) + torch.tensor(numbers)).unsqueeze(-1)


@final
@dataclass(frozen=True)
class Slots:
    """Slots of a channel whose gain changes from use to use; every codeword sees a realisation of its own.

    Args:
        length: channel uses of a slot.
        at: [*batch, num_gains], complex gains of given streams, spread over a slot of given number.

    >>> def slot(random: Random, number: int) -> Tensor:
    ...     return random.child("slot", number).complex_normal((4,), "gains")
    >>> slots = Slots(936, slot)
    >>> slots.gains(Random.of([1, 2]), [0, 1]).shape  # item, slot, places in a slot
    torch.Size([2, 2, 4])
    """

    length: int
    at: Callable[[Random, int], Tensor]
    is_flat: ClassVar[bool] = False
    is_correlated: ClassVar[bool] = False

    def gains(self, random: Random, numbers: Sequence[int], start: Tensor | None = None) -> Tensor:
        """As `Blocks.gains`."""
        return torch.stack([self.at(random, number) for number in numbers], -2)
