"""Jakes fading: a receiver moves through waves from all directions, so that neighbouring blocks are correlated."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor

from gainnet.core.errors import check_range
from gainnet.core.randomness import Random
from gainnet.core.types import Symbols
from gainnet.radio.fading.blocks import CorrelatedBlocks
from gainnet.radio.fading.channel import check_block_length, transmit_blocks
from gainnet.radio.fading.waves import rotation, sector_angles

NUM_WAVES: Final = 32


@final
@dataclass(frozen=True)
class Jakes:
    r"""Rayleigh fading whose blocks are correlated as in Clarke's model.

    $h_b = \sum_n a_n e^{j 2\pi \nu b \cos\alpha_n}, \quad a_n \sim \mathcal{CN}(0, 1/N)$, one $\alpha_n$ uniform in
    each of $N$ equal sectors: every $h_b \sim \mathcal{CN}(0, 1)$ and $E[h_b h_0^*] = J_0(2\pi\nu b)$, both exactly
    (Clarke 1968; Jakes 1974; Gaussian amplitudes in the place of unit ones as in Zheng and Xiao 2003)

    Args:
        block_length: channel uses with one gain, at least 1.
        doppler: largest Doppler shift times the duration of a block $\nu$, >= 0 and below 0.5; 0.025 is 30 km/h at
            3.5 GHz with blocks of 256 uses at 1 MHz.

    Raises:
        ConfigError: a field is out of range.

    >>> near, far = Jakes(doppler=1e-3).gains(Random.of([1]), torch.tensor([[1, 400]]))[0].tolist()
    >>> first = Jakes(doppler=1e-3).first_gain(Random.of([1])).item()
    >>> abs(near - first) < 0.1 < abs(far - first)
    True
    """

    block_length: int = 256
    doppler: float = 0.025

    def __post_init__(self) -> None:
        check_block_length(self.block_length)
        check_range(0.0 <= self.doppler < 0.5, "doppler", self.doppler, "0 to below 0.5 turns per block")

    @property
    def blocks(self) -> CorrelatedBlocks:
        """Of one process."""
        return CorrelatedBlocks(self.block_length, self.gains)

    def first_gain(self, random: Random) -> Tensor:
        """[*batch], gain of block 0."""
        return self.gains(random, torch.zeros(*random.batch, 1))[..., 0]

    def gains(self, random: Random, blocks: Tensor) -> Tensor:
        """[*batch, num_blocks], complex64, gains of the process that `random` names.

        Args:
            random: streams of the process.
            blocks: [*batch, num_blocks], numbers of blocks; negative ones were before, fractions are times between.
        """
        amplitude = random.complex_normal((NUM_WAVES,), "waves") / math.sqrt(NUM_WAVES)
        return torch.matmul(self._rotations(random, blocks), amplitude.unsqueeze(-1)).squeeze(-1)

    def transmit(self, symbols: Tensor, snr: Tensor, gain: Tensor, random: Random) -> Symbols:
        """Faded symbols plus noise; arguments as in `Channel.transmit`."""
        return transmit_blocks(self, symbols, snr, gain, random)

    def block_gains(self, gain: Tensor, num_blocks: int, random: Random) -> Tensor:
        r"""As `Blockwise.block_gains`.

        A first gain that is not the process's own moves the later ones: $h_b + \rho_b (g - h_0)$ is the process given
        that $h_0 = g$, exactly, since amplitudes are Gaussian.
        """
        blocks = torch.arange(num_blocks).expand(*random.batch, num_blocks)
        own = self.gains(random, blocks)
        # The mean rotation over the waves is the correlation with block 0.
        tie = self._rotations(random, blocks).mean(-1)
        moved = own + tie * (gain.to(own.dtype) - own[..., 0]).unsqueeze(-1)
        return torch.cat([gain.to(own.dtype).unsqueeze(-1), moved[..., 1:]], -1)

    def _rotations(self, random: Random, blocks: Tensor) -> Tensor:
        """[*batch, num_blocks, NUM_WAVES], rotation of every wave since block 0."""
        shift = self.doppler * torch.cos(sector_angles(random, (NUM_WAVES,)))
        return rotation(blocks.double().unsqueeze(-1) * shift.unsqueeze(-2))
