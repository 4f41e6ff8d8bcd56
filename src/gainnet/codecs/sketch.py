"""Codecs of small pictures that are finished elsewhere: as quantised cosines, and as symbols."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, final

import torch
from torch import Tensor

from gainnet.codecs.basis import SeedBasis
from gainnet.codecs.content import check_uses
from gainnet.codecs.digital_seed import QuantizedSeed
from gainnet.codecs.raw import RawAnalog, check_budget, picture_shape
from gainnet.codecs.tables import CLASSES_PER_OCTAVE, scale_class
from gainnet.core.types import Bits, Payload, Size, Spec, Symbols

BITS_PER_VALUE = 1.5
LARGEST_SIDE = 64
COLOUR_AXES = ((1.0, 1.0, 1.0), (1.0, 0.0, -1.0), (1.0, -2.0, 1.0))
AXIS_DEVIATIONS = (0.75, 0.53, 0.30)
DC_FACTOR = 7.0
CORNER = 16.0
STEEPNESS = (17, 20)
"""Deviations of the cosines of 16x16 pictures follow s / (1 + (i^2 + j^2) / 16)^(17/20), the mean value 7 s; fitted
to the small pictures of 2,000 drawn scenes."""

GREY, DEVIATION = 0.5, 0.276
"""Level that stands for nothing, and root mean square of what small pictures of drawn scenes differ from it."""

LEVELS = 16.0
"""Values are multiplied by this, so that the steps of the coder run from 1/4 to 1/1000 of the whole range."""


@final
@dataclass(frozen=True)
class QuantizedSketch:
    """A small picture as quantised cosines in an entropy-coded stream.

    sketch [3, h, w] --> [ colour axes, DCT ] --> [ / step, rate-distortion choice ] --> [ tables, check sum ] --> bits

    The same coder as `QuantizedSeed`, over cosines instead of principal components, so that it fits every size. The
    tables expect a law of their deviations that two rational numbers describe, so no weights are needed. An item that
    did not arrive, or that fits at no step, becomes grey.

    Args:
        max_bits: most bits of one item, which is filled; `None` for 1.5 bits per value.

    Raises:
        ConfigError: `max_bits` is negative.

    >>> codec, grey = QuantizedSketch(), torch.full((1, 3, 16, 16), 0.25)
    >>> codec.size(Spec((3, 16, 16))).upper
    1152
    >>> bool((codec.decode(codec.encode(grey, torch.ones(1)), Spec((3, 16, 16))) - grey).abs().max() < 0.01)
    True
    """

    max_bits: float | None = None
    emits: ClassVar[type[Payload]] = Bits

    def __post_init__(self) -> None:
        check_budget(self.max_bits)

    def size(self, spec: Spec) -> Size:
        return self._coder(spec).size(Spec((spec.num_values,)))

    def encode(self, x: Tensor, reported_snr: Tensor) -> Bits:
        spec = Spec(tuple(x.shape[reported_snr.dim() :]))
        # The steps of the coder run from 4 to 1/60, wider than the range of a pixel; scaled by 16 they fit it.
        return self._coder(spec).encode(LEVELS * x, reported_snr)

    def decode(self, payload: Bits, spec: Spec) -> Tensor:
        levels = self._coder(spec).decode(payload, Spec((spec.num_values,)))
        return (levels / LEVELS).clamp(0.0, 1.0).reshape(*payload.batch, *spec.shape)

    def _coder(self, spec: Spec) -> QuantizedSeed:
        max_bits = BITS_PER_VALUE * spec.num_values if self.max_bits is None else self.max_bits
        return QuantizedSeed(max_bits=max_bits, basis=cosine_basis(picture_shape(spec, 3, "quantized", LARGEST_SIDE)))


@final
@dataclass(frozen=True)
class AnalogSketch:
    """A small picture as symbols, two values each, after its mean level of one half is taken away; differentiable.

    sketch [3, h, w] --> [ - 1/2, / 0.276 ] --> symbols --> [ MMSE ] --> sketch in [0, 1]

    Args:
        num_channel_uses: complex symbols per item; `None` for one per two values, a whole multiple repeats them.

    >>> AnalogSketch().size(Spec((3, 16, 16))).upper
    384
    """

    num_channel_uses: int | None = None
    emits: ClassVar[type[Payload]] = Symbols

    def __post_init__(self) -> None:
        check_uses(self.num_channel_uses)

    def size(self, spec: Spec) -> Size:
        picture_shape(spec, 3, "analog", LARGEST_SIDE)
        return self._coder.size(spec)

    def encode(self, x: Tensor, reported_snr: Tensor) -> Symbols:
        return self._coder.encode(x - GREY, reported_snr)

    def decode(self, payload: Symbols, spec: Spec) -> Tensor:
        return (self._coder.decode(payload, spec) + GREY).clamp(0.0, 1.0)

    @property
    def _coder(self) -> RawAnalog:
        return RawAnalog(self.num_channel_uses, scale=DEVIATION)


@lru_cache(maxsize=8)
def cosine_basis(shape: tuple[int, int]) -> SeedBasis:
    """Orthonormal colour axes and cosines of a picture [3, *shape], with the deviations that small pictures have.

    >>> basis = cosine_basis((4, 2)).basis
    >>> bool(torch.allclose(basis.T @ basis, torch.eye(24), atol=1e-6))
    True
    """
    # Brightness and two colour differences, nearly the principal axes of the colours of drawn scenes.
    axes = torch.tensor(COLOUR_AXES, dtype=torch.float64)
    axes = axes / axes.norm(dim=1, keepdim=True)
    rows, columns = (_cosines(side) for side in shape)
    basis = torch.einsum("dc,ki,lj->dklcij", axes, rows, columns).reshape(3 * shape[0] * shape[1], -1)
    classes = [_scale_class(axis, i, j, shape) for axis in range(3) for i in range(shape[0]) for j in range(shape[1])]
    # Python's sort is stable, so equal classes come in the same order at both ends.
    order = sorted(range(len(classes)), key=lambda k: -classes[k])
    ordered = tuple(classes[k] for k in order)
    variances = torch.tensor([2.0 ** (c / CLASSES_PER_OCTAVE * 2) for c in ordered])
    return SeedBasis(
        torch.full((len(order),), LEVELS * GREY), basis[order].T.float().contiguous(), variances, ordered, ""
    )


def _cosines(side: int) -> Tensor:
    """[side, side], rows are the orthonormal cosines of the DCT-II."""
    k, x = torch.meshgrid(*(torch.arange(side, dtype=torch.float64),) * 2, indexing="ij")
    cosines = torch.cos(math.pi / side * k * (x + 0.5)) * math.sqrt(2 / side)
    return torch.cat([cosines[:1] / math.sqrt(2), cosines[1:]])


def _scale_class(axis: int, i: int, j: int, shape: tuple[int, int]) -> int:
    """Eighths of an octave of a cosine's deviation, by exact arithmetic, so that both ends take the same table."""
    height, width = shape
    size = scale_class(height * width / 256.0)
    level = scale_class(LEVELS * AXIS_DEVIATIONS[axis] * (DC_FACTOR if i == j == 0 else 1.0)) + (size - size % 2) // 2
    # Products of doubles, not powers: pow may differ between C libraries.
    squared = (16.0 * i / height) * (16.0 * i / height) + (16.0 * j / width) * (16.0 * j / width)
    numerator, denominator = STEEPNESS
    # Integer arithmetic, rounded half up, as a class must not depend on the machine.
    return level - (numerator * scale_class(1.0 + squared / CORNER) + denominator // 2) // denominator
