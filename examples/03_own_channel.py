"""A channel of one's own: Rician block fading, a line of sight and its reflections.

From the command line: `gainnet generate ... --fading my_module:Rician`.
"""

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

import gainnet
from gainnet import AWGN, Air, Codecs, RawAnalog, Rayleigh
from gainnet.core.randomness import Random
from gainnet.core.types import Symbols
from gainnet.radio import IndependentBlocks, transmit_blocks
from gainnet.testing import check_channel


@final
@dataclass(frozen=True)
class Rician:
    """h = sqrt(K / (K + 1)) + sqrt(1 / (K + 1)) g with g ~ CN(0, 1), one h per block (Rice 1948).

    Args:
        k_factor: power of the line of sight over that of the reflections, linear, >= 0.
        block_length: channel uses with one gain.
    """

    k_factor: float = 4.0
    block_length: int = 256

    @property
    def blocks(self) -> IndependentBlocks:
        return IndependentBlocks(self.block_length, self.first_gain)

    def first_gain(self, random: Random) -> Tensor:
        return self._gain(random.complex_normal((), "first gain"))

    def transmit(self, symbols: Tensor, snr: Tensor, gain: Tensor, random: Random) -> Symbols:
        return transmit_blocks(self, symbols, snr, gain, random)

    def block_gains(self, gain: Tensor, num_blocks: int, random: Random) -> Tensor:
        later = self._gain(random.complex_normal((num_blocks,), "later gains"))[..., 1:]
        return torch.cat([gain.unsqueeze(-1), later], -1)

    def _gain(self, reflections: Tensor) -> Tensor:
        return (math.sqrt(self.k_factor) + reflections) / math.sqrt(self.k_factor + 1.0)


check_channel(Rician())
power = Rician().first_gain(Random.of(range(4000))).abs().square()
print("Rician keeps the contract of channels")
print(f"mean power {power.mean():.3f}, variance of the power {power.var():.3f} (in theory 1.000 and 0.360)")

model = gainnet.load("scenes")
prompts = ("a yellow star", "a green tree at night", "a blue house", "a yellow moon")
for fading in (AWGN(), Rician(), Rayleigh()):
    result = gainnet.generate(prompts, model, codecs=Codecs(seed=RawAnalog()), air=Air(fading, snr_db=5.0))
    print(f"{type(fading).__name__:>8}: {result.quality.psnr_db:.2f} dB")
