"""Encoders of still pictures, and the resolutions at which they are tried."""

from __future__ import annotations

import hashlib
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gainnet.codecs.formats import Pixels, scaled

Levels = NDArray[np.float32]
"""[height, width, 3], decoded colours on the scale of 8 bits, 0 to 255, not rounded."""

SCALES: Final = (1, 2, 4)
"""A picture is coded at 1/scale of its width and height, and enlarged by the receiver."""

UPSAMPLERS: Final = {
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "bilinear": Image.Resampling.BILINEAR,
    "nearest": Image.Resampling.NEAREST,
}
"""How a receiver enlarges; the sender tries all of them and names the best."""


class StillEncoder(Protocol):
    """A picture codec at one choice of its options; the quantiser alone is free."""

    @property
    def name(self) -> str:
        """Of the codec, such as `vvc`; several encoders may share it."""

    @property
    def version(self) -> str:
        """Of the library or program that encodes."""

    @property
    def command(self) -> str:
        """The call that encodes, with a placeholder for the quantiser."""

    @property
    def quantisers(self) -> tuple[int, ...]:
        """Those to try, from the smallest file to the largest."""

    def encode(self, pixels: Pixels, quantiser: int) -> bytes | None:
        """The bare stream of pixels [height, width, 3]: without anything that a receiver can make from its size.

        `None` where the encoder cannot code this size, or makes a file that the bare stream does not give back.

        Raises:
            MissingExtraError: what encodes is not installed.
        """

    def decode(self, stream: bytes, shape: tuple[int, int]) -> Levels:
        """[height, width, 3], the picture of a bare stream.

        Args:
            stream: as `encode` made it.
            shape: height and width.

        Raises:
            PayloadError: the stream is corrupt.
        """


def identity(encoder: StillEncoder) -> str:
    """SHA-256 of name, version and command: streams of another encoder are other streams."""
    return hashlib.sha256("\n".join((encoder.name, encoder.version, encoder.command)).encode()).hexdigest()


def shrink(pixels: Pixels, scale: int) -> Pixels:
    """[ceil(height / scale), ceil(width / scale), 3], the picture at 1/scale of its size."""
    if scale == 1:
        return pixels
    height, width = scaled((pixels.shape[0], pixels.shape[1]), scale)
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))


def enlarge(levels: Levels, shape: tuple[int, int], upsampler: str) -> Levels:
    """[height, width, 3], levels [h, w, 3] at full size, clipped to 0 to 255."""
    if levels.shape[:2] != shape:
        resample, size = UPSAMPLERS[upsampler], (shape[1], shape[0])
        # Channel by channel as floats: rounding to 8 bits first would add an error of its own.
        channels = [Image.fromarray(np.ascontiguousarray(levels[..., c])).resize(size, resample) for c in range(3)]
        levels = np.stack([np.asarray(channel) for channel in channels], -1)
    return levels.clip(0.0, 255.0)
