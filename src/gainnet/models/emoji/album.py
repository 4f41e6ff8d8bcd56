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
from gainnet.models.emoji.names import EmojiName
from gainnet.models.emoji.source import Collection, rasterise


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
        """What every picture shows, by its first name."""
        return tuple(EmojiName.parse(names[0]) for names in self.names)

    @cached_property
    def sha256(self) -> str:
        """Digest of the pixels."""
        return fingerprint({"pictures": self.pictures})

    @staticmethod
    def draw(source: Path, progress: Callable[[int, int], None] = lambda drawn, total: None) -> Album:
        """The pictures of the collection in a folder, in the collection's order; takes a minute.

        Args:
            source: folder of the unpacked npm package, see `Collection`.
            progress: receives (drawings made, drawings in all).

        Raises:
            ConfigError: the folder holds another collection.
            MissingExtraError: resvg-py is not installed.
        """
        collection = Collection.read(source)
        found: dict[bytes, list[str]] = {}
        for count, (name, body) in enumerate(collection.bodies.items(), 1):
            # Pixels decide: a person and a man are drawn alike where the artist made no difference.
            found.setdefault(rasterise(body).tobytes(), []).append(name)
            progress(count, len(collection.bodies))
        others: dict[str, list[str]] = {}
        for alias, name in collection.aliases.items():
            others.setdefault(name, []).append(alias)
        names = tuple((*own, *(alias for name in own for alias in others.get(name, ()))) for own in found.values())
        pixels = np.stack([np.frombuffer(key, np.uint8).reshape(128, 128, 3) for key in found])
        return Album(torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(), names)

    @staticmethod
    def kept(path: Path, source: Path, progress: Callable[[int, int], None] = lambda drawn, total: None) -> Album:
        """The album of a file, drawn and written there first where it is missing.

        Args:
            path: of the file, safetensors with a digest.
            source: as of `draw`.
            progress: as of `draw`.

        Raises:
            ConfigError: the file is damaged, or as `draw`.
        """
        file = Checkpoint(path, {"album": 1})
        if (found := file.read()) is None:
            album = Album.draw(source, progress)
            file.write({"names": album.names}, {"pictures": album.pictures})
            return album
        numbers, tensors = found
        return Album(tensors["pictures"], tuple(tuple(names) for names in numbers["names"]))
