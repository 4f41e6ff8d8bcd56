"""From rows to metrics: parts of a table, means with their spread over random seeds, and pairs of methods."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar, final

import pandas as pd
from scipy.stats import t

T = TypeVar("T")


@final
@dataclass(frozen=True)
class Spread:
    """Mean, standard deviation and 95 % interval of the mean over random seeds.

    Args:
        num: number of random seeds.
        mean: arithmetic mean.
        std: sample standard deviation (divides by num - 1); `None` for one random seed.
        half_width: half of the 95 % interval; `None` for one random seed.

    >>> found = spread([21.0, 22.0, 23.0])
    >>> found.mean, found.std, round(found.half_width, 2)
    (22.0, 1.0, 2.48)
    """

    num: int
    mean: float
    std: float | None
    half_width: float | None

    @property
    def interval(self) -> tuple[float, float] | None:
        """(low, high) of the 95 % interval, `None` for one random seed."""
        return None if self.half_width is None else (self.mean - self.half_width, self.mean + self.half_width)

    @property
    def error_bar(self) -> float:
        """The half width as a figure draws it: nothing for one random seed."""
        return self.half_width or 0.0


def spread(values: Iterable[float]) -> Spread:
    r"""Spread of independent repetitions, with Student's interval because random seeds are few.

    $\bar x \pm t_{0.975,\,n-1}\, s / \sqrt{n}$   (Student 1908)

    Args:
        values: one number per random seed.

    Raises:
        ValueError: no values.

    >>> spread([1.0, 2.0, 3.0]).interval
    (-0.48..., 4.48...)
    """
    found = [float(x) for x in values]
    if not found:
        raise ValueError("spread of no values")
    # Exact sums, so that the order of the random seeds does not change the last digit.
    n, mean = len(found), math.fsum(found) / len(found)
    if n == 1:
        return Spread(1, mean, None, None)
    std = math.sqrt(math.fsum((x - mean) ** 2 for x in found) / (n - 1))
    return Spread(n, mean, std, float(t.ppf(0.975, n - 1)) * std / math.sqrt(n))


def spreads(rows: pd.DataFrame, by: str | list[str], column: str) -> pd.DataFrame:
    """Spread of a column in groups of rows, one row per group.

    Args:
        rows: one row per repetition; empty values are passed over.
        by: columns that name a group.
        column: what is averaged.

    Returns:
        Columns of `by`, `mean`, `error_bar` (half of the 95 % interval, 0 for one repetition), `low` and `high` (its
        ends).
    """
    groups = rows.dropna(subset=[column]).groupby(by)[column]
    found = groups.agg(mean=lambda x: spread(x).mean, error_bar=lambda x: spread(x).error_bar)
    low, high = found["mean"] - found["error_bar"], found["mean"] + found["error_bar"]
    ends: pd.DataFrame = found.assign(low=low, high=high).reset_index()
    return ends


def at(rows: pd.DataFrame, **values: Any) -> pd.DataFrame:
    """Rows that have given values in given columns.

    >>> at(pd.DataFrame({"snr_db": [0, 10], "psnr_db": [20.0, 30.0]}), snr_db=10)["psnr_db"].tolist()
    [30.0]
    """
    for column, value in values.items():
        rows = rows[rows[column] == value]
    return rows


def present(rows: pd.DataFrame, column: str, names: Iterable[T]) -> list[T]:
    """Those of some values that a column holds, in their own order.

    >>> present(pd.DataFrame({"method": ["webp", "linear"]}), "method", ("linear", "raw"))
    ['linear']
    """
    held = set(rows[column])
    return [name for name in names if name in held]


def beside(rows: pd.DataFrame, baseline: pd.DataFrame, keys: list[str], column: str) -> pd.Series[Any]:
    """Value of a baseline under the very conditions of every row, so that what both share cancels in a difference.

    Args:
        rows: of any methods.
        baseline: rows of one method, at most one per combination of the keys.
        keys: columns of what two rows have to share to be a pair: world or random seed, and the swept values.
        column: of the baseline.

    Returns:
        One value per row, under the index of `rows`; NaN where the baseline has none.

    >>> rows = pd.DataFrame({"method": ["a", "b"], "random_seed": [7, 7], "loss": [4.0, 3.0]})
    >>> beside(rows, at(rows, method="a"), ["random_seed"], "loss").tolist()
    [4.0, 4.0]
    """
    return rows[keys].join(baseline.set_index(keys)[column].rename("baseline"), on=keys)["baseline"]


def named(values: pd.Series[Any], form: str) -> dict[str, float]:
    """Metrics whose names hold the keys of a group.

    >>> named(pd.Series({("linear", 0.0): 30.0}), "psnr_db.{}.{:g}db")
    {'psnr_db.linear.0db': 30.0}
    """
    return {form.format(*(key if isinstance(key, tuple) else (key,))): x for key, x in keyed(values)}


def keyed(values: pd.Series[Any]) -> Iterable[tuple[Any, float]]:
    """Pairs of a group's key and its value, as plain floats."""
    return ((key, float(x)) for key, x in values.items())


