"""Ranges of settings, checked where a settings object is made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from gainnet.core.errors import check_range


@final
@dataclass(frozen=True)
class Interval:
    """An interval of real numbers; infinite ends are open.

    Args:
        least: lower end.
        most: upper end.
        above: whether the lower end is excluded.
        below: whether the upper end is excluded.

    >>> 0.0 in Interval(0, 1), 0.0 in Interval(0, 1, above=True), math.nan in Interval()
    (True, False, False)
    """

    least: float = -math.inf
    most: float = math.inf
    above: bool = False
    below: bool = False

    def __contains__(self, x: float) -> bool:
        inside = (self.least < x if self.above else self.least <= x) and (
            x < self.most if self.below else x <= self.most
        )
        # NaN fails every comparison, infinity passes those with an open end, and neither is a setting.
        return inside and math.isfinite(x)

    def __str__(self) -> str:
        opening, closing = "(" if self.above else "[", ")" if self.below or math.isinf(self.most) else "]"
        return f"{opening}{self.least:g}, {self.most:g}{closing}"


POSITIVE = Interval(0, above=True)
SHARE = Interval(0, 1)


def check_ranges(room: str, settings: object, ranges: Mapping[str, Interval]) -> None:
    """Raises `ConfigError` for the first field of a settings object that is out of its range.

    Args:
        room: what the settings are of, for the error.
        settings: the object.
        ranges: range by name of the field.
    """
    for name, interval in ranges.items():
        value = getattr(settings, name)
        check_range(value in interval, f"{room}.{name}", value, f"in {interval}")
