"""Counting the things in a picture of a scene, by their colour and outline: a classifier does not see two as two."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from gainnet.models.scenes.captions import Scene
from gainnet.models.scenes.rendering import OUTLINE_PIXELS, PALETTE, SIDE
from gainnet.models.scenes.scene import COLOURS, SHAPES
from gainnet.models.scenes.shapes import TABLE_REACH, distance_tables

COLOUR_ERROR = 0.16
"""How far each channel of a pixel may be from the colour of its thing."""
LEAST_PIXELS = 150
"""Of a thing, whose fill has 180 or more."""
LARGEST_SIDE = 110
"""Of what may be things; backgrounds of the same colour reach from border to border."""
LEAST_OVERLAP = 0.7
"""Intersection over union with the shape that fits best, at least .88 for a thing as it is drawn."""
MOST_PIXELS_ACROSS = 60
"""Of one thing with its outline."""
GAP = 2
RADII = tuple(range(18, 31))
REACH = 40
SHIFT = 4


def count_things(picture: Tensor, scene: Scene) -> int | None:
    """How many things of the colours that a scene names are in a picture; one that is two grown together is two.

    `None` where a thing is white, which nothing tells from snow, fog and clouds.

    Args:
        picture: [3, 128, 128], pixels in [0, 1].
        scene: what a caption names.

    >>> from gainnet.models.scenes import Thing, draw_scenes, render, stream
    >>> scenes = draw_scenes(1, stream(3, "doctest", 0))
    >>> thing = Thing(SHAPES[scenes.shape[0, 0]], COLOURS[scenes.colour[0, 0]], None)
    >>> count_things(render(scenes)[0], Scene((thing,), "single", None))
    1
    """
    named = {thing.colour for thing in scene.things}
    if "white" in named:
        return None
    colours = sorted(COLOURS.index(colour) for colour in named)
    return sum(_num_things(part) for colour in colours for part in _parts(picture, colour))


def _parts(picture: Tensor, colour: int) -> Iterator[NDArray[np.bool_]]:
    """Fills of one colour, each [128, 128], apart from each other by more than an outline."""
    # Where it is needed: a device that decodes and judges nothing does without scipy.
    from scipy import ndimage

    height = (torch.arange(SIDE) + 0.5).view(1, SIDE, 1) / SIDE
    fill = torch.tensor(PALETTE[colour]).view(3, 1, 1) / 255 * (1.04 - 0.12 * height)
    near = ((picture - fill).abs().amax(0) < COLOUR_ERROR).numpy()
    # The sail and the hull of a boat have an outline each: what is so near belongs together.
    labels, num_parts = ndimage.label(ndimage.binary_dilation(near, iterations=GAP))
    for number in range(1, num_parts + 1):
        part = near & (labels == number)
        rows, columns = _extent(part)
        if part.sum() >= LEAST_PIXELS and max(rows[1] - rows[0], columns[1] - columns[0]) < LARGEST_SIDE:
            yield part


def _extent(part: NDArray[np.bool_]) -> tuple[tuple[int, int], tuple[int, int]]:
    """First and last row, first and last column of what is there."""
    rows, columns = np.flatnonzero(part.any(1)), np.flatnonzero(part.any(0))
    return (int(rows[0]), int(rows[-1])), (int(columns[0]), int(columns[-1]))


def _num_things(part: NDArray[np.bool_]) -> int:
    rows, columns = _extent(part)
    across = max(rows[1] - rows[0], columns[1] - columns[0])
    # What looks like no shape is one badly drawn thing, unless it is larger than any.
    return 1 if across < MOST_PIXELS_ACROSS - 2 * OUTLINE_PIXELS or _overlap(part) >= LEAST_OVERLAP else 2


def _overlap(part: NDArray[np.bool_]) -> float:
    """Largest intersection over union of a fill with any shape of any size about its place."""
    (top, bottom), (left, right) = _extent(part)
    side, pad = REACH + SHIFT, 2 * REACH
    row, column = (top + bottom) // 2 + pad, (left + right) // 2 + pad
    window = np.pad(part, pad)[row - side : row + side + 1, column - side : column + side + 1]
    shapes = _shapes()
    common = functional.conv2d(torch.from_numpy(window.astype(np.float32))[None, None], shapes[:, None])[0]
    either = float(part.sum()) + shapes.sum((1, 2)).view(-1, 1, 1) - common
    return float((common / either).max())


@cache
def _shapes() -> Tensor:
    """[shapes x radii, 81, 81], 1 inside the fill of each shape at each size."""
    axis = torch.arange(-REACH, REACH + 1).float()
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1) / TABLE_REACH
    tables = distance_tables()[:, None]
    distances = [
        functional.grid_sample(table[None], grid[None] / radius, padding_mode="border", align_corners=False)[0, 0]
        * radius
        for table in tables
        for radius in RADII
    ]
    assert len(distances) == len(SHAPES) * len(RADII)
    return (torch.stack(distances) < -OUTLINE_PIXELS).float()
