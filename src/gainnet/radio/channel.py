"""Channels act on symbols: what the air does, and nothing else."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.core.types import Symbols


class Channel(Protocol):
    """What happens to symbols between two antennas.

    symbols --> [ fading gain ] --> [ + noise ] --> received symbols, with the gain the receiver knows
    """

    @property
    def block_length(self) -> int:
        """Channel uses that see one fading gain."""

    def first_gain(self, random: Random) -> Tensor:
        """[*batch], complex gain of the first block, E|h|^2 = 1."""

    def transmit(self, symbols: Tensor, snr: Tensor, gain: Tensor, random: Random) -> Symbols:
        """Received symbols, differentiable in `symbols`.

        Args:
            symbols: [*batch, num_symbols], complex, E|s|^2 = 1.
            snr: [*batch], mean Es/N0, linear; `inf` gives no noise.
            gain: [*batch], gain of the first block (`first_gain`); later blocks are drawn from `random`.
            random: streams of this very transfer.
        """
