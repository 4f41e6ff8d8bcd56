"""A latent as symbols that arrives together with how noisy it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from gainnet.codecs.components import root_mean_square
from gainnet.codecs.content import Content
from gainnet.codecs.raw import RawAnalog, batch_of, combine
from gainnet.core.errors import ConfigError
from gainnet.core.types import Payload, Size, Spec, Symbols

SMALLEST_GAIN = 1e-6
"""Squared gain below which a symbol counts as lost: its noise is then a million times its power."""


@final
@dataclass(frozen=True)
class MatchedSeed:
    r"""Two values per complex symbol; the receiver does not shrink them, but says the variance of their noise.

    handed [n + 1] --> [ the first n, raw ] --> symbols --> [ y / h ] --> n values, and their noise variance last

    The last entry is not sent: the receiver puts the noise variance $a^2 \sigma^2 / |h|^2$ there, which it knows
    as it knows the channel. What resumes a diffusion from a noisy latent has to know it; a receiver that shrinks
    towards zero, as `RawAnalog` does, would destroy what the noise level means. Under fading over several blocks the
    mean over the symbols is given, which is an approximation, since the noise is then not white.

    Args:
        scale: root mean square $a$ of the values, > 0; by default as that of `RawAnalog`.

    >>> codec, x = MatchedSeed(), torch.tensor([[1.0, -1.0, 0.0]])
    >>> sent = codec.encode(x, torch.ones(1))
    >>> noisy = Symbols(sent.values, sent.gain, sent.noise_variance + 0.5)
    >>> codec.decode(noisy, Spec((3,)))
    tensor([[ 1.0000, -1.0000,  0.5000]])
    """

    scale: float | None = None
    emits: ClassVar[type[Payload]] = Symbols

    def __post_init__(self) -> None:
        self._raw.size(Spec((2,)))

    def bound(self, content: Content) -> MatchedSeed:
        """The code at unit power for these latents."""
        return MatchedSeed(root_mean_square(content) if self.scale is None else self.scale)

    def size(self, spec: Spec) -> Size:
        """Symbols per item.

        Raises:
            ConfigError: the tensor is not flat or has no values beside the noise variance.
        """
        if len(spec.shape) != 1 or spec.num_values < 2:
            raise ConfigError(f"matched: carries a flat latent and its noise variance, not shape {spec.shape}")
        return self._raw.size(Spec((spec.num_values - 1,)))

    def encode(self, x: Tensor, reported_snr: Tensor) -> Symbols:
        return self._raw.encode(x.reshape(*batch_of(x, reported_snr), -1)[..., :-1], reported_snr)

    def decode(self, payload: Symbols, spec: Spec) -> Tensor:
        num_values = spec.num_values - 1
        symbols = combine(payload, int(self._raw.size(Spec((num_values,))).upper))
        # A faded symbol divided by its gain has huge noise; a floor keeps it finite, and its noise variance says so.
        power = symbols.gain.abs().square().clamp_min(SMALLEST_GAIN)
        # Zero forcing, y / h = conj(h) y / |h|^2: unbiased, as a noise level is only defined for signal plus noise.
        pairs = symbols.gain.conj() * symbols.values / power * (2**0.5 * self._scale)
        values = torch.view_as_real(pairs).flatten(-2)[..., :num_values]
        noise = self._scale**2 * (symbols.noise_variance / power).mean(-1, keepdim=True)
        return torch.cat([values, noise.to(values)], dim=-1)

    @property
    def _scale(self) -> float:
        return 1.0 if self.scale is None else self.scale

    @property
    def _raw(self) -> RawAnalog:
        return RawAnalog(scale=self.scale)
