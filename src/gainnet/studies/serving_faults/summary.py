"""Metrics of the study serving-faults: sums over all kills and frames."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from gainnet.studies.serving_faults.question import COLD, METRIC_NAMES, PHASES, VICTIMS


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """Every metric; `None` where a run holds no row that counts for it."""
    killed = table[table["method"].isin(VICTIMS)]
    found: dict[str, float | None] = {"kills": _sum(killed, "kills"), "tracebacks": _sum(table, "tracebacks")}
    found |= {f"kills.{victim}": _sum(killed[killed["method"] == victim], "kills") for victim in VICTIMS}
    found |= {f"kills.{phase}": _sum(killed[killed["phase"] == phase], "kills") for phase in PHASES}
    found["kills.cold"] = _sum(killed[killed["start"] == COLD], "kills")
    found |= {name: _sum(table, name) for name in ("lost", "different", "malformed_frames")}
    found["malformed_frames.tls"] = _sum(table, "malformed_frames_tls")
    columns = {"": "strangers", ".let_in": "strangers_let_in"}
    found |= {f"strangers{suffix}": _sum(table, name) for suffix, name in columns.items()}
    found["served_beside_strangers"] = _sum(table, "measured_num_served")
    growth = table.get("measured_memory_growth_bytes")
    found["memory_growth_bytes"] = None if growth is None or growth.isna().all() else float(growth.max())
    return {name: found[name] for name in METRIC_NAMES}


def _sum(rows: pd.DataFrame, column: str) -> float | None:
    """Sum of a column, without rows that do not have it."""
    values = rows.get(column)
    return None if values is None or values.isna().all() else float(values.sum())
