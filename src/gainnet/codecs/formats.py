"""The file formats of pictures, each with the settings that a codec may choose from."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gainnet.codecs import containers
from gainnet.core.errors import PayloadError

Pixels = NDArray[np.uint8]
Options = tuple[tuple[str, str | int | bool | tuple[tuple[str, str], ...]], ...]

FLAT, RAW, WHOLE_FILE = 253, 254, 255
"""First bytes that are no index of a setting: one colour, uncompressed pixels, a file with its container."""

PNG_TRUE_COLOUR = 257


@final
@dataclass(frozen=True)
class Mode:
    """How a picture is handed to its format.

    Args:
        scale: the picture is coded at 1/scale of its width and height, and enlarged by the receiver.
        options: keyword arguments of Pillow's `save`.
        build: puts the container back.
    """

    scale: int
    options: Options
    build: Callable[[bytes, bytes], bytes]


@final
@dataclass(frozen=True)
class Format:
    """A file format, its settings, and how to strip it.

    Args:
        name: Pillow's name.
        options: keyword arguments of every `save`.
        modes: ways to code a picture; the first `num_fixed_modes` give the same pixels.
        num_fixed_modes: modes that serve a fixed quality, the shortest file wins.
        qualities: what the search of the best picture tries; files grow along them.
        best_quality: largest quality that can be asked for.
        strip: takes the container off.
    """

    name: str
    options: Options
    modes: tuple[Mode, ...]
    num_fixed_modes: int
    qualities: tuple[int, ...]
    best_quality: int
    strip: Callable[[bytes, bytes], bytes]

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


HALF: Options = (("subsampling", "4:2:0"),)
WHOLE: Options = (("subsampling", "4:4:4"),)
OPTIMISED: Options = (("optimize", True),)

JPEG_FORMAT = Format(
    "JPEG",
    (),
    (
        Mode(1, HALF, containers.build_jpeg),
        Mode(1, HALF + OPTIMISED, containers.build_optimised_jpeg),
        Mode(1, WHOLE + OPTIMISED, containers.build_optimised_jpeg),
        Mode(2, HALF, containers.build_jpeg),
        Mode(2, WHOLE, containers.build_jpeg),
        Mode(4, WHOLE, containers.build_jpeg),
    ),
    2,
    (*range(1, 20), *range(20, 62, 3), *range(64, 97, 4)),
    95,
    containers.strip_jpeg,
)

WEBP_FORMAT = Format(
    "WEBP",
    (("method", 6),),
    tuple(Mode(scale, (), containers.build_webp) for scale in (1, 2, 4)),
    1,
    (*range(60), *range(60, 101, 2)),
    100,
    containers.strip_webp,
)

AVIF_FORMAT = Format(
    "AVIF",
    (("speed", 6), ("max_threads", 1)),
    tuple(
        Mode(scale, options, containers.build_avif)
        for scale, options in ((1, HALF), (1, WHOLE), (2, WHOLE), (4, WHOLE))
    ),
    1,
    tuple(range(0, 101, 2)),
    100,
    containers.strip_avif,
)

PNG_FORMAT = Format(
    "PNG",
    OPTIMISED,
    tuple(Mode(scale, (), containers.build_png) for scale in (1, 2, 4)),
    1,
    (2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, 256, PNG_TRUE_COLOUR),
    PNG_TRUE_COLOUR,
    containers.strip_png,
)


def scaled(shape: tuple[int, int], scale: int) -> tuple[int, int]:
    """Height and width at 1/scale, at least 1."""
    return math.ceil(shape[0] / scale), math.ceil(shape[1] / scale)


def encode_picture(pixels: bytes, shape: tuple[int, int], setting: Setting, index: int) -> bytes:
    """The byte string of one picture at one setting; remembered, because searches for several budgets meet again.

    index | file without container        (or 255 | index | whole file, should a container not be as expected)

    Args:
        pixels: height x width x 3 bytes.
        shape: height and width.
        setting: quality and mode.
        index: position in the codec's table of settings.
    """
    return _encoded(_Pixels(blake2b(pixels, digest_size=16).digest(), [pixels]), shape, setting, index)


@final
@dataclass(frozen=True)
class _Pixels:
    """Pixels by their digest, taken once: what is remembered would keep a copy of a picture per setting tried."""

    digest: bytes
    once: list[bytes] = field(compare=False)


@lru_cache(maxsize=4096)
def _encoded(pixels: _Pixels, shape: tuple[int, int], setting: Setting, index: int) -> bytes:
    small = scaled(shape, setting.mode.scale)
    picture = Image.frombytes("RGB", (shape[1], shape[0]), pixels.once.pop())
    if small != shape:
        picture = picture.resize((small[1], small[0]), Image.Resampling.LANCZOS)
    file, template = save_picture(picture, setting), template_of(setting, small)
    body = setting.format.strip(file, template)
    # The container is only left out where it can be rebuilt to the byte; another version of a library stays correct.
    if setting.mode.build(body, template) != file:
        return bytes([WHOLE_FILE, index]) + file
    return bytes([index]) + body


def decode_picture(string: bytes, shape: tuple[int, int], settings: tuple[Setting, ...]) -> Pixels:
    """[height, width, 3], the picture of a byte string of any kind.

    Args:
        string: as received.
        shape: height and width of the picture.
        settings: the codec's table.

    Raises:
        PayloadError: the string is corrupt.
    """
    name = settings[0].format.name
    if not string:
        raise PayloadError(f"{name}: payload is empty")
    try:
        if string[0] in (FLAT, RAW):
            return _plain(string, shape)
        if string[0] == WHOLE_FILE:
            setting, file = settings[string[1]], string[2:]
        else:
            setting = settings[string[0]]
            file = setting.mode.build(string[1:], template_of(setting, scaled(shape, setting.mode.scale)))
        picture = open_picture(file, name, scaled(shape, setting.mode.scale))
        return np.asarray(_enlarged(picture, shape))
    except Exception as error:  # libraries raise what they like on damaged files
        raise PayloadError(f"{name}: payload is corrupt ({type(error).__name__})") from None


def _plain(string: bytes, shape: tuple[int, int]) -> Pixels:
    """One colour for every pixel, or all pixels."""
    values = np.frombuffer(string[1:], dtype=np.uint8)
    return np.broadcast_to(values.reshape(1, 1, 3) if string[0] == FLAT else values.reshape(*shape, 3), (*shape, 3))


def save_picture(picture: Image.Image, setting: Setting) -> bytes:
    """A picture as a file, its container included."""
    options = dict(setting.format.options) | dict(setting.mode.options)
    file = io.BytesIO()
    if setting.format.name != "PNG":
        picture.save(file, setting.format.name, quality=setting.quality, **options)
    elif setting.quality == PNG_TRUE_COLOUR:
        picture.save(file, "PNG", **options)
    else:
        picture.quantize(setting.quality, dither=Image.Dither.NONE).save(file, "PNG", **options)
    return file.getvalue()


@lru_cache(maxsize=1024)
def template_of(setting: Setting, shape: tuple[int, int]) -> bytes:
    """A flat grey picture of (height, width) as a file: its headers are those of every picture of this setting."""
    # Optimised Huffman tables differ from picture to picture, so the template has the standard ones.
    standard = tuple(option for option in setting.mode.options if option not in OPTIMISED)
    plain = Setting(setting.format, setting.quality, Mode(1, standard, setting.mode.build))
    return save_picture(Image.new("RGB", (shape[1], shape[0]), (128, 128, 128)), plain)


def open_picture(file: bytes, name: str, shape: tuple[int, int]) -> Image.Image:
    """The picture of a file in the format `name`; raises what Pillow raises, and where it is not (height, width)."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opened = Image.open(io.BytesIO(file), formats=[name])
        # A corrupt header could ask for gigabytes of pixels.
        if opened.size != (shape[1], shape[0]):
            raise ValueError(f"holds {opened.size} pixels")
        return opened.convert("RGB")


def _enlarged(picture: Image.Image, shape: tuple[int, int]) -> Image.Image:
    size = (shape[1], shape[0])
    return picture if picture.size == size else picture.resize(size, Image.Resampling.BICUBIC)
