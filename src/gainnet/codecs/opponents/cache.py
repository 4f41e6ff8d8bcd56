"""Encodes of pictures, kept by digest in a folder: a run that was stopped, or another run, goes on with them."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from gainnet.codecs.formats import Pixels
from gainnet.codecs.opponents.encoder import UPSAMPLERS, StillEncoder, enlarge, identity, shrink
from gainnet.core.files import write_whole
from gainnet.core.weights import user_folder

SCHEMA: Final = 1
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


Encodes = tuple[Point, ...]
"""One picture at one resolution by one encoder, at every quantiser."""


@final
@dataclass(frozen=True)
class EncodeCache:
    """Encodes by the digests of picture, encoder and resolution.

    One JSON file each, written whole, with the digest of its content; a file that is damaged is made anew.

    Args:
        folder: of the files; `None` keeps encodes as long as the object lives.
    """

    folder: Path | None = None
    _known: dict[str, Encodes] = field(default_factory=dict, repr=False, compare=False)

    def encodes(self, encoder: StillEncoder, pixels: Pixels, scale: int) -> Encodes:
        """All points of a picture [height, width, 3], read or made.

        Args:
            encoder: codes it.
            pixels: 8 bits.
            scale: as in `SCALES`.

        Raises:
            MissingExtraError: what encodes is not installed.
            ConfigError: the folder cannot be written.
        """
        about = _about(encoder, pixels, scale)
        key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
        if key not in self._known:
            path = None if self.folder is None else self.folder / key[:2] / f"{key}.json"
            points = _read(path, about)
            if points is None:
                points = _make(encoder, pixels, scale)
                if path is not None:
                    write_whole(path, _content(about, points))
            self._known[key] = points
        return self._known[key]


def _about(encoder: StillEncoder, pixels: Pixels, scale: int) -> dict[str, Any]:
    """Everything that a file is about; its digest is the name of the file."""
    return {
        "schema": SCHEMA,
        "encoder": encoder.name,
        "version": encoder.version,
        "command": encoder.command,
        "identity": identity(encoder),
        "quantisers": list(encoder.quantisers),
        "picture_sha256": hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest(),
        "shape": list(pixels.shape[:2]),
        "scale": scale,
        "upsamplers": list(UPSAMPLERS) if scale > 1 else [],
    }


def _make(encoder: StillEncoder, pixels: Pixels, scale: int) -> Encodes:
    shape, small = (pixels.shape[0], pixels.shape[1]), shrink(pixels, scale)
    points = []
    for quantiser in encoder.quantisers:
        stream = encoder.encode(small, quantiser)
        if stream is None:
            continue
        levels = encoder.decode(stream, (small.shape[0], small.shape[1]))
        names = UPSAMPLERS if scale > 1 else ("bicubic",)
        errors = (float(np.square(enlarge(levels, shape, name) - pixels).mean()) for name in names)
        # Rounded, so that a file says the same after it was read.
        points.append(Point(quantiser, stream, tuple(float(f"{error:.7g}") for error in errors)))
    return tuple(points)


def _content(about: dict[str, Any], points: Encodes) -> bytes:
    rows = [
        {
            "quantiser": point.quantiser,
            "num_bytes": len(point.stream),
            "stream": base64.b64encode(point.stream).decode(),
            "squared_errors": list(point.squared_errors),
        }
        for point in points
    ]
    whole = about | {"points": rows}
    return (json.dumps(whole | {"sha256": _digest(whole)}) + "\n").encode()


def _read(path: Path | None, about: dict[str, Any]) -> Encodes | None:
    """Points of a file; `None` where there is none, or one that was damaged."""
    try:
        found = json.loads(path.read_bytes()) if path is not None else {}
        stated = found.pop("sha256")
        rows = found["points"]
        if stated != _digest(found) or any(found[key] != value for key, value in about.items()):
            return None
        return tuple(Point(r["quantiser"], base64.b64decode(r["stream"]), tuple(r["squared_errors"])) for r in rows)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
