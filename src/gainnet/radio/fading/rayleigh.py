"""Rayleigh block fading: no line of sight, gains that hold for a block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.core.types import Symbols
from gainnet.radio.fading.blocks import independent_blocks
from gainnet.radio.fading.channel import check_block_length, transmit_blocks


@final
@dataclass(frozen=True)
class Rayleigh:
    r"""Channel whose gain is drawn anew for every block of channel uses.

    $y_{b,i} = h_b s_{b,i} + n_{b,i}, \quad h_b \sim \mathcal{CN}(0, 1)$ i.i.d., $n \sim \mathcal{CN}(0, 1/\gamma)$
    (Biglieri, Proakis and Shamai 1998, section II-B)

    Args:
        block_length: channel uses with one gain, at least 1; 256 at 1 MHz is a coherence time of 0.26 ms (assumed).

    Raises:
        ConfigError: a block has no channel uses.

    >>> random = Random.of([5])
    >>> channel = Rayleigh(block_length=2)
    >>> sent, snr = torch.ones(1, 4, dtype=torch.complex64), torch.tensor([float("inf")])
    >>> channel.transmit(sent, snr, channel.first_gain(random), random).gain.abs().unique().numel()
    2
    """

    block_length: int = 256

    def __post_init__(self) -> None:
        check_block_length(self.block_length)

    blocks = property(independent_blocks)

    def first_gain(self, random: Random) -> Tensor:
        """[*batch], CN(0, 1)."""
        return random.complex_normal((), "first gain")

    def transmit(self, symbols: Tensor, snr: Tensor, gain: Tensor, random: Random) -> Symbols:
        """Faded symbols plus noise; arguments as in `Channel.transmit`."""
        return transmit_blocks(self, symbols, snr, gain, random)

    def block_gains(self, gain: Tensor, num_blocks: int, random: Random) -> Tensor:
        """As `Blockwise.block_gains`."""
        # The first draw is not used: it stands for the given gain, so that block b always has draw b.
        drawn = random.complex_normal((num_blocks,), "later gains")
        return torch.cat([gain.unsqueeze(-1), drawn[..., 1:].to(gain.dtype)], -1)
