"""Metrics as people read them: only those that there are, each with its interval, and differences between two runs."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, final

HALF: Final = re.compile(r"[._]half_width")
"""Ending of the name of a half width, half of the 95 % interval of a metric; it may stand within the name."""


@final
@dataclass(frozen=True)
class Measured:
    """A metric and the ends of its interval.

    Args:
        name: of the metric.
        value: of it.
        low: end of the 95 % interval; `None` where the study gives none.
        high: the other end.
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None

    @property
    def half_width(self) -> float | None:
        """Half of the interval, `None` without one."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2

    @property
    def text(self) -> str:
        """The value and, behind ±, half of its interval; the digits of both end at the same place.

        >>> Measured("psnr_db", 30.1234, 29.9, 30.3).text, Measured("num_crops", 12.0).text
        ('30.12 ± 0.20', '12')
        """
        return with_half_width(self.value, self.half_width)


def with_half_width(value: float, half_width: float | None) -> str:
    """A number and, behind ±, half of its interval.

    Args:
        value: to write.
        half_width: of its interval; `None` or 0 writes the value alone, with five digits.

    >>> with_half_width(0.98765, 0.0123), with_half_width(1234.5, None)
    ('0.988 ± 0.012', '1234.5')
    """
    if not half_width or not math.isfinite(half_width):
        return f"{value:.5g}"
    # Two digits of what is uncertain, and no more of the value than that.
    digits = max(0, 1 - math.floor(math.log10(half_width)))
    return f"{value:.{digits}f} ± {half_width:.{digits}f}"


def measured(metrics: Mapping[str, float | None]) -> dict[str, Measured]:
    """Metrics with a value, by name; ends of intervals stand beside what they are of, not in rows of their own.

    Args:
        metrics: by name; `None` where a run did not compute one. Ends are called `.low` and `.high`, half widths
            `.half_width` or `_half_width`.

    >>> list(measured({"a": 1.0, "a.half_width": 0.5, "b": None, "c.mean": 2.0, "c.low": 1.0, "c.high": 3.0}).values())
    [Measured(name='a', value=1.0, low=0.5, high=1.5), Measured(name='c.mean', value=2.0, low=1.0, high=3.0)]
    """
    found = dict(_measured({name: value for name, value in metrics.items() if value is not None}))
    return {name: one for name, one in found.items() if not _is_end(name, found)}


def _measured(known: Mapping[str, float]) -> Iterator[tuple[str, Measured]]:
    halves = {HALF.sub("", name): value for name, value in known.items() if HALF.search(name)}
    for name, value in known.items():
        if name in halves and not HALF.search(name):
            yield name, Measured(name, value, value - halves[name], value + halves[name])
        else:
            stem = name.removesuffix(".mean")
            low, high = known.get(f"{stem}.low"), known.get(f"{stem}.high")
            yield name, Measured(name, value, low, high) if None not in (low, high) else Measured(name, value)


def _is_end(name: str, known: Mapping[str, Measured]) -> bool:
    """Whether a metric is the end of another's interval."""
    stem, dot, end = name.rpartition(".")
    if dot and end in ("low", "high"):
        return stem in known or f"{stem}.mean" in known
    return bool(HALF.search(name)) and HALF.sub("", name) in known


@final
@dataclass(frozen=True)
class Difference:
    """A metric in two runs.

    Args:
        name: of the metric.
        a: in the first; `None` where it has none.
        b: in the second.
    """

    name: str
    a: Measured | None
    b: Measured | None

    @property
    def value(self) -> float | None:
        """b - a, `None` where one is missing."""
        return None if self.a is None or self.b is None else self.b.value - self.a.value

    @property
    def half_width(self) -> float | None:
        r"""Half of the 95 % interval of b - a, $\sqrt{h_a^2 + h_b^2}$, as of runs that are independent of each other.

        Runs that share random seeds differ by less than that.
        """
        halves = [None if one is None else one.half_width for one in (self.a, self.b)]
        return None if halves[0] is None or halves[1] is None else math.hypot(halves[0], halves[1])

    def row(self) -> dict[str, str]:
        """For people: names of metrics may be broken at their dots."""
        value = self.value
        said = "–" if value is None else with_half_width(value, self.half_width)
        sides = {head: "–" if one is None else one.text for head, one in (("A", self.a), ("B", self.b))}
        return {"metric": self.name, **sides, "B - A": said if said.startswith(("-", "–")) else f"+{said}"}


def differences(a: Mapping[str, float | None], b: Mapping[str, float | None]) -> list[Difference]:
    """Metrics that one of two runs has, in the order of the first.

    Args:
        a: metrics of the first run.
        b: of the second.

    >>> [one.row()["B - A"] for one in differences({"x": 1.0, "y": 2.0}, {"x": 1.5, "z": None})]
    ['+0.5', '–']
    """
    first, second = measured(a), measured(b)
    return [Difference(name, first.get(name), second.get(name)) for name in dict.fromkeys((*first, *second))]
