"""Sketches, which an edge can send instead of a picture: small pictures and outlines, completed by the receiver."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.types import Spec, Tensors
from gainnet.models.part import TensorMap

EDGE_THRESHOLD = 0.12
"""Difference of neighbouring values in [0, 1] that is an edge; chosen on drawn scenes, whose outlines it keeps."""


def picture_sketch(image: Spec, factor: int = 8) -> TensorMap:
    """The picture at low resolution: the mean over squares of pixels; differentiable.

    image [*batch, 3, H, W] in [0, 1] --> sketch [*batch, 3, H / factor, W / factor] in [0, 1]

    Args:
        image: shape of the picture; a region's where an edge sketches a region.
        factor: pixels of the picture per pixel of the sketch, along one side.

    Raises:
        ConfigError: the factor does not divide the picture.

    >>> picture_sketch(Spec((3, 128, 128))).writes
    {'sketch': Spec(shape=(3, 16, 16))}
    """
    writes = {"sketch": _small(image, factor, image.shape[0])}
    return TensorMap("picture sketch", ("image",), writes, lambda x, _: {"sketch": shrink(x["image"], factor)})


def edge_sketch(image: Spec, factor: int = 2, threshold: float = EDGE_THRESHOLD) -> TensorMap:
    """The outlines of a picture: pixels whose neighbour to the right or below differs in any colour.

    image [*batch, 3, H, W] in [0, 1] --> sketch [*batch, 1, H / factor, W / factor], 0 or 1

    Args:
        image: shape of the picture.
        factor: pixels of the picture per pixel of the sketch, along one side.
        threshold: difference of two neighbouring pixels of the small picture that is an edge.

    Raises:
        ConfigError: the factor does not divide the picture.

    >>> edge_sketch(Spec((3, 128, 128))).writes
    {'sketch': Spec(shape=(1, 64, 64))}
    """

    def outlined(tensors: Tensors, random: Random) -> Tensors:
        picture = tensors["image"]
        return {"sketch": (contrast(shrink(picture, factor)) > threshold).to(picture.dtype)}

    return TensorMap("edge sketch", ("image",), {"sketch": _small(image, factor, 1)}, outlined)


def sketch_factor(image: Spec, sketch: Spec) -> int:
    """Pixels of a picture per pixel of its sketch, along one side."""
    return image.shape[-1] // sketch.shape[-1]


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


def _small(image: Spec, factor: int, num_channels: int) -> Spec:
    _, height, width = image.shape
    if factor < 1 or height % factor or width % factor:
        raise ConfigError(f"factor: {factor} does not divide a picture of shape {image.shape}")
    return Spec((num_channels, height // factor, width // factor))
