"""Encodes of pictures, kept by digest in a folder: a run that was stopped, or another run, goes on with them."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from gainnet.codecs.formats import Pixels
from gainnet.codecs.opponents.encoder import UPSAMPLERS, Levels, StillEncoder, enlarge, identity, shrink
from gainnet.core.files import write_whole
from gainnet.core.weights import user_folder

SCHEMA: Final = 2
VARIABLE: Final = "GAINNET_ENCODES"


def cache_folder() -> Path:
    """Where encodes are kept: the folder that `$GAINNET_ENCODES` names, or `encodes` in the user's own folder."""
    return Path(os.environ[VARIABLE]).expanduser() if os.environ.get(VARIABLE) else user_folder() / "encodes"


@final
@dataclass(frozen=True)
class Point:
    """One picture at one quantiser.

    Args:
        quantiser: of the encoder.
        stream: bare.
        squared_errors: mean over the pixels of the whole picture, levels of 8 bits, by upsampler as in `UPSAMPLERS`;
            one value where the picture was not made smaller.
    """

    quantiser: int
    stream: bytes
    squared_errors: tuple[float, ...]


Encodes = dict[int, Point | None]
"""One picture at one resolution by one encoder, by quantiser; `None` where the encoder makes no stream."""


@final
@dataclass(frozen=True)
class EncodeCache:
    """Encodes by the digests of picture, encoder and resolution.

    One JSON file each, written whole whenever a quantiser was tried, with the digest of its content; a file that is
    damaged is made anew.

    Args:
        folder: of the files; `None` keeps encodes as long as the object lives.
    """

    folder: Path | None = None
    _known: dict[str, Encodes] = field(default_factory=dict, repr=False, compare=False)

    def encodes(self, encoder: StillEncoder, pixels: Pixels, scale: int) -> tuple[Point, ...]:
        """Points of a picture [height, width, 3] at every quantiser, from the smallest stream to the largest.

        Args:
            encoder: codes it.
            pixels: 8 bits.
            scale: as in `SCALES`.

        Raises:
            MissingExtraError: what encodes is not installed.
            ConfigError: the folder cannot be written.
        """
        found = (self._point(encoder, pixels, scale, quantiser) for quantiser in encoder.quantisers)
        return tuple(point for point in found if point is not None)

    def fitting(self, encoder: StillEncoder, pixels: Pixels, scale: int, max_bytes: int) -> tuple[Point, ...]:
        """Points that fit, among those that a bisection for the finest quantiser meets; its last one is the finest.

        Which points those are depends on picture and budget alone, never on what the cache holds.

        Args:
            encoder: codes it.
            pixels: [height, width, 3], 8 bits.
            scale: as in `SCALES`.
            max_bytes: of a stream.
        """
        found, low, high = list[Point](), -1, len(encoder.quantisers)
        while high - low > 1:
            middle = (low + high) // 2
            point = self._point(encoder, pixels, scale, encoder.quantisers[middle])
            if point is None or len(point.stream) <= max_bytes:
                low = middle
                found += [] if point is None else [point]
            else:
                high = middle
        return tuple(found)

    def _point(self, encoder: StillEncoder, pixels: Pixels, scale: int, quantiser: int) -> Point | None:
        about = _about(encoder, pixels, scale)
        key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
        path = None if self.folder is None else self.folder / key[:2] / f"{key}.json"
        if key not in self._known:
            self._known[key] = _read(path, about)
        known = self._known[key]
        if quantiser not in known:
            known[quantiser] = _make(encoder, pixels, scale, quantiser)
            if path is not None:
                write_whole(path, _content(about, known))
        return known[quantiser]


def _about(encoder: StillEncoder, pixels: Pixels, scale: int) -> dict[str, Any]:
    """Everything that a file is about; its digest is the name of the file."""
    return {
        "schema": SCHEMA,
        "encoder": encoder.name,
        "version": encoder.version,
        "command": encoder.command,
        "identity": identity(encoder),
        "picture_sha256": hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest(),
        "shape": list(pixels.shape[:2]),
        "scale": scale,
        "upsamplers": list(UPSAMPLERS) if scale > 1 else [],
    }


def _make(encoder: StillEncoder, pixels: Pixels, scale: int, quantiser: int) -> Point | None:
    shape, small = (pixels.shape[0], pixels.shape[1]), shrink(pixels, scale)
    if (stream := encoder.encode(small, quantiser)) is None:
        return None
    levels = encoder.decode(stream, (small.shape[0], small.shape[1]))
    # Rounded, so that a file says the same after it was read.
    return Point(quantiser, stream, tuple(float(f"{error:.7g}") for error in errors_of(levels, pixels, shape, scale)))


def errors_of(levels: Levels, pixels: Pixels, shape: tuple[int, int], scale: int) -> Iterator[float]:
    """Mean squared errors of a decoded picture, by upsampler as in `UPSAMPLERS`; one at full size.

    Args:
        levels: [h, w, 3], decoded at 1/scale of the size.
        pixels: [height, width, 3], the picture.
        shape: (height, width).
        scale: as in `SCALES`.
    """
    for name in UPSAMPLERS if scale > 1 else ("bicubic",):
        yield float(np.square(enlarge(levels, shape, name) - pixels).mean())


def _content(about: dict[str, Any], known: Encodes) -> bytes:
    rows = [
        {
            "quantiser": quantiser,
            "num_bytes": None if point is None else len(point.stream),
            "stream": None if point is None else base64.b64encode(point.stream).decode(),
            "squared_errors": [] if point is None else list(point.squared_errors),
        }
        for quantiser, point in sorted(known.items())
    ]
    whole = about | {"points": rows}
    return (json.dumps(whole | {"sha256": _digest(whole)}) + "\n").encode()


def _read(path: Path | None, about: dict[str, Any]) -> Encodes:
    """Points of a file; none where there is no file, or one that was damaged."""
    try:
        found = json.loads(path.read_bytes()) if path is not None else {}
        stated = found.pop("sha256")
        rows = found["points"]
        if stated != _digest(found) or any(found[key] != value for key, value in about.items()):
            return {}
        return {r["quantiser"]: r["stream"] and _point_of(r) for r in rows}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _point_of(row: dict[str, Any]) -> Point:
    return Point(row["quantiser"], base64.b64decode(row["stream"]), tuple(row["squared_errors"]))


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
