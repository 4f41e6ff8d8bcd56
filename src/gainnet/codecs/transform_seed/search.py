"""The finest level of an item that a budget has room for, in few trials."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import final

import numpy as np

from gainnet.codecs.quantizer import STREAM_BITS
from gainnet.codecs.transform_seed.exact import Doubles
from gainnet.codecs.transform_seed.stream import CHECK_BITS, NUM_LEVELS, Quantised

MEAN_PADDING_BITS = 8
"""A stream is whole 32-bit words less the zeros at its end."""
NEAR_ENOUGH = 0.97
"""Of the room: a level is about so much shorter than the next finer one."""
LEAST_SLOPE, MOST_SLOPE = 0.5, 2.0


def usual_level(mean_bits: Sequence[float], max_bits: float | None) -> int:
    """The finest level whose items usually take at most `max_bits`; the coarsest where none does.

    Args:
        mean_bits: of items at every level, growing.
        max_bits: of an item.

    >>> usual_level([10.0, 20.0, 30.0], 25.0), usual_level([10.0, 20.0, 30.0], 5.0)
    (1, 0)
    """
    return max(0, bisect_right(mean_bits, max_bits or 0.0) - 1)


@final
class LevelSearch:
    r"""Bisection with predicted lengths: the logarithm of an item's bits is about linear in that of the mean bits.

    The first guess takes the item for a mean one, the second knows the offset, the third the slope, too.

    Args:
        means: [NUM_LEVELS], mean bits of items, growing.
        max_bits: most bits of the stream.
    """

    def __init__(self, means: Doubles, max_bits: float) -> None:
        self.best: Quantised | None = None
        self._log_means, self._max_bits = np.log(means), max_bits
        # What the check sum and the padding of a word take is not for values.
        self._log_room = math.log(max(max_bits - CHECK_BITS - MEAN_PADDING_BITS, 1.0))
        self._low, self._high, self._slope, self._offset = -1, NUM_LEVELS, 1.0, 0.0
        self._tried: tuple[float, float] | None = None
        self.level = self._next()

    @property
    def done(self) -> bool:
        """Whether the next finer level does not fit, as is known or predicted, or hardly improves the item."""
        if self.best is None or self._high - self._low <= 1:
            return self._high - self._low <= 1
        needed = max(self._predicted_log_bits(self._low + 1), math.log(self.best.bits / NEAR_ENOUGH))
        return needed > self._log_room

    def record(self, item: Quantised) -> None:
        """Takes the outcome of `level`, and moves `level` to the next one to try."""
        if _fits(item, self._max_bits):
            self._low, self.best = self.level, item
        else:
            self._high = self.level
        mean, own = float(self._log_means[self.level]), math.log(item.bits)
        if self._tried is not None and mean != self._tried[0]:
            # Secant through the last two trials, kept between half and twice the mean curve's slope against outliers.
            slope = (own - self._tried[1]) / (mean - self._tried[0])
            self._slope = min(max(slope, LEAST_SLOPE), MOST_SLOPE)
        self._tried, self._offset = (mean, own), own - self._slope * mean
        self.level = self._next()

    def _predicted_log_bits(self, level: int) -> float:
        return self._offset + self._slope * float(self._log_means[level])

    def _next(self) -> int:
        # The finest level that the line predicts to fit, but always inside of the open interval, so that it ends.
        fitting = int(np.searchsorted(self._log_means, (self._log_room - self._offset) / self._slope))
        return min(max(fitting - 1, self._low + 1), self._high - 1)


def _fits(item: Quantised, max_bits: float) -> bool:
    """Whether a stream keeps a budget; it is written only where its information does not tell."""
    if item.bits + STREAM_BITS <= max_bits:
        return True
    return item.bits + CHECK_BITS <= max_bits and 8 * len(item.stream) <= max_bits
