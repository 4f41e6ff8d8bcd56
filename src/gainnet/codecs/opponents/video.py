"""Intra frames of HEVC and VVC through ffmpeg, without what a receiver can make itself."""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, final

import numpy as np

from gainnet.codecs.formats import Pixels
from gainnet.codecs.opponents.colour import Planes, chroma_shape, from_planes, to_planes
from gainnet.codecs.opponents.encoder import Levels
from gainnet.core.errors import PayloadError, import_extra

START: Final = b"\0\0\1"
"""Begins a unit of a stream (ITU-T H.265 and H.266, annex B)."""

LONGEST_S: Final = 7200.0
"""Ends a call that hangs; at lowest priority on a crowded machine an encode of a second has taken minutes."""
SLOT: Final = "{quantiser}"


@final
@dataclass(frozen=True)
class VideoEncoder:
    """One intra frame of ten bits by an encoder of ffmpeg.

    pixels --> luma and chroma of ten bits --> ffmpeg --> units --> the slice, without start code and unit header

    Parameter sets are those of every picture of this size, so that a receiver makes them from a grey one.

    Args:
        name: of the codec, which is ffmpeg's name of the raw stream, too.
        subsampled: chroma at half the width and height (4:2:0) or at all of it (4:4:4).
        options: of ffmpeg, the quantiser as `{quantiser}`.
        parameter_sets: types of units that a receiver makes itself.
        quantisers: to try; a larger one makes a smaller stream.
    """

    name: str
    subsampled: bool
    options: tuple[str, ...]
    parameter_sets: frozenset[int]
    quantisers: tuple[int, ...]

    @property
    def version(self) -> str:
        return _ffmpeg_version()

    @property
    def command(self) -> str:
        return " ".join(("ffmpeg", *self._input("{width}x{height}"), *self.options, "-f", self.name, "FILE"))

    def encode(self, pixels: Pixels, quantiser: int) -> bytes | None:
        shape = (pixels.shape[0], pixels.shape[1])
        if (file := self._file(pixels, quantiser)) is None or (template := self._template(shape)) is None:
            return None
        units, known = _units(file), _units(template)
        own = [unit for unit in units if self._type(unit) not in self.parameter_sets]
        if not own:
            return None
        # The last unit is the slice, whose header of two bytes is that of every slice; filters may come before it.
        stream = START.join((*own[:-1], own[-1][2:]))
        return stream if units == self._rebuilt(stream, known) else None

    def decode(self, stream: bytes, shape: tuple[int, int]) -> Levels:
        template = self._template(shape)
        if template is None:
            raise PayloadError(f"{self.name}: cannot code pictures of {shape}")
        file = b"".join(b"\0" + START + unit for unit in self._rebuilt(stream, _units(template)))
        with tempfile.TemporaryDirectory() as folder:
            # x265 and vvenc print to where a pipe would carry the stream, hence files.
            coded, raw = Path(folder) / "coded", Path(folder) / "raw"
            coded.write_bytes(file)
            _ffmpeg(("-f", self.name, "-i", str(coded), "-frames:v", "1", *self._raw, "-threads", "1", str(raw)))
            samples = raw.read_bytes() if raw.exists() else b""
        planes = self._planes(samples, shape)
        if planes is None:
            raise PayloadError(f"{self.name}: stream is corrupt")
        return from_planes(planes, shape)

    @property
    def _raw(self) -> tuple[str, ...]:
        return "-f", "rawvideo", "-pix_fmt", "yuv420p10le" if self.subsampled else "yuv444p10le"

    def _input(self, size: str) -> tuple[str, ...]:
        return (*self._raw, "-s", size, "-r", "1", "-i", "-", "-frames:v", "1", "-threads", "1")

    def _file(self, pixels: Pixels, quantiser: int) -> bytes | None:
        planes = to_planes(pixels, self.subsampled)
        height, width = planes[0].shape
        options = (option.replace(SLOT, str(quantiser)) for option in self.options)
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "coded"
            samples = b"".join(plane.tobytes() for plane in planes)
            _ffmpeg((*self._input(f"{width}x{height}"), *options, "-f", self.name, str(out)), samples)
            return out.read_bytes() if out.exists() else None

    # One a size; each costs a call of the encoder.
    @lru_cache(maxsize=64)  # noqa: B019
    def _template(self, shape: tuple[int, int]) -> bytes | None:
        """The file of a grey picture; its parameter sets depend neither on the picture nor on the quantiser."""
        return self._file(np.full((*shape, 3), 128, np.uint8), self.quantisers[0])

    def _rebuilt(self, stream: bytes, known: list[bytes]) -> list[bytes]:
        """All units from a bare stream and those of the grey picture."""
        *first, last = stream.split(START)
        sets = [unit for unit in known if self._type(unit) in self.parameter_sets]
        return [*sets, *first, known[-1][:2] + last]

    def _type(self, unit: bytes) -> int:
        """Of a unit: bits 1 to 6 of its header in HEVC, 8 to 12 in VVC."""
        return unit[0] >> 1 & 63 if self.name == "hevc" else unit[1] >> 3

    def _planes(self, samples: bytes, shape: tuple[int, int]) -> Planes | None:
        shapes = (_even(shape), *(chroma_shape(shape, self.subsampled),) * 2)
        sizes = [height * width for height, width in shapes]
        if len(samples) != 2 * sum(sizes):
            return None
        parts = np.split(np.frombuffer(samples, "<u2"), np.cumsum(sizes)[:-1])
        luma, blue, red = (part.reshape(own) for part, own in zip(parts, shapes, strict=True))
        return luma, blue, red


