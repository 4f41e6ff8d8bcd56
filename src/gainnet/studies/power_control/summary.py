"""What the table of power-control says: shares of the optimum's gain, and differences to the best rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from gainnet.studies.power_control.question import LEARNED, LIMIT, PROGRAMMED, RULES
from gainnet.studies.statistics import spread

if TYPE_CHECKING:
    import pandas as pd

SHARES_DB = (15.0, 20.0)
DIFFERENCES = ("unequal", "decoder", "traces", "unequal_independent", "jakes", "varied")
OPPONENTS = (*RULES, *PROGRAMMED)
CONDITIONS = ("equal", *DIFFERENCES)
METRIC_NAMES = (
    *(f"share_of_causal_gain.{snr:g}db" for snr in SHARES_DB),
    *(f"share_of_causal_gain.{snr:g}db.{x}" for snr in SHARES_DB for x in (*LEARNED, "half_width", "replanned")),
    "learned_minus_static_db.min",
    *(f"learned_minus_best_causal_db.{name}" for name in DIFFERENCES),
    *(f"causal_gain_db.{snr:g}db" for snr in (0, 5, 10, 15, 20)),
    *(f"non_causal_gain_db.{snr:g}db" for snr in (0, 5, 10, 15, 20)),
    "energy_over_budget.max",
)  # fmt: skip


def gains(table: pd.DataFrame) -> pd.DataFrame:
    """One row per condition, SNR, method and training seed: the gain over static power, mean over random seeds."""
    played = table[table["condition"].isin(CONDITIONS)].copy()
    played["snr_db"] = played["snr_db"].fillna(played.get("mean_snr_db", 0.0))
    played["training_seed"] = played["training_seed"].fillna(-1)
    keys = ["condition", "snr_db", "method", "training_seed"]
    return played.groupby(keys, as_index=False)[["gain_over_static_db", "quality_db"]].mean()


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """Every metric of the study."""
    found = gains(table)
    return {name: round(value, 5) for name, value in _metrics(table, found) if value is not None}


def _metrics(table: pd.DataFrame, found: pd.DataFrame) -> Iterator[tuple[str, float | None]]:
    equal = found[found["condition"] == "equal"]
    for snr in (0, 5, 10, 15, 20):
        yield f"causal_gain_db.{snr:g}db", _mean(equal, "dp_independent", snr)
        yield f"non_causal_gain_db.{snr:g}db", _mean(equal, LIMIT, snr)
    for snr_db in SHARES_DB:
        yield from _shares(equal, snr_db)
    best = best_algorithm(found)
    if best is not None:
        learned = found[found["method"] == best]
        means = learned.groupby(["condition", "snr_db"])["gain_over_static_db"].mean()
        yield "learned_minus_static_db.min", float(means.min())
    for condition in DIFFERENCES:
        yield f"learned_minus_best_causal_db.{condition}", _difference(found[found["condition"] == condition])
    if "energy_most" in table and table["energy_most"].notna().any():
        yield "energy_over_budget.max", float(table["energy_most"].max() - 1)


def _shares(equal: pd.DataFrame, snr_db: float) -> Iterator[tuple[str, float | None]]:
    """Gain of a learned policy over that of the causal optimum, per training seed."""
    optimum = _mean(equal, "dp_independent", snr_db)
    if not optimum:
        return
    name = f"share_of_causal_gain.{snr_db:g}db"
    spreads = {}
    for method in LEARNED:
        own = equal[(equal["method"] == method) & (equal["snr_db"] == snr_db)]
        if len(own):
            spreads[method] = spread([float(x) / optimum for x in own["gain_over_static_db"]])
            yield f"{name}.{method}", spreads[method].mean
    rule = _mean(equal, "replanned", snr_db)
    yield f"{name}.replanned", None if rule is None else rule / optimum
    if spreads:
        best = max(spreads.values(), key=lambda found: found.mean)
        yield name, best.mean
        yield f"{name}.half_width", best.half_width


def best_algorithm(found: pd.DataFrame) -> str | None:
    """The algorithm with the largest mean gain where blocks matter alike; `None` where none was learned."""
    own = found[found["method"].isin(LEARNED) & (found["condition"] == "equal")]
    return None if own.empty else str(own.groupby("method")["gain_over_static_db"].mean().idxmax())


def _difference(found: pd.DataFrame) -> float | None:
    """Learned gain (mean over training seeds) over that of the best rule at each SNR, mean over SNRs."""
    learned = found[found["method"].isin(LEARNED)].groupby(["snr_db", "method"])["gain_over_static_db"].mean()
    rules = found[found["method"].isin(OPPONENTS)].groupby("snr_db")["gain_over_static_db"].max()
    if learned.empty or rules.empty:
        return None
    return float((learned.groupby("snr_db").max() - rules).mean())


def _mean(equal: pd.DataFrame, method: str, snr_db: float) -> float | None:
    own = equal[(equal["method"] == method) & (equal["snr_db"] == snr_db)]
    return None if own.empty else float(own["gain_over_static_db"].mean())


__all__ = ["CONDITIONS", "METRIC_NAMES", "best_algorithm", "gains", "summarise"]
