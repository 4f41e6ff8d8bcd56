"""The contract of channels, which act on symbols and on nothing else; and what all block-fading channels share."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError, check_range
from gainnet.core.randomness import Random
from gainnet.core.types import Symbols
from gainnet.radio.fading.awgn import add_noise
from gainnet.radio.fading.blocks import Blocks


class Channel(Protocol):
    """Fading and noise between two antennas.

    symbols --> [ fading gain ] --> [ + noise ] --> received symbols, with the gain that the receiver knows

    A channel needs these four members. `blocks` is `property(independent_blocks)` unless its fading has a memory.
    """

    @property
    def block_length(self) -> int:
        """Channel uses with one fading gain."""

    @property
    def blocks(self) -> Blocks:
        """Gains over time, known without a transmission."""

    def first_gain(self, random: Random) -> Tensor:
        """[*batch], complex gain of the first block, E|h|^2 = 1."""

    def transmit(self, symbols: Tensor, snr: Tensor, gain: Tensor, random: Random) -> Symbols:
        """Received symbols, differentiable in `symbols`.

        Args:
            symbols: [*batch, num_symbols], complex, E|s|^2 = 1.
            snr: [*batch], mean Es/N0, linear; `inf` gives no noise.
            gain: [*batch], gain of the first block (`first_gain`); later blocks are drawn from `random`.
            random: streams of this transmission.
        """


@runtime_checkable
class Blockwise(Protocol):
    """A block-fading channel whose gains in a transmission are known without making it."""

    @property
    def block_length(self) -> int:
        """Channel uses with one fading gain."""

    def block_gains(self, gain: Tensor, num_blocks: int, random: Random) -> Tensor:
        """[*batch, num_blocks], complex gains that `transmit` applies; a longer transmission only adds to them.

        Args:
            gain: [*batch], gain of the first block.
            num_blocks: blocks of the transmission, at least 1.
            random: streams of the transmission.
        """


def blockwise(channel: Channel) -> Blockwise | None:
    """The channel, if its gains in a transmission are known without making it."""
    return channel if isinstance(channel, Blockwise) else None


class Around(Protocol):
    """A channel that changes what goes into another one or comes out of it, whose fading stays as it is."""

    @property
    def channel(self) -> Channel:
        """The other one."""


def inner_block_length(around: Around) -> int:
    """Channel uses with one gain of the channel inside."""
    return around.channel.block_length


def inner_first_gain(around: Around, random: Random) -> Tensor:
    """[*batch], gain of the first block of the channel inside."""
    return around.channel.first_gain(random)


def block_fading(channel: Channel, field: str) -> Blockwise:
    """The channel as one of block fading; `field` needs it, and is named in the `ConfigError` if it is none."""
    if (found := blockwise(channel)) is None:
        raise ConfigError(
            f"{field}: {type(channel).__name__} does not tell gains block by block; "
            "must be fading in blocks: rayleigh, rician, jakes or a trace"
        )
    return found


def transmit_blocks(channel: Blockwise, symbols: Tensor, snr: Tensor, gain: Tensor, random: Random) -> Symbols:
    """Faded symbols plus noise, each block behind the gain that the channel states for it.

    Args:
        channel: gives the gains of blocks.
        symbols: [*batch, num_symbols], complex, E|s|^2 = 1.
        snr: [*batch], mean Es/N0, linear; `inf` gives no noise.
        gain: [*batch], gain of the first block.
        random: streams of this transmission.

    >>> from gainnet.radio.fading.rayleigh import Rayleigh
    >>> channel, streams = Rayleigh(block_length=2), Random.of([1])
    >>> first = channel.first_gain(streams)
    >>> symbols = torch.ones(1, 6, dtype=torch.complex64)
    >>> received = transmit_blocks(channel, symbols, torch.tensor([torch.inf]), first, streams)
    >>> received.gain.abs().round(decimals=2)
    tensor([[0.1800, 0.1800, 0.2600, 0.2600, 0.6400, 0.6400]])
    >>> torch.equal(received.values, received.gain)  # no noise
    True
    """
    block_of_use = torch.arange(symbols.shape[-1]) // channel.block_length
    # Without symbols there is still a first block, so that shapes and streams stay the same.
    num_blocks = max(1, -(-symbols.shape[-1] // channel.block_length))
    gains = channel.block_gains(gain, num_blocks, random)
    return add_noise(symbols, gains[..., block_of_use], snr, random)


def check_block_length(block_length: int) -> None:
    """Raises `ConfigError` for a block without channel uses."""
    check_range(block_length >= 1, "block_length", block_length, "1 channel use or more")
