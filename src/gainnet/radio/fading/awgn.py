"""Additive white Gaussian noise, without fading."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.core.types import Symbols
from gainnet.radio.fading.blocks import IndependentBlocks


@final
@dataclass(frozen=True)
class AWGN:
    r"""Channel without fading: unit gain and circular Gaussian noise.

    $y = s + n, \quad n \sim \mathcal{CN}(0, 1/\gamma)$   (Shannon 1948, section 24)

    >>> sent = torch.ones(1, 4, dtype=torch.complex64)
    >>> random, loud = Random.of([3]), torch.tensor([float("inf")])
    >>> bool((AWGN().transmit(sent, loud, AWGN().first_gain(random), random).values == sent).all())
    True
    """

    @property
    def block_length(self) -> int:
        """The largest integer: the gain never changes."""
        return sys.maxsize

    @property
    def blocks(self) -> IndependentBlocks:
        """One gain for all."""
        return IndependentBlocks(self.block_length, self.first_gain)

    def first_gain(self, random: Random) -> Tensor:
        """[*batch], ones."""
        return torch.ones(random.batch, dtype=torch.complex64)

    def transmit(self, symbols: Tensor, snr: Tensor, gain: Tensor, random: Random) -> Symbols:
        """Symbols plus noise; arguments as in `Channel.transmit`."""
        return add_noise(symbols, gain.unsqueeze(-1).expand(symbols.shape), snr, random)


def add_noise(symbols: Tensor, gain: Tensor, snr: Tensor, random: Random) -> Symbols:
    r"""Symbols behind a known gain with noise from the stream "noise".

    $y = h s + n, \quad n \sim \mathcal{CN}(0, 1/\gamma)$

    Args:
        symbols: [*batch, num_symbols], complex, E|s|^2 = 1.
        gain: [*batch, num_symbols], complex gain h of every channel use.
        snr: [*batch], mean Es/N0 $\gamma$, linear; `inf` gives no noise.
        random: streams of this very transfer.

    >>> sent, gain = torch.ones(1, 10_000, dtype=torch.complex64), torch.full((1, 10_000), 2j)
    >>> received = add_noise(sent, gain, torch.tensor([4.0]), Random.of([1]))
    >>> received.noise_variance[0, 0]
    tensor(0.2500)
    >>> noise = received.values - gain * sent
    >>> round(float(noise.abs().square().mean()), 2)
    0.24
    """
    # One draw per use from one stream: a longer transmission has the same noise at its beginning.
    noise_variance = (1.0 / snr).unsqueeze(-1).expand(symbols.shape).to(symbols.real.dtype)
    noise = random.complex_normal((symbols.shape[-1],), "noise").to(symbols.dtype)
    gain = gain.to(symbols.dtype)
    return Symbols(gain * symbols + noise_variance.sqrt() * noise, gain, noise_variance)
