"""Expected sizes of picture codecs, measured on renders of the scenes data set."""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

NUM_PIXELS = 128 * 128
"""Pixels of the pictures that were measured."""


def expected_bits(name: str, num_pixels: int, quality: int, max_bits: float | None) -> float:
    """Mean bits of a picture, from `image_sizes.json` (`benchmarks/codecs.py --image-sizes` measures it).

    Bits per pixel and budget per pixel are taken as those of the measured size of picture.

    Args:
        name: Pillow's name of the format.
        num_pixels: of one picture.
        quality: of every picture when `max_bits` is `None`.
        max_bits: budget of one picture.

    >>> expected_bits("WEBP", NUM_PIXELS, 75, 31.0)
    0.0
    """
    table = _tables()[name]
    share = num_pixels / NUM_PIXELS
    if max_bits is None:
        return share * _interpolate(table["quality"], quality)
    if max_bits < 32:
        return 0.0
    largest = table["max_bits"][-1][0]
    return share * _interpolate(table["max_bits"], min(max_bits / share, largest))


def _interpolate(points: list[list[float]], x: float) -> float:
    """Linear in the logarithms of the bits."""
    return math.exp(float(np.interp(x, [p for p, _ in points], [math.log(bits) for _, bits in points])))


@cache
def _tables() -> dict[str, Any]:
    tables: dict[str, Any] = json.loads((Path(__file__).parent / "image_sizes.json").read_text())
    return tables
