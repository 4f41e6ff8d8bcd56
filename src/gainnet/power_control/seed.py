"""A seed whose blocks matter less and less: principal components in order, each at unit power."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from gainnet.codecs import SeedBasis
from gainnet.codecs.raw import batch_of
from gainnet.core.errors import ConfigError
from gainnet.core.types import Payload, Size, Spec, Symbols


@final
@dataclass(frozen=True)
class NestedSeed:
    r"""Principal components by decreasing variance, whitened, two per complex symbol.

    latent --> [ PCA ] --> [ / standard deviation ] --> symbols --> [ MMSE per symbol, scaled, PCA back ] --> latent

    Every symbol has unit power, so that who sends decides on power alone. The squared error of a block at the received
    SNR $p g \gamma$ is its share of the variance over $1 + p g \gamma$, exactly.

    Args:
        basis: principal components of the model's latents.
        num_channel_uses: complex symbols per item, 1 to half the number of components.
        num_alike: blocks that pairs of components are dealt to in turn, so that these matter nearly alike; 1 keeps the
            order of importance.

    Raises:
        ConfigError: there are fewer components, or symbols do not divide into the blocks.
    """

    basis: SeedBasis
    num_channel_uses: int
    num_alike: int = 1
    emits: ClassVar[type[Payload]] = Symbols

    def __post_init__(self) -> None:
        if not 1 <= 2 * self.num_channel_uses <= self.basis.num_values:
            raise ConfigError(
                f"num_channel_uses: {self.num_channel_uses} is outside 1 to {self.basis.num_values // 2}; "
                "a symbol holds two components"
            )
        if self.num_alike < 1 or self.num_channel_uses % self.num_alike:
            raise ConfigError(f"num_alike: {self.num_channel_uses} symbols do not divide into {self.num_alike} blocks")

    def size(self, spec: Spec) -> Size:
        self.basis.check(spec, "nested")
        return Size.fixed(self.num_channel_uses)

    def encode(self, x: Tensor, reported_snr: Tensor) -> Symbols:
        components = self.basis.analyse(x, batch_of(x, reported_snr))[..., : 2 * self.num_channel_uses]
        # Two real entries of unit power make a symbol of power two.
        pairs = (components / self._deviations() / 2**0.5).unflatten(-1, (-1, 2))
        symbols = torch.view_as_complex(pairs.contiguous())
        return Symbols.clean(symbols.unflatten(-1, (-1, self.num_alike)).transpose(-1, -2).flatten(-2), reported_snr)

    def decode(self, payload: Symbols, spec: Spec) -> Tensor:
        self.basis.check(spec, "nested")
        symbols = payload.mmse().unflatten(-1, (self.num_alike, -1)).transpose(-1, -2).flatten(-2)
        entries = torch.view_as_real(symbols.contiguous()).flatten(-2) * 2**0.5
        return self.basis.synthesise(entries * self._deviations(), spec)

    def importance(self, num_blocks: int) -> tuple[float, ...]:
        """Share of the variance that is sent in each of equal blocks when they are in order, of mean 1.

        Raises:
            ConfigError: symbols do not divide into so many blocks.
        """
        if self.num_channel_uses % num_blocks:
            raise ConfigError(f"num_blocks: {self.num_channel_uses} symbols do not divide into {num_blocks} blocks")
        sums = self.basis.variances[: 2 * self.num_channel_uses].double().reshape(num_blocks, -1).sum(-1)
        return tuple((sums / sums.mean()).tolist())

    def _deviations(self) -> Tensor:
        return self.basis.variances[: 2 * self.num_channel_uses].sqrt()