def _even(shape: tuple[int, int]) -> tuple[int, int]:
    """Height and width, rounded up to even numbers, which encoders ask for."""
    return shape[0] + shape[0] % 2, shape[1] + shape[1] % 2


def _units(file: bytes) -> list[bytes]:
    """The units of a stream, without start codes; a zero before a start code belongs to it."""
    return [unit.rstrip(b"\0") for unit in file.split(START)[1:]]


@lru_cache(maxsize=1)
def _program() -> str:
    found: str = import_extra("imageio_ffmpeg", "imageio-ffmpeg", "opponents").get_ffmpeg_exe()
    return found


@lru_cache(maxsize=1)
def _ffmpeg_version() -> str:
    line = subprocess.run([_program(), "-version"], capture_output=True, text=True, timeout=LONGEST_S, check=True)
    return " ".join(line.stdout.split()[:3])


def _ffmpeg(arguments: tuple[str, ...], given: bytes = b"") -> None:
    """Runs ffmpeg; what fails leaves no file behind, which its caller sees."""
    command = [_program(), "-hide_banner", "-loglevel", "error", *arguments]
    subprocess.run(command, input=given, capture_output=True, timeout=LONGEST_S, check=False)


HEVC_OPTIONS: Final = (
    "-c:v", "libx265", "-preset", "veryslow", "-tune", "psnr",
    "-x265-params", "qp={quantiser}:keyint=1:info=0:pools=1:frame-threads=1:log-level=none",
)  # fmt: skip
VVC_OPTIONS: Final = (
    "-c:v", "libvvenc", "-preset", "slow", "-qp", "{quantiser}", "-qpa", "0",
    # One tree for luma and chroma saves 8 % at these sizes, where the shape of blocks is most of a stream.
    "-vvenc-params", "threads=1:verbosity=0:intraperiod=1:DualITree=0",
)  # fmt: skip

HEVCS: Final = tuple(
    VideoEncoder("hevc", subsampled, HEVC_OPTIONS, frozenset({32, 33, 34, 39}), tuple(range(51, 21, -1)))
    for subsampled in (True, False)
)
VVC_QUANTISERS: Final = (*range(58, 54, -2), *range(54, 39, -1), *range(38, 25, -2))
"""A step is 6 % of a stream: all where pictures of 30 dB are, every other one elsewhere."""

VVCS: Final = (VideoEncoder("vvc", True, VVC_OPTIONS, frozenset({15, 16, 20}), VVC_QUANTISERS),)
"""4:2:0 alone, since ffmpeg hands nothing else to vvenc."""
