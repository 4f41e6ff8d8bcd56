"""Secret draws of privacy: Gaussian noise and samples from the kernel's entropy, and a mode for tests that repeats."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import ClassVar, Protocol, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gainnet.core.errors import ConfigError, import_extra
from gainnet.core.randomness import Random
from gainnet.learning.algorithms.algorithm import State

GRID_BITS = 36
"""Released sums are multiples of a power of two at most $2^{-36}$ of the noise's standard deviation."""


class Noise(Protocol):
    """Where secret draws come from."""

    @property
    def private(self) -> bool:
        """Whether nobody can draw the same again."""

    def noised(self, totals: State, std: float, random: Random, dtype: torch.dtype) -> dict[str, Tensor]:
        """Sums with Gaussian noise on every value, by name, in their shapes.

        Args:
            totals: [*shape] by name, what is hidden.
            std: standard deviation of the noise, >= 0.
            random: streams of the draw, where it repeats.
            dtype: of the draw, where it repeats.
        """

    def sample(self, count: int, rate: float, random: Random) -> Tensor:
        """[count] bool, each true with a probability of its own: Poisson sampling. Streams as of `noised`."""


@final
@dataclass(frozen=True)
class Entropy:
    r"""Draws that nobody can repeat: a key of 32 bytes of the kernel for every draw, expanded by ChaCha20 (RFC 8439).

    $\tilde x = g\,(\lfloor x / g \rceil + \lfloor \sigma \sqrt{-2 \ln u} \cos 2 \pi v \,/ g \rceil)$ with 64 random
    bits each for $u$ and $v$ (Box and Muller 1958), and a grid $g$: the low bits of floating-point noise would tell
    the sum apart (Mironov 2012), multiples of $g$ do not depend on it. Normal values reach 9.4 deviations.
    """

    private: ClassVar[bool] = True

    def noised(self, totals: State, std: float, random: Random, dtype: torch.dtype) -> dict[str, Tensor]:
        """[*shape] float64 by name, as `Noise.noised`.

        Raises:
            ConfigError: a sum is so much larger than the noise that the grid does not hold it.

        >>> Entropy().noised({"a": torch.zeros(3)}, 1.0, Random.of(0), torch.float32)["a"].dtype
        torch.float64
        """
        if std == 0.0:
            return {name: x.double() for name, x in totals.items()}
        # All values at once: a draw has costs of its own, and models have a hundred small tensors.
        flat = torch.cat([x.double().reshape(-1) for x in totals.values()])
        grid = 2.0 ** (math.floor(math.log2(std)) - GRID_BITS)
        steps = (flat / grid).round()
        # Up to 2^53 integers in double precision are exact, so that their sum is the sum and rounds nothing.
        if not bool((steps.abs() < 2.0**52).all()):
            raise ConfigError("clip_norm: a sum is not finite or 32,000 times its noise; give fewer clients a round")
        noisy = (steps + (torch.from_numpy(_normal(len(flat))) * (std / grid)).round()) * grid
        parts = noisy.split([x.numel() for x in totals.values()])
        return {name: part.reshape(x.shape) for part, (name, x) in zip(parts, totals.items(), strict=True)}

    def sample(self, count: int, rate: float, random: Random) -> Tensor:
        """[count] bool, as `Noise.sample`."""
        return torch.from_numpy((_words(count) >> np.uint64(11)) * 2.0**-53 < rate)


@final
@dataclass(frozen=True)
class Seeded:
    """Draws from the random seed of the run, for tests and simulations that repeat: whoever knows it can undo them."""

    private: ClassVar[bool] = False

    def noised(self, totals: State, std: float, random: Random, dtype: torch.dtype) -> dict[str, Tensor]:
        """[*shape] float64 by name, as `Noise.noised`."""
        kind = np.float64 if dtype == torch.float64 else np.float32

        def drawn(name: str, x: Tensor) -> Tensor:
            return torch.from_numpy(np.asarray(random.generators(name)[0].standard_normal(tuple(x.shape), dtype=kind)))

        return {name: x.double() + std * drawn(name, x).double() for name, x in totals.items()}

    def sample(self, count: int, rate: float, random: Random) -> Tensor:
        """[count] bool, as `Noise.sample`."""
        return torch.from_numpy(random.generators("rows")[0].random(count) < rate)


def _words(count: int) -> NDArray[np.uint64]:
    """[count], words of 64 secret bits."""
    ciphers = import_extra("cryptography.hazmat.primitives.ciphers", "cryptography", "privacy")
    # A key per draw: no state is kept that a fork of the process or a copy of its memory could use again.
    key, nonce = os.urandom(32), os.urandom(16)
    stream = ciphers.Cipher(ciphers.algorithms.ChaCha20(key, nonce), mode=None).encryptor()
    return np.frombuffer(stream.update(bytes(8 * count)), "<u8")


def _normal(count: int) -> NDArray[np.float64]:
    """[count], standard normal."""
    pairs = (count + 1) // 2
    words = _words(2 * pairs).astype(np.float64)
    # One is added, since the logarithm of zero is infinite; the smallest u is 2^-64.
    radius = np.sqrt(-2.0 * np.log((words[:pairs] + 1.0) * 2.0**-64))
    angle = words[pairs:] * (2.0 * math.pi * 2.0**-64)
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]
