"""Metrics of the study decision from its table: latency beside that of opponents, and regret to the best run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gainnet.studies.decision.question import DECISION, EVERY, POLICIES
from gainnet.studies.statistics import round_metrics

HINDSIGHT: Final = "best_fixed_in_hindsight"
NUM_DRAWS: Final = 2000
OPPONENTS: Final = (*POLICIES[1:], HINDSIGHT)
KEYS: Final = ["random_seed", "request"]
REGRET: Final = "regret_to_best_run"
Floats = NDArray[np.float64]


def metric_names() -> tuple[str, ...]:
    """All metrics.

    >>> metric_names()[0]
    'latency_of_best_fixed'
    """
    ratios = [f"latency_of_{name}{suffix}" for name in OPPONENTS for suffix in ("", ".low", ".high", ".num_requests")]
    shares = [f"kept_share.{name}" for name in POLICIES]
    tails = [f"{column}_s.{name}" for name in POLICIES for column in ("latency_mean", "latency_p50", "latency_p95")]
    regrets = [f"{REGRET}{suffix}" for suffix in ("", ".low", ".high", ".num_requests")]
    counts = ["num_requests", "infeasible_share", "feasible_kept_share", "num_all_keep"]
    return (*ratios, *regrets, *shares, *tails, *counts)


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """Every metric; see `metric_names`.

    Intervals of 95 % are percentiles of 2,000 bootstrap draws of requests.
    """
    by = {str(name): rows.set_index(KEYS) for name, rows in table[table["method"] != EVERY].groupby("method")}
    own, runs = by[DECISION], table[table["method"] == EVERY]
    found: dict[str, float | None] = {}
    kept = {name: rows["keeps"].astype(bool) for name, rows in by.items()}
    common = np.logical_and.reduce([kept[name].reindex(own.index).to_numpy() for name in by])
    for name, rows in by.items():
        found[f"kept_share.{name}"] = float(kept[name].mean())
        latency_s = rows["latency_s"].reindex(own.index)[common]
        if len(latency_s):
            quantiles = {"mean": latency_s.mean(), "p50": latency_s.median(), "p95": latency_s.quantile(0.95)}
            found |= {f"latency_{key}_s.{name}": float(x) for key, x in quantiles.items()}
        if name != DECISION:
            found |= _ratio(f"latency_of_{name}", own["latency_s"][common], latency_s)
    found |= _hindsight(own, runs)
    best = runs[runs["keeps"].astype(bool)].groupby(KEYS)["latency_s"].min().reindex(own.index)
    both = kept[DECISION].to_numpy() & best.notna().to_numpy()
    regret = _ratio(REGRET, own["latency_s"][both], best[both])
    found |= {name: x if x is None or name.endswith("num_requests") else x - 1.0 for name, x in regret.items()}
    feasible = best.notna().to_numpy()
    found |= {
        "num_requests": float(len(own)), "infeasible_share": float(1 - feasible.mean()),
        "num_all_keep": float(common.sum()),
        "feasible_kept_share": float(kept[DECISION][feasible].mean()) if feasible.any() else None,
    }  # fmt: skip
    return round_metrics(found, 4)


def _hindsight(own: pd.DataFrame, runs: pd.DataFrame) -> dict[str, float | None]:
    """Beside the configuration that, on these very runs, keeps most requests of its class of devices."""
    chosen = []
    for _, rows in runs.groupby("device"):
        kept = rows[rows["keeps"].astype(bool)].groupby("configuration")["latency_s"].agg(["count", "mean"])
        if len(kept):
            best = kept.sort_values(["count", "mean"], ascending=[False, True]).index[0]
            chosen.append(rows[rows["configuration"] == best])
    if not chosen:
        return {}
    other = pd.concat(chosen).set_index(KEYS).reindex(own.index)
    both = own["keeps"].astype(bool) & other["keeps"].fillna(False).astype(bool)
    return _ratio(f"latency_of_{HINDSIGHT}", own["latency_s"][both], other["latency_s"][both])


def _ratio(name: str, own: pd.Series, other: pd.Series) -> dict[str, float | None]:
    """Ratio of two means over the same requests, with its interval."""
    mine, theirs = own.to_numpy(float), other.to_numpy(float)
    if not len(mine):
        return {}
    drawn = np.random.default_rng(0).integers(len(mine), size=(NUM_DRAWS, len(mine)))
    ratios: Floats = mine[drawn].mean(1) / theirs[drawn].mean(1)
    low, high = np.quantile(ratios, (0.025, 0.975))
    ratio = float(mine.mean() / theirs.mean())
    return {name: ratio, f"{name}.low": float(low), f"{name}.high": float(high), f"{name}.num_requests": len(mine)}
