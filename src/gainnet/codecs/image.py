"""Picture codecs of today's systems, through Pillow: the opponents of mobile edge generation."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from gainnet.codecs import containers
from gainnet.codecs.raw import batch_of
from gainnet.core.errors import ConfigError, PayloadError
from gainnet.core.types import Bits, Payload, Size, Spec

Pixels = NDArray[np.uint8]

FLAT, RAW, WHOLE_FILE = 253, 254, 255
"""First bytes that are no index of a setting: one colour, uncompressed pixels, a file with its container."""


@final
@dataclass(frozen=True)
class Mode:
    """How a picture is handed to its format.

    Args:
        scale: the picture is coded at 1/scale of its width and height, and enlarged by the receiver.
        options: what Pillow's `save` is told.
        build: puts the container back.
    """

    scale: int
    options: tuple[tuple[str, str | int | bool], ...]
    build: Callable[[bytes, bytes], bytes]


@final
@dataclass(frozen=True)
class Format:
    """A file format, its settings, and how to strip it.

    Args:
        name: Pillow's name.
        options: what every `save` is told.
        modes: ways to code a picture; those of scale 1 serve a fixed quality.
        qualities: what the search of the best picture tries; not decreasing in size.
        strip: takes the container off.
        bytes_per_pixel: [quality, mean bytes per pixel] on 200 renders of the scenes data set, for estimates
            (`benchmarks/codecs.py` measures them).
    """

    name: str
    options: tuple[tuple[str, str | int | bool], ...]
    modes: tuple[Mode, ...]
    qualities: tuple[int, ...]
    strip: Callable[[bytes, bytes], bytes]
    bytes_per_pixel: tuple[tuple[int, float], ...]

    def __post_init__(self) -> None:
        if len(self.modes) * len(self.qualities) > FLAT:
            raise ValueError(f"{self.name}: {len(self.modes)} modes and {len(self.qualities)} qualities need two bytes")


@final
@dataclass(frozen=True)
class Setting:
    """One quality in one mode of one format."""

    format: Format
    quality: int
    mode: Mode


@final
@dataclass(frozen=True)
class Coder:
    """The search and the byte strings that all picture codecs share.

    picture --> [ setting | file without container ] --> bits

    Args:
        format: the file format.
        quality: quality of every picture when `max_bits` is `None`.
        max_bits: most bits of one picture; every picture is coded at the setting that fits and has the best PSNR.
    """

    format: Format
    quality: int
    max_bits: float | None

    def size(self, spec: Spec) -> Size:
        _, height, width = _check_picture(spec, self.format.name)
        if self.max_bits is not None:
            upper = 8 * int(self.max_bits // 8)
            return Size(0.97 * upper, upper)
        points = self.format.bytes_per_pixel
        per_pixel = float(np.interp(self.quality, [q for q, _ in points], [b for _, b in points]))
        return Size(8 * (1 + per_pixel * height * width), 8 * (1 + 3 * height * width))

    def encode(self, x: Tensor, reported_snr: Tensor) -> Bits:
        batch = batch_of(x, reported_snr)
        _check_picture(Spec(tuple(x.shape[len(batch) :])), self.format.name)
        if not bool(torch.isfinite(x).all()):
            raise ConfigError("image: holds a value that is not finite")
        levels = (x.detach().reshape(-1, *x.shape[-3:]).clamp(0, 1) * 255).round().to(torch.uint8)
        pictures = levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()
        return Bits(tuple(self._encode_picture(picture) for picture in pictures), batch)

    def decode(self, payload: Bits, spec: Spec) -> Tensor:
        _, height, width = _check_picture(spec, self.format.name)
        pictures = np.full((len(payload.strings), height, width, 3), 0.5, dtype=np.float32)
        for picture, string in zip(pictures, payload.strings, strict=True):
            if string is not None:
                picture[:] = self._decode_picture(string, height, width).astype(np.float32) / 255
        return torch.from_numpy(pictures).permute(0, 3, 1, 2).reshape(*payload.batch, *spec.shape)

    def _settings(self) -> list[Setting]:
        """The table that the first byte of a string points into."""
        if self.max_bits is None:
            return [Setting(self.format, self.quality, mode) for mode in self.format.modes if mode.scale == 1]
        return [Setting(self.format, quality, mode) for mode in self.format.modes for quality in self.format.qualities]

    def _encode_picture(self, picture: Pixels) -> bytes | None:
        if self.max_bits is None:
            return min(self._fixed_quality(picture), key=len)
        fitting = [s for s in self._candidates(picture) if 8 * len(s) <= (self.max_bits or 0)]
        return min(fitting, key=lambda string: self._error(string, picture), default=None)

    def _fixed_quality(self, picture: Pixels) -> Iterator[bytes]:
        """The picture in the first mode and in those that give the same pixels, and as it is."""
        settings = self._settings()
        first = settings[0].mode
        for index, setting in enumerate(settings):
            if dict(setting.mode.options).get("subsampling") == dict(first.options).get("subsampling"):
                yield encode_picture(picture.tobytes(), picture.shape[:2], setting, index)
        yield bytes([RAW]) + picture.tobytes()

    def _candidates(self, picture: Pixels) -> Iterator[bytes]:
        """One colour, and for every mode the largest string that fits."""
        yield bytes([FLAT, *np.rint(picture.reshape(-1, 3).mean(0)).astype(int).tolist()])
        yield bytes([RAW]) + picture.tobytes()
        qualities = self.format.qualities
        for position in range(len(self.format.modes)):
            offset = position * len(qualities)
            yield from self._largest(picture, self._settings()[offset : offset + len(qualities)], offset)

    def _largest(self, picture: Pixels, settings: list[Setting], offset: int) -> Iterator[bytes]:
        low, high, best = -1, len(settings), None
        while high - low > 1:
            middle = (low + high) // 2
            string = encode_picture(picture.tobytes(), picture.shape[:2], settings[middle], offset + middle)
            if 8 * len(string) <= (self.max_bits or 0):
                low, best = middle, string
            else:
                high = middle
        if best is not None:
            yield best

    def _error(self, string: bytes, picture: Pixels) -> float:
        decoded = self._decode_picture(string, *picture.shape[:2])
        return float(np.square(decoded.astype(np.float32) - picture).mean())

    def _decode_picture(self, string: bytes, height: int, width: int) -> Pixels:
        try:
            return self._read(string, height, width)
        except PayloadError:
            raise
        except Exception as error:
            raise PayloadError(f"{self.format.name}: payload is corrupt ({type(error).__name__})") from None

    def _read(self, string: bytes, height: int, width: int) -> Pixels:
        if not string:
            raise PayloadError(f"{self.format.name}: payload is empty")
        index, body = string[0], string[1:]
        if index in (FLAT, RAW):
            if len(body) != (3 if index == FLAT else 3 * height * width):
                raise PayloadError(f"{self.format.name}: payload has a wrong length of {len(string)} bytes")
            shape = (1, 1, 3) if index == FLAT else (height, width, 3)
            return np.broadcast_to(np.frombuffer(body, dtype=np.uint8).reshape(shape), (height, width, 3))
        if index == WHOLE_FILE:
            index, body, is_whole = body[0], body[1:], True
        else:
            is_whole = False
        settings = self._settings()
        if index >= len(settings):
            raise PayloadError(f"{self.format.name}: payload names no setting ({index})")
        small = _scaled((height, width), settings[index].mode.scale)
        file = body if is_whole else settings[index].mode.build(body, _template(settings[index], small))
        return _open(file, self.format.name, small, (height, width))


@lru_cache(maxsize=4096)
def encode_picture(pixels: bytes, shape: tuple[int, int], setting: Setting, index: int) -> bytes:
    """The byte string of one picture at one setting, `index` of the codec's table; remembered, because searches meet again.

    Args:
        pixels: height x width x 3 bytes.
        shape: height and width.
        setting: quality and mode.
        index: position in the table of settings.
    """
    small = _scaled(shape, setting.mode.scale)
    picture = Image.frombytes("RGB", (shape[1], shape[0]), pixels)
    if setting.mode.scale > 1:
        picture = picture.resize((small[1], small[0]), Image.Resampling.LANCZOS)
    file = _save(picture, setting)
    template = _template(setting, small)
    body = setting.format.strip(file, template)
    if setting.mode.build(body, template) != file:
        return bytes([WHOLE_FILE, index]) + file
    return bytes([index]) + body


def _save(picture: Image.Image, setting: Setting) -> bytes:
    options = dict(setting.format.options) | dict(setting.mode.options)
    if setting.format.name == "PNG":
        if setting.quality < PNG_TRUE_COLOUR:
            picture = picture.quantize(setting.quality, dither=Image.Dither.NONE)
            options["bits"] = max(1, (setting.quality - 1).bit_length())
    else:
        options["quality"] = setting.quality
    file = io.BytesIO()
    picture.save(file, setting.format.name, **options)
    return file.getvalue()


@lru_cache(maxsize=1024)
def _template(setting: Setting, shape: tuple[int, int]) -> bytes:
    """A flat grey picture as a file: its headers are those of every picture of this setting and size."""
    plain = Setting(
        setting.format,
        setting.quality,
        Mode(1, tuple((k, v) for k, v in setting.mode.options if k != "optimize"), setting.mode.build),
    )
    return _save(Image.new("RGB", (shape[1], shape[0]), (128, 128, 128)), plain)


def _open(file: bytes, name: str, shape: tuple[int, int], full: tuple[int, int]) -> Pixels:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture = Image.open(io.BytesIO(file), formats=[name])
        if picture.size != (shape[1], shape[0]):
            raise PayloadError(f"{name}: payload holds a picture of {picture.size} pixels, expected {shape[::-1]}")
        picture = picture.convert("RGB")
    if shape != full:
        picture = picture.resize((full[1], full[0]), Image.Resampling.BICUBIC)
    return np.asarray(picture)


def _scaled(shape: tuple[int, int], scale: int) -> tuple[int, int]:
    return math.ceil(shape[0] / scale), math.ceil(shape[1] / scale)


def _check_picture(spec: Spec, name: str) -> tuple[int, ...]:
    if len(spec.shape) != 3 or spec.shape[0] != 3:
        raise ConfigError(f"{name}: needs a picture of shape (3, height, width), the tensor has {spec.shape}")
    return spec.shape


def _check_fields(name: str, quality: int, largest: int, max_bits: float | None) -> None:
    if not 0 <= quality <= largest:
        raise ConfigError(f"quality: must be 0 to {largest} for {name}, not {quality}")
    if max_bits is not None and not 8 <= max_bits < math.inf:
        raise ConfigError(f"max_bits: must be at least 8 and finite, not {max_bits}")


HALF, WHOLE = (("subsampling", "4:2:0"),), (("subsampling", "4:4:4"),)
OPTIMISED = ("optimize", True)
PNG_TRUE_COLOUR = 257

JPEG_FORMAT = Format(
    "JPEG",
    (),
    (
        Mode(1, HALF, containers.build_jpeg),
        Mode(1, (*HALF, OPTIMISED), containers.build_optimised_jpeg),
        Mode(1, (*WHOLE, OPTIMISED), containers.build_optimised_jpeg),
        Mode(2, HALF, containers.build_jpeg),
        Mode(2, WHOLE, containers.build_jpeg),
        Mode(4, WHOLE, containers.build_jpeg),
    ),
    tuple(range(1, 20)) + tuple(range(20, 62, 3)) + tuple(range(64, 97, 4)),
    containers.strip_jpeg,
    ((0, 0.02), (50, 0.06), (100, 0.8)),
)

WEBP_FORMAT = Format(
    "WEBP",
    (("method", 6),),
    (Mode(1, (), containers.build_webp), Mode(2, (), containers.build_webp), Mode(4, (), containers.build_webp)),
    tuple(range(60)) + tuple(range(60, 101, 2)),
    containers.strip_webp,
    ((0, 0.01), (50, 0.035), (100, 0.3)),
)

AVIF_FORMAT = Format(
    "AVIF",
    (("speed", 6), ("max_threads", 1)),
    (
        Mode(1, HALF, containers.build_avif),
        Mode(1, WHOLE, containers.build_avif),
        Mode(2, WHOLE, containers.build_avif),
        Mode(4, WHOLE, containers.build_avif),
    ),
    tuple(range(0, 101, 2)),
    containers.strip_avif,
    ((0, 0.01), (50, 0.036), (100, 0.6)),
)

PNG_FORMAT = Format(
    "PNG",
    (OPTIMISED,),
    (Mode(1, (), containers.build_png), Mode(2, (), containers.build_png), Mode(4, (), containers.build_png)),
    (2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, 256, PNG_TRUE_COLOUR),
    containers.strip_png,
    ((0, 0.22), (100, 0.22)),
)


@final
@dataclass(frozen=True)
class JPEG:
    """Baseline JPEG, with standard or own Huffman tables, whichever is shorter; the container is not sent.

    Args:
        quality: 0 to 95, of every picture when `max_bits` is `None`.
        max_bits: most bits of one picture; then the best setting that fits, also at 1/2 and 1/4 of the resolution.

    >>> picture = torch.full((1, 3, 16, 16), 0.2)
    >>> codec = JPEG(quality=50)
    >>> bool((codec.decode(codec.encode(picture, torch.ones(1)), Spec((3, 16, 16))) - picture).abs().max() < 0.01)
    True
    """

    quality: int = 75
    max_bits: float | None = None
    emits: ClassVar[type[Payload]] = Bits

    def __post_init__(self) -> None:
        _check_fields("jpeg", self.quality, 95, self.max_bits)

    @property
    def _coder(self) -> Coder:
        return Coder(JPEG_FORMAT, self.quality, self.max_bits)

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
        max_bits: most bits of one picture; then the best setting that fits, also at 1/2 and 1/4 of the resolution.
    """

    quality: int = 75
    max_bits: float | None = None
    emits: ClassVar[type[Payload]] = Bits

    def __post_init__(self) -> None:
        _check_fields("webp", self.quality, 100, self.max_bits)

    @property
    def _coder(self) -> Coder:
        return Coder(WEBP_FORMAT, self.quality, self.max_bits)

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
        max_bits: most bits of one picture; then the best setting that fits, also at 1/2 and 1/4 of the resolution.
    """

    quality: int = 75
    max_bits: float | None = None
    emits: ClassVar[type[Payload]] = Bits

    def __post_init__(self) -> None:
        _check_fields("avif", self.quality, 100, self.max_bits)

    @property
    def _coder(self) -> Coder:
        return Coder(AVIF_FORMAT, self.quality, self.max_bits)

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
        max_bits: most bits of one picture; then the best that fits, with fewer colours or at 1/2 and 1/4 of the resolution.
    """

    max_bits: float | None = None
    emits: ClassVar[type[Payload]] = Bits

    def __post_init__(self) -> None:
        _check_fields("png", 0, 0, self.max_bits)

    @property
    def _coder(self) -> Coder:
        return Coder(PNG_FORMAT, PNG_TRUE_COLOUR, self.max_bits)

    def size(self, spec: Spec) -> Size:
        return self._coder.size(spec)

    def encode(self, x: Tensor, reported_snr: Tensor) -> Bits:
        return self._coder.encode(x, reported_snr)

    def decode(self, payload: Bits, spec: Spec) -> Tensor:
        return self._coder.decode(payload, spec)
