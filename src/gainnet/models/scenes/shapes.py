"""Signed distances of the shapes: negative inside, in units where a shape is about 1 high and wide from its centre."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from math import cos, pi, sin

import torch
from torch import Tensor

from gainnet.models.scenes.scene import SHAPES

TABLE_SIDE = 160
TABLE_REACH = 1.25

Point = tuple[float, float]

_HOUSE: Sequence[Point] = ((0, -1), (1, -0.15), (0.74, -0.15), (0.74, 0.9), (-0.74, 0.9), (-0.74, -0.15), (-1, -0.15))
_TREE: Sequence[Point] = (
    (0, -1.05),
    (0.55, -0.3),
    (0.35, -0.3),
    (0.9, 0.5),
    (0.2, 0.5),
    (0.2, 1),
    (-0.2, 1),
    (-0.2, 0.5),
    (-0.9, 0.5),
    (-0.35, -0.3),
    (-0.55, -0.3),
)
_CROSS: Sequence[Point] = tuple(
    (x * s, y * t)
    for s, t, turn in ((1, 1, 1), (-1, 1, -1), (-1, -1, 1), (1, -1, -1))
    for x, y in ((1, 0.33), (0.33, 0.33), (0.33, 1))[::turn]
)
_HULL: Sequence[Point] = ((-1, 0.25), (1, 0.25), (0.6, 0.95), (-0.6, 0.95))
_SAIL: Sequence[Point] = ((-0.4, -1.05), (0.85, 0.3), (-0.4, 0.3))


def _star() -> list[Point]:
    radii = (1.08, 0.5)
    return [(radii[k % 2] * sin(k * pi / 5), 0.06 - radii[k % 2] * cos(k * pi / 5)) for k in range(10)]


def _heart() -> list[Point]:
    angles = [2 * pi * k / 40 for k in range(40)]
    heights = [13 * cos(a) - 5 * cos(2 * a) - 2 * cos(3 * a) - cos(4 * a) for a in angles]
    return [(sin(a) ** 3, -(h + 2.5) / 15) for a, h in zip(angles, heights, strict=True)]


_POLYGONS: Mapping[str, Sequence[Point]] = {
    "square": ((-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)),
    "triangle": ((0, -1), (1, 0.85), (-1, 0.85)),
    "star": _star(),
    "heart": _heart(),
    "tree": _TREE,
    "cross": _CROSS,
}


def polygon_distance(points: Tensor, corners: Sequence[Point]) -> Tensor:
    """[...], signed distance to a closed polygon (Quilez, "2D distance functions").

    Args:
        points: [..., 2], where to measure.
        corners: the polygon's corners in order.

    >>> polygon_distance(torch.tensor([[0.0, 0.0], [3.0, 0.0]]), ((-1, -1), (1, -1), (1, 1), (-1, 1))).tolist()
    [-1.0, 2.0]
    """
    nearest = torch.full(points.shape[:-1], torch.inf)
    sign = torch.ones(points.shape[:-1])
    for here, there in zip(corners, [*corners[1:], corners[0]], strict=True):
        start = torch.tensor(here, dtype=points.dtype)
        edge = torch.tensor(there, dtype=points.dtype) - start
        offset = points - start
        along = ((offset @ edge) / (edge @ edge)).clamp(0, 1)
        nearest = torch.minimum(nearest, (offset - along[..., None] * edge).square().sum(-1))
        # Each edge that a ray from the point crosses turns the sign: inside after an odd number of them.
        crosses = (start[1] <= points[..., 1]) != (start[1] + edge[1] <= points[..., 1])
        left = (edge[0] * offset[..., 1] - edge[1] * offset[..., 0]) * edge[1].sign() > 0
        sign = torch.where(crosses & left, -sign, sign)
    return sign * nearest.sqrt()


def _distance(shape: str, points: Tensor) -> Tensor:
    radius: Tensor = torch.linalg.vector_norm(points, dim=-1)
    match shape:
        case "circle":
            return radius - 0.95
        case "house":
            door = polygon_distance(points, ((-0.2, 0.3), (0.2, 0.3), (0.2, 1.3), (-0.2, 1.3)))
            return torch.maximum(polygon_distance(points, _HOUSE), -door)
        case "moon":
            bite = torch.linalg.vector_norm(points - torch.tensor([0.52, -0.2]), dim=-1) - 0.72
            # The larger of a distance and a negated one cuts one shape out of the other.
            return torch.maximum(radius - 1, -bite)
        case "ring":
            return (radius - 0.7).abs() - 0.27
        case "boat":
            return torch.minimum(polygon_distance(points, _HULL), polygon_distance(points, _SAIL))
        case _:
            return polygon_distance(points, _POLYGONS[shape])


@cache
def distance_tables() -> Tensor:
    """[num_shapes, 160, 160], signed distances on a grid over [-1.25, 1.25]^2, to be read by interpolation.

    >>> distance_tables().shape[0] == len(SHAPES)
    True
    """
    axis = (torch.arange(TABLE_SIDE) + 0.5) / TABLE_SIDE * 2 * TABLE_REACH - TABLE_REACH
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    points = torch.stack((x, y), dim=-1)
    with torch.autocast("cpu", enabled=False):  # whoever asks first may be in one, and all that ask later get the same
        return torch.stack([_distance(shape, points) for shape in SHAPES])
