"""Rician block fading: a line of sight, and scattered paths around it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from gainnet.core.errors import check_range
from gainnet.core.randomness import Random
from gainnet.core.types import Symbols
from gainnet.radio.fading.blocks import independent_blocks
from gainnet.radio.fading.channel import check_block_length, transmit_blocks
from gainnet.radio.fading.waves import phasor


@final
@dataclass(frozen=True)
class Rician:
    r"""Channel with a constant path and scattered ones that are drawn anew for every block.

    $h_b = \sqrt{\frac{K}{K+1}}\, e^{j\theta} + \sqrt{\frac{1}{K+1}}\, w_b, \quad w_b \sim \mathcal{CN}(0, 1)$ i.i.d.,
    $\theta$ uniform   (Rice 1944; Biglieri, Proakis and Shamai 1998, section II-B)

    Args:
        k_factor: power of the constant path over that of the others $K$ >= 0, linear; 4 (6 dB) is assumed.
        block_length: channel uses with one gain, at least 1.

    Raises:
        ConfigError: a field is out of range.

    >>> weak, strong = (Rician(k).first_gain(Random.of(range(500))).abs().std().item() for k in (0.0, 100.0))
    >>> weak > 5 * strong
    True
    """

    k_factor: float = 4.0
    block_length: int = 256

    def __post_init__(self) -> None:
        check_block_length(self.block_length)
        check_range(0.0 <= self.k_factor < math.inf, "k_factor", self.k_factor, "0 or more, linear")

    blocks = property(independent_blocks)

    def first_gain(self, random: Random) -> Tensor:
        """[*batch], unit mean power."""
        return self._line_of_sight(random) + self._scattering * random.complex_normal((), "first gain")

    def transmit(self, symbols: Tensor, snr: Tensor, gain: Tensor, random: Random) -> Symbols:
        """Faded symbols plus noise; arguments as in `Channel.transmit`."""
        return transmit_blocks(self, symbols, snr, gain, random)

    def block_gains(self, gain: Tensor, num_blocks: int, random: Random) -> Tensor:
        """As `Blockwise.block_gains`."""
        scattered = self._scattering * random.complex_normal((num_blocks,), "later gains")
        drawn = self._line_of_sight(random).unsqueeze(-1) + scattered
        return torch.cat([gain.unsqueeze(-1), drawn[..., 1:].to(gain.dtype)], -1)

    @property
    def _scattering(self) -> float:
        return math.sqrt(1 / (self.k_factor + 1))

    def _line_of_sight(self, random: Random) -> Tensor:
        """[*batch], the constant path; its phase is uniform over items, since nobody knows the distance that well."""
        return phasor(math.sqrt(self.k_factor / (self.k_factor + 1)), 2 * math.pi * random.uniform((), "phase"))
