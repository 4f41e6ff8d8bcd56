"""AVIF, JPEG XL, WebP and JPEG through Pillow."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from typing import Any, Final, final

import numpy as np
import PIL
from PIL import Image, features

from gainnet.codecs import containers, formats
from gainnet.codecs.formats import HALF, OPTIMISED, WHOLE, Format, Mode, Options, Pixels, Setting
from gainnet.codecs.opponents.encoder import Levels
from gainnet.core.errors import MissingExtraError, PayloadError, import_extra

PLUGIN: Final = "pillow-jxl-plugin"
JXL_SIGNATURE: Final = 2
"""Bytes with which every bare JPEG XL codestream begins."""

PSNR_TUNED: Final[Options] = (
    ("speed", 0),
    ("max_threads", 1),
    # libaom tunes for structure by default and gives edges more bits; both cost PSNR, by which opponents are judged.
    ("advanced", (("tune", "psnr"), ("deltaq-mode", "0"))),
)


def _strip_jxl(file: bytes, template: bytes) -> bytes:
    return file[JXL_SIGNATURE:]


def _build_jxl(body: bytes, template: bytes) -> bytes:
    return template[:JXL_SIGNATURE] + body


AVIF_TUNED: Final = Format(
    "AVIF",
    PSNR_TUNED,
    (Mode(1, HALF, containers.build_avif), Mode(1, WHOLE, containers.build_avif)),
    1,
    # Every other one where pictures of 30 dB are, fewer above: each takes a third of a second.
    (*range(0, 22, 2), *range(24, 61, 4)),
    100,
    containers.strip_avif,
)
"""AVIF as slow as libaom goes, tuned for PSNR, with one step of the quantiser for the whole picture."""

JXL: Final = Format(
    "JXL",
    (("effort", 9), ("lossless_jpeg", False)),
    (Mode(1, (), _build_jxl),),
    1,
    tuple(range(0, 91, 5)),
    100,
    _strip_jxl,
)
"""Lossy JPEG XL of the greatest effort but one, which takes twice as long and gains nothing at these sizes."""


@final
@dataclass(frozen=True)
class PillowEncoder:
    """A file format of Pillow in one of its modes.

    Args:
        name: of the codec.
        format: its options, and how to strip its container.
        mode: further options.
        quantisers: qualities to try.
        headers_vary: the header depends on the quality, which then goes before the stream, as one byte.
    """

    name: str
    format: Format
    mode: Mode
    quantisers: tuple[int, ...]
    headers_vary: bool = False

    @property
    def version(self) -> str:
        """Of Pillow, and of the library inside it that encodes."""
        self._check()
        if self.format.name == "JXL":
            return f"Pillow {PIL.__version__}, {PLUGIN} {version(PLUGIN)}"
        return f"Pillow {PIL.__version__}, {self.name} {features.version(_FEATURES[self.format.name])}"

    @property
    def command(self) -> str:
        options = dict(self.format.options) | dict(self.mode.options)
        given = "".join(f", {key}={value!r}" for key, value in options.items())
        return f"Image.save(format={self.format.name!r}, quality={{quantiser}}{given})"

    def encode(self, pixels: Pixels, quantiser: int) -> bytes | None:
        self._check()
        shape, setting = (pixels.shape[0], pixels.shape[1]), self._setting(quantiser)
        file, template = formats.save_picture(Image.fromarray(pixels), setting), self._template(quantiser, shape)
        body = self.format.strip(file, template)
        # Another version of a library may write another header; then its files are no opponents rather than wrong ones.
        if self.mode.build(body, template) != file:
            return None
        return bytes([quantiser]) + body if self.headers_vary else body

    def decode(self, stream: bytes, shape: tuple[int, int]) -> Levels:
        self._check()
        try:
            quantiser, body = (stream[0], stream[1:]) if self.headers_vary else (self.quantisers[0], stream)
            file = self.mode.build(body, self._template(quantiser, shape))
            return np.asarray(formats.open_picture(file, self.format.name, shape)).astype(np.float32)
        except Exception as error:  # libraries raise what they like on damaged files
            raise PayloadError(f"{self.name}: stream is corrupt ({type(error).__name__})") from None

    def _setting(self, quantiser: int) -> Setting:
        return Setting(self.format, quantiser, self.mode)

    def _template(self, quantiser: int, shape: tuple[int, int]) -> bytes:
        """Of one quantiser for all where headers do not vary: the receiver does not need it."""
        return formats.template_of(self._setting(quantiser if self.headers_vary else self.quantisers[0]), shape)

    def _check(self) -> None:
        """Raises `MissingExtraError` unless this format can be written."""
        if self.format.name == "JXL":
            _jxl()
        elif not features.check(_FEATURES[self.format.name]):
            raise MissingExtraError(f"Pillow with {self.name}", "opponents")


_FEATURES: Final = {"AVIF": "avif", "WEBP": "webp", "JPEG": "jpg"}


# Importing the plug-in registers the format, which takes once.
@lru_cache(maxsize=1)
def _jxl() -> Any:
    return import_extra("pillow_jxl", PLUGIN, "opponents")


def _modes(name: str, form: Format, modes: tuple[Mode, ...], varies: bool = False) -> tuple[PillowEncoder, ...]:
    return tuple(PillowEncoder(name, form, mode, form.qualities, varies) for mode in modes)


AVIFS: Final = _modes("avif", AVIF_TUNED, AVIF_TUNED.modes)
JXLS: Final = _modes("jpeg_xl", JXL, JXL.modes)
WEBPS: Final = _modes("webp", formats.WEBP_FORMAT, formats.WEBP_FORMAT.modes[:1])
JPEGS: Final = _modes(
    "jpeg",
    formats.JPEG_FORMAT,
    (Mode(1, HALF + OPTIMISED, containers.build_optimised_jpeg), Mode(1, HALF, containers.build_jpeg)),
    varies=True,
)
