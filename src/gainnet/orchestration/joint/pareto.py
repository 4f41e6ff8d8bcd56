"""The area that points of two goods cover."""

from __future__ import annotations

from collections.abc import Iterable


def hypervolume(points: Iterable[tuple[float, float]], axes: tuple[float, float] = (1.0, 1.0)) -> float:
    """Area between the origin and points that are good where both numbers are large (Zitzler and Thiele 1999).

    Args:
        points: any.
        axes: units of both numbers, such as the best of each alone, > 0.

    >>> hypervolume([(1.0, 0.5), (0.5, 1.0), (0.4, 0.4)])
    0.75
    """
    area, highest = 0.0, 0.0
    # From the right: each point adds the strip above those that reach farther.
    for x, y in sorted(points, reverse=True):
        if y > highest:
            area += x * (y - highest)
            highest = y
    return area / (axes[0] * axes[1])
