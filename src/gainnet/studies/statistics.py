"""Spread of a metric over random seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class Spread:
    """Mean, standard deviation and 95 % interval of the mean over random seeds.

    Args:
        num: number of random seeds.
        mean: arithmetic mean.
        std: sample standard deviation (divides by num - 1); `None` for one random seed.
        half_width: half of the 95 % interval; `None` for one random seed.
    """

    num: int
    mean: float
    std: float | None
    half_width: float | None

    @property
    def interval(self) -> tuple[float, float] | None:
        """(low, high) of the 95 % interval, `None` for one random seed."""
        return None if self.half_width is None else (self.mean - self.half_width, self.mean + self.half_width)


def spread(values: Sequence[float]) -> Spread:
    r"""Spread of independent repetitions, with Student's interval because random seeds are few.

    $\bar x \pm t_{0.975,\,n-1}\, s / \sqrt{n}$   (Student 1908)

    Args:
        values: one number per random seed.

    Raises:
        ValueError: no values.

    >>> spread([1.0, 2.0, 3.0]).interval
    (-0.48..., 4.48...)
    """
    from scipy.stats import t

    if not values:
        raise ValueError("spread of no values")
    n, mean = len(values), math.fsum(values) / len(values)
    if n == 1:
        return Spread(1, mean, None, None)
    std = math.sqrt(math.fsum((x - mean) ** 2 for x in values) / (n - 1))
    return Spread(n, mean, std, float(t.ppf(0.975, n - 1)) * std / math.sqrt(n))
