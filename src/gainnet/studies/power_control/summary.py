"""Metrics of the study power-control: shares of the optimum's gain, and differences to the best rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from gainnet.studies.power_control.question import LEARNED, LIMIT, PROGRAMMED, RULES
from gainnet.studies.statistics import at, round_metrics, spread

SHARES_DB = (15.0, 20.0)
DIFFERENCES = ("unequal", "decoder", "traces", "unequal_independent", "jakes", "varied")
MODEL_FREE = ("ppo", "sac")
"""Algorithms that know nothing of the environment; the share of the optimum's gain is theirs."""
OPPONENTS = (*RULES, *PROGRAMMED)
CONDITIONS = ("equal", *DIFFERENCES)
METRIC_NAMES = (
    *(f"share_of_causal_gain.{snr:g}db" for snr in SHARES_DB),
    *(f"share_of_causal_gain.{snr:g}db.{x}" for snr in SHARES_DB for x in (*LEARNED, "half_width", "replanned")),
    "learned_minus_static_db.min",
    *(f"learned_minus_best_causal_db.{name}" for name in DIFFERENCES),
    *(f"learned_minus_best_causal_db.{name}.{x}" for name in DIFFERENCES for x in LEARNED),
    *(f"{name}.{snr}db" for name in ("causal_gain_db", "non_causal_gain_db") for snr in (0, 5, 10, 15, 20)),
    "energy_over_budget.max",
)  # fmt: skip


def gains(table: pd.DataFrame) -> pd.DataFrame:
    """One row per condition, SNR, method and training seed: the gain over static power, mean over random seeds."""
    played = table[table["condition"].isin(CONDITIONS)].copy()
    played["snr_db"] = played["snr_db"].fillna(played.get("mean_snr_db", 0.0))
    # Rules have no training seed, and a group with an empty key would be dropped.
    played["training_seed"] = played["training_seed"].fillna(-1)
    keys = ["condition", "snr_db", "method", "training_seed"]
    return played.groupby(keys, as_index=False)[["gain_over_static_db", "quality_db"]].mean()


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """Every metric of the study."""
    metrics = round_metrics(dict(_metrics(table, gains(table))), 5)
    return {name: value for name, value in metrics.items() if value is not None}


def _metrics(table: pd.DataFrame, found: pd.DataFrame) -> Iterator[tuple[str, float | None]]:
    equal = at(found, condition="equal")
    for snr in (0, 5, 10, 15, 20):
        yield f"causal_gain_db.{snr:g}db", _mean(equal, "dp_independent", snr)
        yield f"non_causal_gain_db.{snr:g}db", _mean(equal, LIMIT, snr)
    for snr_db in SHARES_DB:
        yield from _shares(equal, snr_db)
    if best := [own for name in CONDITIONS if (own := _of_best(at(found, condition=name))) is not None]:
        yield "learned_minus_static_db.min", float(min(own.min() for own in best))
    for condition in DIFFERENCES:
        yield from _differences(at(found, condition=condition), condition)
    if "energy_most" in table and table["energy_most"].notna().any():
        yield "energy_over_budget.max", float(table["energy_most"].max() - 1)


def _shares(equal: pd.DataFrame, snr_db: float) -> Iterator[tuple[str, float | None]]:
    """Gain of a learned policy over that of the causal optimum, per training seed."""
    optimum = _mean(equal, "dp_independent", snr_db)
    if not optimum:
        return
    name = f"share_of_causal_gain.{snr_db:g}db"
    learned = at(equal[equal["method"].isin(LEARNED)], snr_db=snr_db).groupby("method")["gain_over_static_db"]
    spreads = {str(method): spread(own / optimum) for method, own in learned}
    yield from ((f"{name}.{method}", found.mean) for method, found in spreads.items())
    rule = _mean(equal, "replanned", snr_db)
    yield f"{name}.replanned", None if rule is None else rule / optimum
    if model_free := [spreads[method] for method in MODEL_FREE if method in spreads]:
        best = max(model_free, key=lambda found: found.mean)
        yield name, best.mean
        yield f"{name}.half_width", best.half_width


def best_algorithm(found: pd.DataFrame) -> str | None:
    """The algorithm with the largest gain in a condition, mean over SNRs and training seeds; `None` without any.

    It is chosen on the very table that it is judged by; metrics that end in a name are free of that choice.
    """
    own = found[found["method"].isin(LEARNED)]
    return None if own.empty else str(own.groupby("method")["gain_over_static_db"].mean().idxmax())


def _of_best(found: pd.DataFrame) -> pd.Series[float] | None:
    """Gain of the best algorithm of a condition by SNR, mean over training seeds."""
    best = best_algorithm(found)
    return None if best is None else _by_snr(found, best)


def _by_snr(found: pd.DataFrame, method: str) -> pd.Series[float]:
    return at(found, method=method).groupby("snr_db")["gain_over_static_db"].mean()


def _differences(found: pd.DataFrame, condition: str) -> Iterator[tuple[str, float | None]]:
    """Learned gain over that of the best rule at each SNR, mean over SNRs: best algorithm, then each by its name."""
    rules = found[found["method"].isin(OPPONENTS)].groupby("snr_db")["gain_over_static_db"].max()
    own = _of_best(found)
    if own is None or rules.empty:
        return
    yield f"learned_minus_best_causal_db.{condition}", float((own - rules).mean())
    for method in sorted(set(found["method"]) & set(LEARNED)):
        difference = float((_by_snr(found, method) - rules).mean())
        yield f"learned_minus_best_causal_db.{condition}.{method}", difference


def _mean(equal: pd.DataFrame, method: str, snr_db: float) -> float | None:
    own = at(equal, method=method, snr_db=snr_db)
    return None if own.empty else float(own["gain_over_static_db"].mean())
