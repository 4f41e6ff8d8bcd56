"""A study asks one question: methods, swept values, random seeds, and what the table says in the end."""

from __future__ import annotations

import json
import math
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import Field, dataclass
from itertools import product
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar, final

import pandas as pd
from matplotlib.figure import Figure

from gainnet.core.randomness import Random

CATALOG = Path(__file__).parent / "catalog"

Value = str | int | float | bool | None
Row = Mapping[str, Value]


@final
@dataclass(frozen=True)
class Case:
    """One cell of a study: a method at swept values with a random seed.

    Args:
        method: name of the method.
        values: swept values by column name, with unit suffixes.
        random_seed: non-negative; all methods of one random seed see the same noise.

    >>> Case("linear", {"snr_db": 0.0}, 7).key
    '{"method": "linear", "random_seed": 7, "snr_db": 0.0}'
    """

    method: str
    values: Mapping[str, Value]
    random_seed: int

    def text(self, name: str) -> str:
        """A swept value as text."""
        return str(self.values[name])

    def number(self, name: str) -> float:
        """A swept value as a number."""
        return float(self.text(name))

    def count(self, name: str) -> int:
        """A swept value as a whole number."""
        return int(self.text(name))

    @property
    def columns(self) -> dict[str, Value]:
        """Method, swept values and random seed: the columns in front of the metrics."""
        return {"method": self.method, **self.values, "random_seed": self.random_seed}

    @property
    def key(self) -> str:
        """One string per case, the same in every run."""
        # Sorted, so that listing the swept values in another order loses no finished case.
        return json.dumps(self.columns, sort_keys=True)


def grid(axes: Mapping[Any, Sequence[Any]]) -> Iterator[dict[str, Value]]:
    """Every combination of swept values, the last axis innermost.

    Args:
        axes: values by column; several columns that move together are one axis, a tuple of names.

    >>> list(grid({"harq": ["ir"], ("report_delay", "report_error_db"): [(0, 0.0), (4, 3.0)]}))[1]
    {'harq': 'ir', 'report_delay': 4, 'report_error_db': 3.0}
    """
    for point in product(*axes.values()):
        found: dict[str, Value] = {}
        for columns, value in zip(axes, point, strict=True):
            found |= {columns: value} if isinstance(columns, str) else dict(zip(columns, value, strict=True))
        yield found


class Method(Protocol):
    """One way to answer the question; may evaluate a batch of items and give one row."""

    def __call__(self, case: Case, random: Random, /) -> Row:
        """{metric: value} with unit suffixes; `None` where nothing fits; measured times only as `measured_..._s`."""


class StudyConfig(Protocol):
    """A frozen dataclass whose fields are the study's settings."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def random_seeds(self) -> tuple[int, ...]: ...


C = TypeVar("C", bound=StudyConfig)


def question_of(path: Path) -> str:
    """The question in a file of presets."""
    return str(tomllib.loads(path.read_text(encoding="utf-8"))["question"])


def round_digits(value: Value) -> Value:
    """Seven significant digits, so that the last bits of a sum do not make another table; not finite: `None`.

    >>> round_digits(1 / 3), round_digits(float("nan")), round_digits(True)
    (0.3333333, None, True)
    """
    # A bool is a number to Python, and must not become 1.0.
    if isinstance(value, bool) or not isinstance(value, float):
        return value
    return float(f"{value:.7g}") if math.isfinite(value) else None


def same_settings(table: dict[str, Any]) -> dict[str, Any]:
    """For studies whose settings never had other names."""
    return table


def no_warnings(config: Any) -> tuple[str, ...]:
    """For studies whose numbers need none."""
    return ()


@final
@dataclass(frozen=True)
class Study(Generic[C]):
    """A question, the cases that answer it, and how their table is read.

    config --cases--> case --method--> row of table.csv --summarise--> metrics
                                                    `----draw-------> figures

    Args:
        name: as on the command line.
        config: type of the settings; presets are validated against it.
        methods: names of all methods.
        metric_names: every metric of every preset; one that a preset does not compute is `None`.
        cases: the cases of a configuration, in the order of the table.
        open: loads what the methods need, and gives them by name; raises when a library is not installed.
        identity: sha256 by name of the weights it reads; other weights make another run.
        summarise: metrics from the table.
        draw: (file name, figure) pairs from the table.
        warnings: what has to be said wherever the numbers are shown.
        current: settings as an earlier version wrote them, under the names of today.
        catalog: folder that holds `<name>.toml` with the question and the presets.
    """

    name: str
    config: type[C]
    methods: tuple[str, ...]
    metric_names: tuple[str, ...]
    cases: Callable[[C], Iterable[Case]]
    open: Callable[[C], Mapping[str, Method]]
    identity: Callable[[C], Mapping[str, str]]
    summarise: Callable[[pd.DataFrame], Mapping[str, float | None]]
    draw: Callable[[pd.DataFrame], Iterable[tuple[str, Figure]]]
    warnings: Callable[[C], tuple[str, ...]] = no_warnings
    current: Callable[[dict[str, Any]], dict[str, Any]] = same_settings
    catalog: Path = CATALOG

    @property
    def question(self) -> str:
        """The one sentence that the study answers, from the file of its presets."""
        return question_of(self.catalog / f"{self.name}.toml")


def evaluate(methods: Mapping[str, Method], todo: Iterable[Case]) -> Iterator[tuple[Case, Row, float]]:
    """Each case with its row and the seconds it took.

    Raises:
        KeyError: a case names a method that is not among them.
    """
    for case in todo:
        start_s = time.perf_counter()
        row = methods[case.method](case, Random.of(case.random_seed))
        yield case, row, time.perf_counter() - start_s
