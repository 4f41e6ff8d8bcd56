"""Two runs of one study side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import pandas as pd

from gainnet.core.errors import ConfigError
from gainnet.studies.measured import Difference, differences
from gainnet.studies.results import RunFolder, folder_of


@final
@dataclass(frozen=True)
class Comparison:
    """How two runs of a study differ.

    Args:
        study: name of the study.
        settings: (a, b) of every setting, identity or version that differs, by name.
        metrics: (a, b) of every metric, by name.
        table: the rows of both tables by method, swept values and random seed; metrics end in `_a` and `_b`.
    """

    study: str
    settings: Mapping[str, tuple[Any, Any]]
    metrics: Mapping[str, tuple[float | None, float | None]]
    table: pd.DataFrame

    def differences(self) -> list[Difference]:
        """Metrics that one of the runs has, each with its interval where the study gives one."""
        a, b = ({name: pair[side] for name, pair in self.metrics.items()} for side in (0, 1))
        return differences(a, b)

    def rows(self) -> list[dict[str, Any]]:
        """One row per metric, with the difference where both runs have it."""
        return [
            {"metric": name, "a": a, "b": b, "b - a": None if a is None or b is None else b - a}
            for name, (a, b) in self.metrics.items()
        ]

    def to_json(self) -> dict[str, Any]:
        """Settings and metrics as plain values: b - a where both are numbers, and half of its 95 % interval."""
        metrics = {row["metric"]: {"a": row["a"], "b": row["b"], "difference": row["b - a"]} for row in self.rows()}
        for one in self.differences():
            if one.half_width is not None:
                metrics[one.name]["difference_half_width"] = one.half_width
        return {"study": self.study, "settings": {k: list(v) for k, v in self.settings.items()}, "metrics": metrics}


def compare(a: Path, b: Path) -> Comparison:
    """The runs in two folders side by side.

    Raises:
        ConfigError: a folder holds no finished run or a damaged one, or they belong to different studies.
    """
    a, b = folder_of(a), folder_of(b)
    first, second = (_finished(path) for path in (a, b))
    if first["study"] != second["study"]:
        raise ConfigError(
            f"run: {a} is a run of {first['study']}, {b} one of {second['study']}; compare like with like"
        )
    metrics = _pairs(first["metrics"], second["metrics"])
    settings = {name: pair for name, pair in _pairs(_settings(first), _settings(second)).items() if pair[0] != pair[1]}
    tables = [RunFolder(path).read_table() for path in (a, b)]
    try:
        table = _joined(*tables)
    except ValueError:  # text in the place of numbers
        raise ConfigError(f"run: the tables of {a} and {b} do not fit together; run the damaged one again") from None
    return Comparison(first["study"], settings, metrics, table)


def _finished(path: Path) -> dict[str, Any]:
    run = RunFolder(path).read_run()
    if not run.get("complete"):
        raise ConfigError(f"run: {path} holds no finished run; finish it with gainnet study run")
    return run


def _settings(run: dict[str, Any]) -> dict[str, Any]:
    groups = {"config": run["config"], "identity": run["identity"], "version": run["versions"]}
    flat = {f"{group}.{name}": value for group, values in groups.items() for name, value in values.items()}
    return flat | {"commit": run["commit"]}


def _pairs(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {name: (a.get(name), b.get(name)) for name in dict.fromkeys((*a, *b))}


def _joined(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """The key columns are those up to `random_seed`, in every table."""
    keys = [name for name in a.columns[: list(a.columns).index("random_seed") + 1] if name in b.columns]
    return a.merge(b, how="outer", on=keys, suffixes=("_a", "_b"))
