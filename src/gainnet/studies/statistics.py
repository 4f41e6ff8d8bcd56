"""Spread of a metric over random seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import pandas as pd
from scipy.stats import t


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
    n, mean = len(found), math.fsum(found) / len(found)
    if n == 1:
        return Spread(1, mean, None, None)
    std = math.sqrt(math.fsum((x - mean) ** 2 for x in found) / (n - 1))
    return Spread(n, mean, std, float(t.ppf(0.975, n - 1)) * std / math.sqrt(n))


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
    return -10.0 * math.log10(max(mse, 1e-12))


def psnr_cells(table: pd.DataFrame, keys: list[str], means: Sequence[str] = ()) -> pd.DataFrame:
    """Quality of received pictures over the random seeds, one row per combination of the keys.

    Args:
        table: columns `mse`, empty where nothing could be sent, and `psnr_db`, one row per random seed.
        keys: columns of a cell.
        means: other columns, of which the mean is kept where the table has them.

    Returns:
        `psnr_db` is the PSNR of the mean MSE over all pictures of all random seeds, `half_width_db` half of Student's
        95 % interval of the PSNR over random seeds (NaN for one).
    """
    groups = table.dropna(subset=["mse"]).groupby(keys, sort=False)
    found = groups[["mse", *(name for name in means if name in table)]].mean()
    half_widths = [spread(values).half_width for _, values in groups["psnr_db"]]
    found["psnr_db"] = [psnr_db(mse) for mse in found["mse"]]
    found["half_width_db"] = [math.nan if half_width is None else half_width for half_width in half_widths]
    return found.reset_index()
