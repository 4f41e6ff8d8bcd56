"""Metrics of the study learning-faults: sums over all kills."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from gainnet.studies.learning_faults.question import METHODS, METRIC_NAMES, PHASES, ROLES


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """Every metric; of a method that was not run `None`."""
    found: dict[str, float | None] = {}
    for method in METHODS:
        rows = table[table["method"] == method]
        found[f"kills.{method}"] = float(rows["kills"].sum()) if len(rows) else None
    found |= {f"kills.{phase}": float(table[table["phase"] == phase]["kills"].sum()) for phase in PHASES}
    for role in ROLES:
        found[f"kills.{role}"] = float(table[table["process"].str.startswith(role)]["kills"].sum())
    found |= {name: float(table[name].sum()) for name in ("kills", "lost", "different", "inconsistent", "rounds")}
    return {name: found[name] for name in METRIC_NAMES}
