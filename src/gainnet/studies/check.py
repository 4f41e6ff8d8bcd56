"""Computes drawn rows of a finished run again, and compares every printed digit with the table."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, Final, final

from gainnet.core.errors import ConfigError
from gainnet.studies.presets import settings_of
from gainnet.studies.registry import find_study
from gainnet.studies.results import RunFolder, damage_error, folder_of
from gainnet.studies.study import Case, Row, evaluate, round_digits

MEASURED: Final = "measured_"
"""Columns that begin with it are times of the machine, and never the same twice."""

# Quantities that are ratios of measured processor times, in studies older than the rule of the name.
MEASURED_ELSEWHERE: Final = frozenset({"fast_over_bit_level"})
SAME: Final = 1e-6
"""Relative difference of numbers that differ in their seventh digit at most: another processor rounds otherwise."""


@final
@dataclass(frozen=True)
class RowCheck:
    """A row that was computed again.

    Args:
        method: of the case.
        case: swept values and random seed as JSON.
        num_columns: that were compared.
        differing: names of those whose printed digits differ.
        largest: largest relative difference of a number; infinite where text differs or a value is missing.
        wall_s: measured seconds.
    """

    method: str
    case: str
    num_columns: int
    differing: tuple[str, ...]
    largest: float
    wall_s: float


@final
@dataclass(frozen=True)
class RunCheck:
    """Drawn rows of a run beside its table.

    Args:
        study: name of the study.
        folder: of the run.
        rows: that were computed again.
        left_out: methods of the run of which no row was drawn.
    """

    study: str
    folder: Path
    rows: tuple[RowCheck, ...]
    left_out: tuple[str, ...]

    @property
    def num_equal(self) -> int:
        """Rows all of whose printed digits are those of the table."""
        return sum(not row.differing for row in self.rows)

    @property
    def reproduces(self) -> bool:
        """Whether no number differs by more than the last printed digit."""
        return all(row.largest <= SAME for row in self.rows)

    def to_json(self) -> dict[str, Any]:
        """Counts, methods left out and every row as plain values."""
        counts = {"num_rows": len(self.rows), "num_equal": self.num_equal, "reproduces": self.reproduces}
        rows = [asdict(row) for row in self.rows]
        return {"study": self.study, "run": str(self.folder), **counts, "left_out": list(self.left_out), "rows": rows}


def check_run(
    folder: Path,
    num_rows: int = 20,
    methods: Collection[str] = (),
    random_seed: int = 0,
    progress: Callable[[int, int, str], None] = lambda num_finished, num_rows, method: None,
) -> RunCheck:
    """Computes rows of a finished run again; each method has one before any has two.

    Args:
        folder: of the run.
        num_rows: how many rows.
        methods: draws among these; among all of the run if empty.
        random_seed: of the draw.
        progress: called after every row.

    Raises:
        ConfigError: the folder holds no finished run, its table is damaged, or no row is of these methods.
    """
    kept_in = RunFolder(folder_of(folder))
    run = kept_in.read_run()
    if not run.get("complete"):
        raise ConfigError(f"run: {folder} holds no finished run; finish it with gainnet study run")
    study = find_study(str(run["source"]))
    config = settings_of(study, run["config"])
    found = list(study.cases(config))
    kept = dict(zip((case.key for case in found), _rows_of(kept_in.table_path), strict=False))
    drawn = set(_drawn([case for case in found if not methods or case.method in methods], num_rows, random_seed))
    if not drawn:
        raise ConfigError(f"methods: no row of {folder} is of {', '.join(methods)}; choose among {study.methods}")
    checks = []
    # In the order of the run, because methods remember the pictures of the last random seed.
    for case, row, wall_s in evaluate(study.open(config), [case for case in found if case.key in drawn]):
        old = kept.get(case.key, {})
        if any(_plain(_text(value)) != _plain(old.get(name, "")) for name, value in case.columns.items()):
            raise damage_error(kept_in.table_path, f"it lacks the row {case.key}")
        checks.append(_compared(case, row, old, wall_s))
        progress(len(checks), len(drawn), case.method)
    left_out = sorted({case.method for case in found} - {check.method for check in checks})
    return RunCheck(study.name, folder, tuple(checks), tuple(left_out))


def _drawn(cases: Sequence[Case], num_rows: int, random_seed: int) -> Iterator[str]:
    """Keys of drawn cases, methods in turn."""
    # All of them in a drawn order, of which the first of each method are taken in turn.
    shuffled = random.Random(random_seed).sample(list(cases), len(cases))
    of_method: dict[str, list[str]] = {}
    for case in shuffled:
        of_method.setdefault(case.method, []).append(case.key)
    turns = (key for key in chain.from_iterable(zip_longest(*of_method.values())) if key is not None)
    yield from (key for _, key in zip(range(num_rows), turns, strict=False))


def _rows_of(path: Path) -> list[dict[str, str]]:
    """Rows of a table as they are printed, in the order of the cases."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _plain(text: str) -> str:
    """A number in one form, because 10 and 10.0 are the same swept value."""
    try:
        return repr(float(text))
    except ValueError:
        return text


def _compared(case: Case, row: Row, old: Mapping[str, str], wall_s: float) -> RowCheck:
    # Times of the machine are never the same twice.
    names = [name for name in row if not name.startswith(MEASURED) and name not in MEASURED_ELSEWHERE]
    # Columns that are newer than the run say nothing of it.
    names = [name for name in names if name in old or not old]
    pairs = {name: (_text(round_digits(row[name])), old.get(name, "")) for name in names}
    distances = {name: _distance(*pair) for name, pair in pairs.items() if pair[0] != pair[1]}
    largest = max(distances.values(), default=0.0)
    return RowCheck(case.method, case.key, len(names), tuple(distances), largest, round(wall_s, 1))


def _text(value: Any) -> str:
    """A value as a CSV file shows it."""
    return "" if value is None else str(value)


def _distance(new: str, old: str) -> float:
    """Relative difference of two numbers; infinite where one is none."""
    try:
        first, second = float(new), float(old)
    except ValueError:
        return float("inf")
    return abs(first - second) / max(abs(first), abs(second), 1e-300)
