"""Picture codecs of today's systems, through Pillow: the opponents of mobile edge generation."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any, ClassVar, cast, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gainnet.codecs import formats
from gainnet.codecs.formats import Format, Pixels, Setting
from gainnet.codecs.raw import batch_of, check_budget, decode_items, picture_shape
from gainnet.core.errors import ConfigError, check_range
from gainnet.core.types import Bits, Payload, Size, Spec


@final
@dataclass(frozen=True)
class PictureCodec:
    """A picture in one file format without its container; `JPEG`, `WebP`, `AVIF` and `PNG` are made of it.

    Args:
        quality: of every picture when `max_bits` is `None`, 0 to `format.best_quality`.
        max_bits: most bits of one picture; then the best setting that fits, at full, 1/2 or 1/4 resolution.
        format: the file format and its settings.

    >>> picture = torch.full((1, 3, 16, 16), 0.2)
    >>> codec = JPEG(quality=50)
    >>> bool((codec.decode(codec.encode(picture, torch.ones(1)), Spec((3, 16, 16))) - picture).abs().max() < 0.01)
    True
    """

    quality: int = 75
    max_bits: float | None = None
    format: Format = field(kw_only=True)
    emits: ClassVar[type[Payload]] = Bits

    def __post_init__(self) -> None:
        best = self.format.best_quality
        check_range(0 <= self.quality <= best, "quality", self.quality, f"0 to {best}")
        check_budget(self.max_bits)

    def size(self, spec: Spec) -> Size:
        """Bits of one picture [3, height, width]; the expected value was measured on renders of the scenes data set."""
        height, width = picture_shape(spec, 3, self.format.name)
        raw = 8 * (1 + 3 * height * width)
        upper = raw if self.max_bits is None else 8 * int(min(self.max_bits, raw) // 8)
        expected = expected_bits(self.format.name, height * width, self.quality, self.max_bits)
        return Size(min(expected, upper), upper)

    def encode(self, x: Tensor, reported_snr: Tensor) -> Bits:
        batch = batch_of(x, reported_snr)
        picture_shape(Spec(tuple(x.shape[len(batch) :])), 3, self.format.name)
        if not bool(torch.isfinite(x).all()):
            raise ConfigError("image: holds a value that is not finite")
        # One after the other, since copies of a whole batch would take several times its memory.
        pictures = map(_levels, x.detach().reshape(-1, *x.shape[-3:]))
        if self.max_bits is None:
            return Bits(tuple(_shortest(picture, self._settings()) for picture in pictures), batch)
        return Bits(tuple(_best_that_fits(picture, self._settings(), self.max_bits) for picture in pictures), batch)

    def decode(self, payload: Bits, spec: Spec) -> Tensor:
        shape, settings = picture_shape(spec, 3, self.format.name), self._settings()

        def read(string: bytes) -> NDArray[np.float32]:
            return formats.decode_picture(string, shape, settings).astype(np.float32) / np.float32(255)

        # Pillow has the colours of a pixel side by side, tensors have colours first; a lost picture is mid grey.
        return decode_items(payload, Spec((*shape, 3)), read, lost=0.5).movedim(-1, -3)

    def _settings(self) -> tuple[Setting, ...]:
        """The table that the first byte of a string points into."""
        return _table(self.format, self.quality if self.max_bits is None else None)


JPEG = partial(PictureCodec, format=formats.JPEG_FORMAT)
"""Baseline JPEG, with standard or own Huffman tables, whichever is shorter."""

WebP = partial(PictureCodec, format=formats.WEBP_FORMAT)
"""Lossy WebP with the slowest search."""

AVIF = partial(PictureCodec, format=formats.AVIF_FORMAT)
"""AVIF (AV1 still pictures); the sequence header is not sent either."""

PNG = partial(PictureCodec, quality=formats.PNG_TRUE_COLOUR, format=formats.PNG_FORMAT)
"""PNG: lossless pixels of 8 bits; with `max_bits` fewer colours where they have to be."""


@lru_cache(maxsize=64)
def _table(form: Format, quality: int | None) -> tuple[Setting, ...]:
    modes, qualities = form.modes, form.qualities
    if quality is not None:
        modes, qualities = modes[: form.num_fixed_modes], (quality,)
    return tuple(Setting(form, quality, mode) for mode in modes for quality in qualities)


def _shortest(picture: Pixels, settings: Sequence[Setting]) -> bytes:
    """The picture at the fixed quality, or its pixels if they take less."""
    coded = (_at(picture, settings, index) for index in range(len(settings)))
    # Small or noisy pictures can be longer as a file than as plain pixels.
    return min([*coded, _raw(picture)], key=len)


def _levels(x: Tensor) -> Pixels:
    """[height, width, 3], eight bits per value of a picture [3, height, width] in [0, 1]."""
    # Every codec starts from the same pixels, and PNG is exact for them.
    return (x.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().cpu().numpy()


def _best_that_fits(picture: Pixels, settings: tuple[Setting, ...], max_bits: float) -> bytes | None:
    """The string with the least squared error among those that keep the budget."""
    strings = [_one_colour(picture), _raw(picture), *_largest_per_mode(picture, settings, max_bits)]
    fitting = [string for string in strings if 8 * len(string) <= max_bits]
    return min(fitting, key=lambda string: _error(string, picture, settings), default=None)


def _largest_per_mode(picture: Pixels, settings: Sequence[Setting], max_bits: float) -> Iterator[bytes]:
    """For every mode the string of the highest quality that fits, by bisection: files grow with quality."""
    num_qualities = len(settings[0].format.qualities)
    for offset in range(0, len(settings), num_qualities):
        low, high = -1, num_qualities
        while high - low > 1:
            middle = (low + high) // 2
            fits = 8 * len(_at(picture, settings, offset + middle)) <= max_bits
            low, high = (middle, high) if fits else (low, middle)
        if low >= 0:
            yield _at(picture, settings, offset + low)


def _at(picture: Pixels, settings: Sequence[Setting], index: int) -> bytes:
    height, width = picture.shape[:2]
    return formats.encode_picture(picture.tobytes(), (height, width), settings[index], index)


def _error(string: bytes, picture: Pixels, settings: tuple[Setting, ...]) -> float:
    height, width = picture.shape[:2]
    decoded = formats.decode_picture(string, (height, width), settings)
    return float(np.square(decoded.astype(np.float32) - picture).mean())


def _one_colour(picture: Pixels) -> bytes:
    return bytes([formats.FLAT, *np.rint(picture.reshape(-1, 3).mean(0)).astype(int).tolist()])


def _raw(picture: Pixels) -> bytes:
    return bytes([formats.RAW]) + picture.tobytes()


NUM_PIXELS = 128 * 128
"""Pixels of the pictures that were measured."""


def expected_bits(name: str, num_pixels: int, quality: int, max_bits: float | None) -> float:
    """Mean bits of a picture, from `image_sizes.json` (`benchmarks/codecs.py --image-sizes` measures it).

    Bits per pixel and budget per pixel are taken as those of the measured size of picture.

    Args:
        name: Pillow's name of the format.
        num_pixels: of one picture.
        quality: of every picture when `max_bits` is `None`.
        max_bits: budget of one picture.

    >>> expected_bits("WEBP", NUM_PIXELS, 75, 31.0)
    0.0
    """
    table = _tables()[name]
    share = num_pixels / NUM_PIXELS
    if max_bits is None:
        return share * _interpolate(table["quality"], quality)
    if max_bits < 32:
        return 0.0
    largest = table["max_bits"][-1][0]
    return share * _interpolate(table["max_bits"], min(max_bits / share, largest))


def _interpolate(points: list[list[float]], x: float) -> float:
    """Linear in the logarithms of the bits."""
    return math.exp(float(np.interp(x, [p for p, _ in points], [math.log(bits) for _, bits in points])))


@cache
def _tables() -> dict[str, Any]:
    return cast(dict[str, Any], json.loads((Path(__file__).parent / "image_sizes.json").read_text()))
