"""What an edge can send instead of a picture: an interpretable sketch of it, finished by whoever receives it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from torch import Tensor
from torch.nn import functional

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.types import Spec, Tensors
from gainnet.models.part import Role

EDGE_THRESHOLD = 0.12
"""Difference of neighbouring values in [0, 1] that is an edge; chosen on drawn scenes, whose outlines it keeps."""


@final
@dataclass(frozen=True)
class PictureSketch:
    """The picture at low resolution: the mean over squares of pixels.

    image [*batch, 3, H, W] in [0, 1] --> sketch [*batch, 3, H / factor, W / factor] in [0, 1]

    Args:
        image: shape of the picture; a region's where an edge sketches a region.
        factor: pixels of the picture per pixel of the sketch, along one side.

    Raises:
        ConfigError: the factor does not divide the picture.

    >>> PictureSketch(Spec((3, 128, 128))).writes
    {'sketch': Spec(shape=(3, 16, 16))}
    """

    image: Spec
    factor: int = 8
    name: str = "picture sketch"
    role: Role = "other"
    reads: tuple[str, ...] = ("image",)
    num_passes: int = 1
    flops: float = 0.0
    memory_bytes: float = 0.0

    def __post_init__(self) -> None:
        _check_factor(self.image, self.factor)

    @property
    def writes(self) -> Mapping[str, Spec]:
        channels, height, width = self.image.shape
        return {"sketch": Spec((channels, height // self.factor, width // self.factor))}

    def __call__(self, tensors: Tensors, random: Random) -> Tensors:
        return {"sketch": self.observe(tensors["image"])}

    def observe(self, image: Tensor) -> Tensor:
        """[..., 3, h, w], the sketch of pictures [..., 3, H, W]; differentiable."""
        return shrink(image, self.factor)


@final
@dataclass(frozen=True)
class EdgeSketch:
    """Where a picture has outlines: pixels whose neighbour to the right or below differs in any colour.

    image [*batch, 3, H, W] in [0, 1] --> sketch [*batch, 1, H / factor, W / factor], 0 or 1

    Args:
        image: shape of the picture.
        factor: pixels of the picture per pixel of the sketch, along one side.
        threshold: difference of two neighbouring pixels of the small picture that is an edge.

    Raises:
        ConfigError: the factor does not divide the picture.

    >>> EdgeSketch(Spec((3, 128, 128))).writes
    {'sketch': Spec(shape=(1, 64, 64))}
    """

    image: Spec
    factor: int = 2
    threshold: float = EDGE_THRESHOLD
    name: str = "edge sketch"
    role: Role = "other"
    reads: tuple[str, ...] = ("image",)
    num_passes: int = 1
    flops: float = 0.0
    memory_bytes: float = 0.0

    def __post_init__(self) -> None:
        _check_factor(self.image, self.factor)

    @property
    def writes(self) -> Mapping[str, Spec]:
        _, height, width = self.image.shape
        return {"sketch": Spec((1, height // self.factor, width // self.factor))}

    def __call__(self, tensors: Tensors, random: Random) -> Tensors:
        return {"sketch": (contrast(shrink(tensors["image"], self.factor)) > self.threshold).to(tensors["image"].dtype)}


def shrink(image: Tensor, factor: int) -> Tensor:
    """[..., c, H / factor, W / factor], means over squares of [..., c, H, W]."""
    flat = image.reshape(-1, *image.shape[-3:])
    small: Tensor = functional.avg_pool2d(flat, factor)
    return small.reshape(*image.shape[:-3], *small.shape[1:])


def enlarge(sketch: Tensor, factor: int) -> Tensor:
    """[..., c, h * factor, w * factor], bicubic between the pixels of [..., c, h, w]; may leave [0, 1] a little."""
    flat = sketch.reshape(-1, *sketch.shape[-3:])
    large: Tensor = functional.interpolate(flat, scale_factor=factor, mode="bicubic", align_corners=False)
    return large.reshape(*sketch.shape[:-3], *large.shape[1:])


def contrast(image: Tensor) -> Tensor:
    """[..., 1, H, W], largest difference in any colour to the neighbour on the right or below; 0 past the border."""
    right = functional.pad(image.diff(dim=-1).abs(), (0, 1))
    below = functional.pad(image.diff(dim=-2).abs(), (0, 0, 0, 1))
    return right.maximum(below).amax(-3, keepdim=True)


def _check_factor(image: Spec, factor: int) -> None:
    if factor < 1 or any(side % factor for side in image.shape[-2:]):
        raise ConfigError(f"factor: {factor} does not divide a picture of shape {image.shape}")
