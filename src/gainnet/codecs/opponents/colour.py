"""Pixels as luma and chroma of ten bits, and back (ITU-R BT.709, full range)."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gainnet.codecs.formats import Pixels
from gainnet.codecs.opponents.encoder import Levels

Samples = NDArray[np.uint16]
Planes = tuple[Samples, Samples, Samples]
"""Luma, blue and red difference, each [height, width], 0 to 1023."""

_TO_LUMA: Final = np.array(
    [[0.2126, 0.7152, 0.0722], [-0.2126 / 1.8556, -0.7152 / 1.8556, 0.5], [0.5, -0.7152 / 1.5748, -0.0722 / 1.5748]]
)
_TO_COLOUR: Final = np.linalg.inv(_TO_LUMA)
_MIDDLE: Final = np.array([0.0, 0.5, 0.5])
_LARGEST: Final = 1023


def to_planes(pixels: Pixels, subsampled: bool) -> Planes:
    """Planes of pixels [height, width, 3]; odd sides are made even by repeating the last row and column.

    Args:
        pixels: 8 bits.
        subsampled: chroma as means of two by two.
    """
    height, width = pixels.shape[:2]
    even = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    values = even.astype(np.float64) / 255 @ _TO_LUMA.T + _MIDDLE
    luma, blue, red = (values[..., c] for c in range(3))
    if subsampled:
        blue, red = (c.reshape(c.shape[0] // 2, 2, c.shape[1] // 2, 2).mean((1, 3)) for c in (blue, red))
    whole = [np.rint(c * _LARGEST).clip(0, _LARGEST).astype("<u2") for c in (luma, blue, red)]
    return whole[0], whole[1], whole[2]


def from_planes(planes: Planes, shape: tuple[int, int]) -> Levels:
    """[height, width, 3], colours of planes, 0 to 255; chroma is enlarged to the size of luma, bicubically.

    >>> grey = np.full((2, 2, 3), 77, np.uint8)
    >>> int(from_planes(to_planes(grey, True), (2, 2))[0, 0, 0].round())
    77
    """
    size = (planes[0].shape[1], planes[0].shape[0])
    values = [plane.astype(np.float32) / _LARGEST for plane in planes]
    same = [
        np.asarray(Image.fromarray(value).resize(size, Image.Resampling.BICUBIC))
        if value.shape != size[::-1]
        else value
        for value in values
    ]
    levels: Levels = (255 * (np.stack(same, -1) - _MIDDLE) @ _TO_COLOUR.T).astype(np.float32)
    return levels[: shape[0], : shape[1]].clip(0.0, 255.0)


def chroma_shape(shape: tuple[int, int], subsampled: bool) -> tuple[int, int]:
    """Height and width of a plane of chroma for pixels of `shape`.

    >>> chroma_shape((5, 8), True)
    (3, 4)
    """
    height, width = -(-shape[0] // 2), -(-shape[1] // 2)
    return (height, width) if subsampled else (2 * height, 2 * width)
