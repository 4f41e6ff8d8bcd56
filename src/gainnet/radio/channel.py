"""Channels act on symbols: what the air does, and nothing else."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

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


@runtime_checkable
class Blockwise(Protocol):
    """A block-fading channel that can tell the gains of a transmission without making it."""

    @property
    def block_length(self) -> int:
        """Channel uses that see one fading gain."""

    def block_gains(self, gain: Tensor, num_blocks: int, random: Random) -> Tensor:
        """[*batch, num_blocks], complex gains that `transmit` applies; a longer transmission only adds to them."""


@runtime_checkable
class Evolving(Protocol):
    """A block-fading channel with a memory: blocks of one process, at any time."""

    def gains(self, random: Random, blocks: Tensor) -> Tensor:
        """[*batch, num_blocks], complex gains of the blocks of given numbers.

        Args:
            random: streams of the process; `first_gain` of the same streams is block 0.
            blocks: [*batch, num_blocks], numbers; negative ones were before.
        """


@runtime_checkable
class Selective(Protocol):
    """A channel whose gain changes from use to use within a slot, of which one report speaks."""

    @property
    def slot_length(self) -> int:
        """Channel uses of a slot."""

    def slot_gains(self, random: Random, slot: int) -> Tensor:
        """[*batch, num_samples], complex gains spread over a slot; slot 0 is where a transmission starts."""


def coherent_uses(channel: Channel) -> int:
    """Channel uses that one report is true for: a fading block, or a slot of a selective channel.

    >>> from gainnet.radio.rayleigh import Rayleigh
    >>> coherent_uses(Rayleigh(64))
    64
    """
    return channel.slot_length if isinstance(channel, Selective) else channel.block_length
