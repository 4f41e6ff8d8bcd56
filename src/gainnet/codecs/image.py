"""Picture codecs of today's systems, through Pillow: the opponents of mobile edge generation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor

from gainnet.codecs.formats import (
    AVIF_FORMAT,
    FLAT,
    JPEG_FORMAT,
    PNG_FORMAT,
    PNG_TRUE_COLOUR,
    RAW,
    WEBP_FORMAT,
    Format,
    Pixels,
    Setting,
    decode_picture,
    encode_picture,
)
from gainnet.codecs.image_sizes import expected_bits
from gainnet.codecs.raw import batch_of
from gainnet.core.errors import ConfigError
from gainnet.core.types import Bits, Payload, Size, Spec


@final
@dataclass(frozen=True)
class PictureCoder:
    """The search and the byte strings that all picture codecs share.

    picture --> [ setting | file without container ] --> bits

    Args:
        format: the file format.
        quality: quality of every picture when `max_bits` is `None`.
        max_bits: most bits of one picture; every picture is coded at the setting that fits and has the least error.
    """

    format: Format
    quality: int
    max_bits: float | None

    def size(self, spec: Spec) -> Size:
        """Bits of one picture; what is expected was measured on renders of the scenes data set."""
        height, width = _picture_shape(spec, self.format.name)
        raw = 8 * (1 + 3 * height * width)
        upper = raw if self.max_bits is None else 8 * int(min(self.max_bits, raw) // 8)
        expected = expected_bits(self.format.name, height * width, self.quality, self.max_bits)
        return Size(min(expected, upper), upper)

    def encode(self, x: Tensor, reported_snr: Tensor) -> Bits:
        batch = batch_of(x, reported_snr)
        _picture_shape(Spec(tuple(x.shape[len(batch) :])), self.format.name)
        if not bool(torch.isfinite(x).all()):
            raise ConfigError("image: holds a value that is not finite")
        levels = (x.detach().reshape(-1, *x.shape[-3:]).clamp(0, 1) * 255).round().to(torch.uint8)
        pictures = levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()
        code = self._shortest if self.max_bits is None else self._best_that_fits
        return Bits(tuple(code(picture) for picture in pictures), batch)

    def decode(self, payload: Bits, spec: Spec) -> Tensor:
        shape = _picture_shape(spec, self.format.name)
        pictures = np.full((len(payload.strings), *shape, 3), 0.5, dtype=np.float32)
        for picture, string in zip(pictures, payload.strings, strict=True):
            if string is not None:
                picture[:] = decode_picture(string, shape, self._settings).astype(np.float32) / 255
        return torch.from_numpy(pictures).permute(0, 3, 1, 2).reshape(*payload.batch, *spec.shape)

    @cached_property
    def _settings(self) -> tuple[Setting, ...]:
        """The table that the first byte of a string points into."""
        modes, qualities = self.format.modes, self.format.qualities
        if self.max_bits is None:
            modes, qualities = modes[: self.format.num_fixed_modes], (self.quality,)
        return tuple(Setting(self.format, quality, mode) for mode in modes for quality in qualities)

    def _shortest(self, picture: Pixels) -> bytes:
        """The picture at the fixed quality, or its pixels if they take less."""
        coded = (self._at(picture, index) for index in range(len(self._settings)))
        return min([*coded, _raw(picture)], key=len)

    def _best_that_fits(self, picture: Pixels) -> bytes | None:
        strings = [_one_colour(picture), _raw(picture), *self._largest_per_mode(picture)]
        fitting = [string for string in strings if self._fits(string)]
        return min(fitting, key=lambda string: self._error(string, picture), default=None)

    def _largest_per_mode(self, picture: Pixels) -> Iterator[bytes]:
        """For every mode the string of the highest quality that fits, by bisection."""
        num_qualities = len(self.format.qualities)
        for offset in range(0, len(self._settings), num_qualities):
            low, high = -1, num_qualities
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if self._fits(self._at(picture, offset + middle)) else (low, middle)
            if low >= 0:
                yield self._at(picture, offset + low)

    def _at(self, picture: Pixels, index: int) -> bytes:
        height, width = picture.shape[:2]
        return encode_picture(picture.tobytes(), (height, width), self._settings[index], index)

    def _fits(self, string: bytes) -> bool:
        return self.max_bits is not None and 8 * len(string) <= self.max_bits

    def _error(self, string: bytes, picture: Pixels) -> float:
        height, width = picture.shape[:2]
        decoded = decode_picture(string, (height, width), self._settings)
        return float(np.square(decoded.astype(np.float32) - picture).mean())


def _one_colour(picture: Pixels) -> bytes:
    return bytes([FLAT, *np.rint(picture.reshape(-1, 3).mean(0)).astype(int).tolist()])


def _raw(picture: Pixels) -> bytes:
    return bytes([RAW]) + picture.tobytes()


def _picture_shape(spec: Spec, name: str) -> tuple[int, int]:
    if len(spec.shape) != 3 or spec.shape[0] != 3:
        raise ConfigError(f"{name}: needs a picture of shape (3, height, width), the tensor has {spec.shape}")
    return spec.shape[1], spec.shape[2]


def _check_fields(quality: int, largest: int, max_bits: float | None) -> None:
    if not 0 <= quality <= largest:
        raise ConfigError(f"quality: must be 0 to {largest}, not {quality}")
    if max_bits is not None and not max_bits >= 0:
        raise ConfigError(f"max_bits: must be at least 0, not {max_bits}")


@final
@dataclass(frozen=True)
class JPEG:
    """Baseline JPEG, with standard or own Huffman tables, whichever is shorter; the container is not sent.

    Args:
        quality: 0 to 95, of every picture when `max_bits` is `None`.
        max_bits: most bits of one picture; then the best setting that fits, at full, 1/2 or 1/4 resolution.

    >>> picture = torch.full((1, 3, 16, 16), 0.2)
    >>> codec = JPEG(quality=50)
    >>> bool((codec.decode(codec.encode(picture, torch.ones(1)), Spec((3, 16, 16))) - picture).abs().max() < 0.01)
    True
    """

    quality: int = 75
    max_bits: float | None = None
    emits: ClassVar[type[Payload]] = Bits

    def __post_init__(self) -> None:
        _check_fields(self.quality, 95, self.max_bits)

    @cached_property
    def _coder(self) -> PictureCoder:
        return PictureCoder(JPEG_FORMAT, self.quality, self.max_bits)

    def size(self, spec: Spec) -> Size:
        return self._coder.size(spec)

    def encode(self, x: Tensor, reported_snr: Tensor) -> Bits:
        return self._coder.encode(x, reported_snr)

    def decode(self, payload: Bits, spec: Spec) -> Tensor:
        return self._coder.decode(payload, spec)


@final
@dataclass(frozen=True)
class WebP:
    """Lossy WebP with the slowest search; the container is not sent.

    Args:
        quality: 0 to 100, of every picture when `max_bits` is `None`.
        max_bits: most bits of one picture; then the best setting that fits, at full, 1/2 or 1/4 resolution.
    """

    quality: int = 75
    max_bits: float | None = None
    emits: ClassVar[type[Payload]] = Bits

    def __post_init__(self) -> None:
        _check_fields(self.quality, 100, self.max_bits)

    @cached_property
    def _coder(self) -> PictureCoder:
        return PictureCoder(WEBP_FORMAT, self.quality, self.max_bits)

    def size(self, spec: Spec) -> Size:
        return self._coder.size(spec)

    def encode(self, x: Tensor, reported_snr: Tensor) -> Bits:
        return self._coder.encode(x, reported_snr)

    def decode(self, payload: Bits, spec: Spec) -> Tensor:
        return self._coder.decode(payload, spec)


@final
@dataclass(frozen=True)
class AVIF:
    """AVIF (AV1 still pictures); neither the container nor the sequence header is sent.

    Args:
        quality: 0 to 100, of every picture when `max_bits` is `None`.
        max_bits: most bits of one picture; then the best setting that fits, at full, 1/2 or 1/4 resolution.
    """

    quality: int = 75
    max_bits: float | None = None
    emits: ClassVar[type[Payload]] = Bits

    def __post_init__(self) -> None:
        _check_fields(self.quality, 100, self.max_bits)

    @cached_property
    def _coder(self) -> PictureCoder:
        return PictureCoder(AVIF_FORMAT, self.quality, self.max_bits)

    def size(self, spec: Spec) -> Size:
        return self._coder.size(spec)

    def encode(self, x: Tensor, reported_snr: Tensor) -> Bits:
        return self._coder.encode(x, reported_snr)

    def decode(self, payload: Bits, spec: Spec) -> Tensor:
        return self._coder.decode(payload, spec)


@final
@dataclass(frozen=True)
class PNG:
    """PNG: lossless pixels of 8 bits; the container is not sent.

    Args:
        max_bits: most bits of one picture; then the best that fits, with fewer colours or at 1/2 and 1/4 resolution.
    """

    max_bits: float | None = None
    emits: ClassVar[type[Payload]] = Bits

    def __post_init__(self) -> None:
        _check_fields(0, 0, self.max_bits)

    @cached_property
    def _coder(self) -> PictureCoder:
        return PictureCoder(PNG_FORMAT, PNG_TRUE_COLOUR, self.max_bits)

    def size(self, spec: Spec) -> Size:
        return self._coder.size(spec)

    def encode(self, x: Tensor, reported_snr: Tensor) -> Bits:
        return self._coder.encode(x, reported_snr)

    def decode(self, payload: Bits, spec: Spec) -> Tensor:
        return self._coder.decode(payload, spec)