def uses_for(psnr_db: float, nums_channel_uses: Sequence[float], psnrs_db: Sequence[float]) -> float | None:
    """Smallest number of channel uses that reaches a PSNR; linear in dB over the logarithm of uses between points.

    Args:
        psnr_db: what has to be reached.
        nums_channel_uses: swept budgets, ascending.
        psnrs_db: PSNR at each.

    Returns:
        `None` where no budget reaches it; the smallest budget where that reaches it already.

    >>> uses_for(30.0, [64, 256, 1024], [20.0, 28.0, 32.0])
    512.0
    >>> uses_for(40.0, [64, 256], [20.0, 28.0]) is None
    True
    """
    points = list(zip(nums_channel_uses, psnrs_db, strict=True))
    if points and points[0][1] >= psnr_db:
        return float(points[0][0])
    # Over the logarithm of uses, because PSNR grows by about as many dB with every doubling.
    for (uses, below_db), (more_uses, above_db) in pairwise(points):
        if above_db >= psnr_db:
            share = (psnr_db - below_db) / (above_db - below_db)
            return float(round(uses * (more_uses / uses) ** share, 6))
    return None


def round_metrics(found: Mapping[str, Any], digits: int) -> dict[str, float | None]:
    """Metrics as plain floats with so many decimal places; `None` stays.

    >>> round_metrics({"psnr_db": 27.12345, "ssim": None}, 3)
    {'psnr_db': 27.123, 'ssim': None}
    """
    return {name: None if value is None else round(float(value), digits) for name, value in found.items()}


def psnr_db(mse: float) -> float:
    """PSNR of values in [0, 1], at most 120 dB.

    >>> psnr_db(0.001), psnr_db(0.0)
    (30.0, 120.0)
    """
    # An exact picture would be infinitely good, and no mean could hold that.
    return -10.0 * math.log10(max(mse, 1e-12))


def psnr_cells(table: pd.DataFrame, keys: list[str], means: Sequence[str] = ()) -> pd.DataFrame:
    """Quality of received pictures over the random seeds, one row per combination of the keys.

    Args:
        table: columns `mse`, empty where nothing could be sent, and `psnr_db`, one row per random seed.
        keys: columns of a cell.
        means: other columns, of which the mean is kept where the table has them.

    Returns:
        `psnr_db` is the PSNR of the mean MSE over all pictures of all random seeds; `low_db` and `high_db` are that
        minus and plus half of Student's 95 % interval of the PSNR over random seeds (NaN for one).
    """
    groups = table.dropna(subset=["mse"]).groupby(keys, sort=False)
    found = groups[["mse", *(name for name in means if name in table)]].mean()
    half_width_db = groups["psnr_db"].agg(lambda values: spread(values).half_width or math.nan)
    # The mean MSE, not the mean of decibels: one lost picture has to show.
    found["psnr_db"] = found["mse"].map(psnr_db)
    return found.assign(low_db=found["psnr_db"] - half_width_db, high_db=found["psnr_db"] + half_width_db).reset_index()
