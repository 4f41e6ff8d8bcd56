"""All distinct pictures of the collection with all their names, drawn once and kept with a digest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import final

import numpy as np
import torch
from torch import Tensor

from gainnet.core.run.checkpoint import Checkpoint, fingerprint
from gainnet.core.run.loop import silent
from gainnet.models.emoji.names import EmojiName
from gainnet.models.emoji.source import SIZE, Collection, rasterise

Progress = Callable[[int, int], None]


@final
@dataclass(frozen=True, eq=False)
class Album:
    """Distinct pictures, each one a class of its own.

    Args:
        pictures: [n, 3, 128, 128], uint8, on white.
        names: of every picture: its own, then those of its copies, then other names of these.
    """

    pictures: Tensor
    names: tuple[tuple[str, ...], ...]

    @cached_property
    def shown(self) -> tuple[EmojiName, ...]:
        """Meaning of every picture, by its first name."""
        return tuple(EmojiName.parse(names[0]) for names in self.names)

    @cached_property
    def sha256(self) -> str:
        """Digest of the pixels."""
        return fingerprint({"pictures": self.pictures})

    @staticmethod
    def kept(path: Path, source: Path, progress: Progress = silent) -> Album:
        """The album of a file; where it is missing, it is drawn first, which takes a minute, and written.

        Args:
            path: of the file, safetensors with a digest.
            source: folder of the unpacked npm package, see `Collection`.
            progress: receives (drawings made, drawings in all).

        Raises:
            ConfigError: the file is damaged, or the folder holds another collection.
            MissingExtraError: resvg-py is not installed.
        """
        file = Checkpoint(path, {"album": 1})
        if (found := file.read()) is None:
            album = draw_album(Collection.read(source), progress)
            file.write({"names": album.names}, {"pictures": album.pictures})
            return album
        numbers, tensors = found
        return Album(tensors["pictures"], tuple(tuple(names) for names in numbers["names"]))


def draw_album(collection: Collection, progress: Progress = silent) -> Album:
    """The distinct pictures of a collection, in its order.

    Args:
        collection: drawings and their names.
        progress: receives (drawings made, drawings in all).

    Raises:
        MissingExtraError: resvg-py is not installed.
    """
    found: dict[bytes, list[str]] = {}
    for count, (name, body) in enumerate(collection.bodies.items(), 1):
        # Pixels decide: a person and a man are drawn alike where the artist made no difference.
        found.setdefault(rasterise(body).tobytes(), []).append(name)
        progress(count, len(collection.bodies))
    others: dict[str, list[str]] = {}
    for alias, name in collection.aliases.items():
        others.setdefault(name, []).append(alias)
    names = tuple((*own, *(alias for name in own for alias in others.get(name, ()))) for own in found.values())
    pixels = np.stack([np.frombuffer(key, np.uint8).reshape(SIZE, SIZE, 3) for key in found])
    return Album(torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(), names)
