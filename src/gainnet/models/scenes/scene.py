"""A scene: one or two coloured things before a background, as numbers drawn from a random seed."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import final

import numpy as np
from numpy.typing import NDArray

SHAPES = ("circle", "square", "triangle", "star", "heart", "house", "tree", "moon", "ring", "cross", "boat")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white")
SIZES = ("small", "large")
LAYOUTS = ("single", "vertical", "horizontal")
SETTINGS = (
    "at sunset",
    "at night",
    "on the sea",
    "in the snow",
    "in a meadow",
    "in the desert",
    "in the mountains",
    "in the city",
    "in a forest",
    "in the fog",
    "under water",
)
NUM_NUISANCES = 24

Pair = tuple[str, str]


def stream(random_seed: int, name: str, index: int) -> np.random.Generator:
    """Random numbers that depend on nothing but (random seed, name, index).

    >>> [int(stream(7, "pictures", index).integers(100)) for index in (3, 4, 3)]
    [18, 31, 18]
    """
    return np.random.default_rng([random_seed, zlib.crc32(name.encode()), index])


@final
@dataclass(frozen=True)
class Scenes:
    """A batch of scenes as index arrays; the first thing is the upper or the left one.

    Args:
        background: [n], index into `SETTINGS`.
        layout: [n], index into `LAYOUTS`.
        shape: [n, 2], index into `SHAPES`; the second column means nothing where the layout is single.
        colour: [n, 2], index into `COLOURS`; likewise.
        size: [n, 2], index into `SIZES`; likewise.
        nuisance: [n, 24], uniform numbers in [0, 1): positions, exact sizes, hills, waves and shades.
    """

    background: NDArray[np.int64]
    layout: NDArray[np.int64]
    shape: NDArray[np.int64]
    colour: NDArray[np.int64]
    size: NDArray[np.int64]
    nuisance: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.background)

    def __getitem__(self, index: NDArray[np.int64] | slice) -> Scenes:
        return Scenes(*(getattr(self, field.name)[index] for field in fields(self)))


def draw_scenes(num_scenes: int, rng: np.random.Generator) -> Scenes:
    """Scenes with every attribute uniform; a third of them hold a single thing.

    Args:
        num_scenes: how many, at least 1.
        rng: where the numbers come from.

    >>> draw_scenes(5, stream(0, "doctest", 0)).shape.shape
    (5, 2)
    """
    return Scenes(
        background=rng.integers(len(SETTINGS), size=num_scenes),
        layout=rng.integers(len(LAYOUTS), size=num_scenes),
        shape=rng.integers(len(SHAPES), size=(num_scenes, 2)),
        colour=rng.integers(len(COLOURS), size=(num_scenes, 2)),
        size=rng.integers(len(SIZES), size=(num_scenes, 2)),
        nuisance=rng.random((num_scenes, NUM_NUISANCES), dtype=np.float32),
    )


def has_pair(scenes: Scenes, pairs: Sequence[Pair]) -> NDArray[np.bool_]:
    """[n, 2], whether a visible thing is one of the (colour, shape) pairs.

    Args:
        scenes: the scenes to look at.
        pairs: (colour, shape) as words, for instance `("red", "star")`.
    """
    found = np.zeros(scenes.shape.shape, dtype=bool)
    for colour, shape in pairs:
        found |= (scenes.colour == COLOURS.index(colour)) & (scenes.shape == SHAPES.index(shape))
    # The second thing of a single scene has attributes, too, but is not drawn.
    found[:, 1] &= scenes.layout > 0
    return found
