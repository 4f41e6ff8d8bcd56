"""Portions of codewords: what of which codewords is sent in one attempt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.core.types import ChannelState
from gainnet.radio.coding.mcs import LADDER, NUM_CRC_BITS, Codeword, Mcs

MAX_AT_ONCE: Final = 256
"""Codewords of one format that are decoded together, so that they fit into memory."""

NO_START: Final = -1
"""Coded bits before an attempt of a codeword that has no free rate."""

POLAR: Final = -2
"""In the place of coded bits before: a polar codeword, which is sent once."""


@final
@dataclass(frozen=True)
class Portion:
    """Part of codewords of one format that one attempt sends.

    Args:
        codeword: format of the first attempt.
        mcs: scheme of this attempt; the modulation counts, and the code rate where the codeword is sent anew.
        num_channel_uses: length of this attempt.
        number: 0 for a codeword that is decoded alone; later ones are combined with all before.
        start: coded bits that were sent before, of a codeword of free rate; `None` for all others.
        is_polar: whether it is a polar codeword, which is sent once.
    """

    codeword: Codeword
    mcs: Mcs
    num_channel_uses: int
    number: int
    start: int | None = None
    is_polar: bool = False

    @staticmethod
    def whole(codeword: Codeword) -> Portion:
        """The codeword itself."""
        return Portion(codeword, codeword.mcs, codeword.num_channel_uses, 0)


@final
@dataclass(frozen=True)
class Batch:
    """Formats of the codewords that are sent in one round.

    Args:
        formats: [num_codewords, 6], int64: scheme of the first attempt (index into `LADDER`), payload bytes, scheme of
            this attempt, channel uses of the first attempt, channel uses of this attempt, and coded bits before it of
            LDPC codewords of free rate, `POLAR` of polar ones, `NO_START` of all others.
        number: as in `Portion`.
    """

    formats: Tensor
    number: int

    @staticmethod
    def of(
        num_bytes: Tensor,
        scheme: Tensor,
        length: Tensor,
        begun: Tensor | None,
        number: int,
        start: Tensor | None = None,
    ) -> Batch:
        """Formats from payloads, schemes and lengths [num_codewords].

        Args:
            num_bytes: payload.
            scheme: index into `LADDER` of this attempt.
            length: channel uses of this attempt.
            begun: [num_codewords, 2], scheme and channel uses of the first attempt; `None` if it is this one.
            number: as in `Portion`.
            start: as in `Portion`; `None` where no codeword has a free rate.
        """
        first_scheme, first_length = (scheme, length) if begun is None else begun.unbind(-1)
        before = torch.full_like(length, NO_START) if start is None else start
        return Batch(torch.stack([first_scheme, num_bytes, scheme, first_length, length, before], -1), number)

    @property
    def num_bytes(self) -> Tensor:
        """[num_codewords], payload."""
        return self.formats[:, 1]

    @property
    def scheme(self) -> Tensor:
        """[num_codewords], index into `LADDER` of this attempt."""
        return self.formats[:, 2]

    @property
    def length(self) -> Tensor:
        """[num_codewords], channel uses of this attempt."""
        return self.formats[:, 4]

    def portions(self, among: Tensor | None = None) -> Iterator[tuple[Portion, Tensor]]:
        """Portions that occur among given codewords, with the codewords that have them.

        Args:
            among: [num_codewords], bool; all if left out.
        """
        places = torch.arange(len(self.formats)) if among is None else among.nonzero().squeeze(-1)
        kinds, kind_of = self.formats[places].unique(dim=0, return_inverse=True)
        for kind, (first_scheme, num_bytes, scheme, first_length, length, before) in enumerate(kinds.tolist()):
            codeword = _codeword(num_bytes, LADDER[first_scheme], first_length)
            mcs = LADDER[scheme] if self.number else codeword.mcs
            for members in places[kind_of == kind].split(MAX_AT_ONCE):
                start = before if before >= 0 else None
                yield Portion(codeword, mcs, length, self.number, start, before == POLAR), members


def state_at(state: ChannelState, where: Tensor) -> ChannelState:
    """Channel state of some items; `where` is a bool mask [*batch], or indices [num_items]."""
    return ChannelState(state.snr[where], state.gain[where], state.reported_snr[where], state.block_length)


def streams_at(random: Random, items: Tensor, batch: tuple[int, ...] | None = None) -> Random:
    """Streams of some items of a flat batch.

    Args:
        random: streams of [num_all_items].
        items: [num_items], indices.
        batch: shape of the result; flat if left out.
    """
    seeds = tuple(random.random_seeds[i] for i in items.tolist())
    return Random(seeds, (len(seeds),) if batch is None else batch, random.path)


def _codeword(num_bytes: int, mcs: Mcs, num_channel_uses: int) -> Codeword:
    """The codeword of a scheme, or one whose code rate makes it as long as is wanted."""
    codeword = Codeword(num_bytes, mcs)
    if codeword.num_channel_uses == num_channel_uses:
        return codeword
    num_bits = num_channel_uses * mcs.bits_per_symbol
    return Codeword(num_bytes, Mcs(mcs.bits_per_symbol, 1024 * (8 * num_bytes + NUM_CRC_BITS) / num_bits))
