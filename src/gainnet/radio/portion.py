"""What of which codewords is sent in one attempt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, final

from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.core.types import ChannelState
from gainnet.radio.mcs import LADDER, NUM_CRC_BITS, Codeword, Mcs

MOST_AT_ONCE: Final = 256
"""Codewords of one format that are handled together, so that they fit into memory."""


@final
@dataclass(frozen=True)
class Portion:
    """What is sent of codewords of one format.

    Args:
        codeword: format of its first attempt.
        mcs: scheme of this attempt; the modulation counts, and the code rate where the codeword is sent anew.
        num_channel_uses: length of this attempt.
        number: 0 for a codeword that is decoded alone; later ones are combined with all before.
    """

    codeword: Codeword
    mcs: Mcs
    num_channel_uses: int
    number: int

    @staticmethod
    def whole(codeword: Codeword) -> Portion:
        """The codeword itself."""
        return Portion(codeword, codeword.mcs, codeword.num_channel_uses, 0)


@final
@dataclass(frozen=True)
class Batch:
    """Codewords that go out in one round.

    Args:
        num_bytes: [num_codewords], payload.
        scheme: [num_codewords], index into `LADDER` of this attempt.
        length: [num_codewords], channel uses of this attempt.
        first_scheme: [num_codewords], of the first attempt.
        first_length: [num_codewords], of the first attempt.
        number: as in `Portion`.
    """

    num_bytes: Tensor
    scheme: Tensor
    length: Tensor
    first_scheme: Tensor
    first_length: Tensor
    number: int

    def portions(self, among: Tensor) -> Iterator[tuple[Portion, Tensor]]:
        """Portions that occur among given codewords, with the codewords that have them.

        Args:
            among: [num_codewords], bool.
        """
        keys = (self.first_scheme * 128 + self.num_bytes) * 64 + self.scheme
        keys = keys * 2**40 + self.first_length * 2**20 + self.length
        for key in keys[among].unique().tolist():
            members = ((keys == key) & among).nonzero().squeeze(-1)
            kind, (first_length, length) = key >> 40, divmod(key % 2**40, 2**20)
            codeword = _codeword(kind // 64 % 128, LADDER[kind // 64 // 128], first_length)
            for batch in members.split(MOST_AT_ONCE):
                yield Portion(codeword, LADDER[kind % 64] if self.number else codeword.mcs, length, self.number), batch


def state_at(state: ChannelState, where: Tensor) -> ChannelState:
    """The state of some items; `where` is a mask or indices."""
    return ChannelState(state.snr[where], state.gain[where], state.reported_snr[where], state.block_length)


def streams_at(random: Random, items: Tensor) -> Random:
    """[num], streams of some items of a flat batch."""
    return Random(tuple(random.random_seeds[i] for i in items.tolist()), (len(items),), random.path)


def _codeword(num_bytes: int, mcs: Mcs, num_channel_uses: int) -> Codeword:
    """The codeword of a scheme, or one whose code rate makes it as long as is asked for."""
    codeword = Codeword(num_bytes, mcs)
    if codeword.num_channel_uses == num_channel_uses:
        return codeword
    num_bits = num_channel_uses * mcs.bits_per_symbol
    return Codeword(num_bytes, Mcs(mcs.bits_per_symbol, 1024 * (8 * num_bytes + NUM_CRC_BITS) / num_bits))
