"""Block fading: one gain for a number of channel uses, then the next."""

from __future__ import annotations

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.types import Symbols
from gainnet.radio.fading.awgn import add_noise
from gainnet.radio.fading.channel import Blockwise


def transmit_blocks(channel: Blockwise, symbols: Tensor, snr: Tensor, gain: Tensor, random: Random) -> Symbols:
    """Faded symbols plus noise, each block behind the gain that the channel states for it.

    Args:
        channel: gives the gains of blocks.
        symbols: [*batch, num_symbols], complex, E|s|^2 = 1.
        snr: [*batch], mean Es/N0, linear; `inf` gives no noise.
        gain: [*batch], gain of the first block.
        random: streams of this transmission.
    """
    block_of_use = torch.arange(symbols.shape[-1]) // channel.block_length
    # Without symbols there is still a first block, so that shapes and streams stay the same.
    num_blocks = max(1, -(-symbols.shape[-1] // channel.block_length))
    gains = channel.block_gains(gain, num_blocks, random)
    return add_noise(symbols, gains[..., block_of_use], snr, random)


def check_block_length(block_length: int) -> None:
    """Raises `ConfigError` for a block without channel uses."""
    if block_length < 1:
        raise ConfigError(f"block_length: {block_length} is out of range; must be 1 channel use or more")
