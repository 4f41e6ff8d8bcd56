"""Metrics of the study serving: shares of the gain by cause, in the order runtime, batching, steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from gainnet.studies.serving.question import (
    BATCHED,
    BURST,
    DEVICES,
    FEW_STEPS,
    LOCKED,
    METRIC_NAMES,
    REQUEST_BATCHING,
    SINGLE,
    STEADY,
)
from gainnet.studies.statistics import round_metrics


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """Every metric: medians over random seeds, since a busy machine makes single runs longer and never shorter."""
    rates = _rates(table)
    found: dict[str, float | None] = {f"pictures_per_cpu_s.{method}": rate for method, rate in rates.items()}
    pairs = {
        "pictures_per_cpu_s_ratio": (BATCHED, LOCKED), "pictures_per_cpu_s_ratio.few_steps": (FEW_STEPS, LOCKED),
        "ratio.runtime": (SINGLE, LOCKED), "ratio.batching": (BATCHED, SINGLE), "ratio.steps": (FEW_STEPS, BATCHED),
    }  # fmt: skip
    for name, (method, other) in pairs.items():
        found[name] = _ratio(table, method, other)
    found |= _limit(table) | _when(table)
    return round_metrics({name: found.get(name) for name in METRIC_NAMES}, 4)


def _rows(table: pd.DataFrame, load: str) -> pd.DataFrame:
    return table[table["load"] == load].set_index(["method", "random_seed"])


def _rates(table: pd.DataFrame) -> dict[str, float]:
    rows = _rows(table, STEADY)
    rates = rows["num_pictures"] / rows["measured_cpu_s"]
    return {str(method): float(rate) for method, rate in rates.groupby("method").median().items()}


def _ratio(table: pd.DataFrame, method: str, other: str) -> float | None:
    """Median over random seeds of a method's rate over another one's in the same repetition."""
    rows = _rows(table, STEADY)
    rates = (rows["num_pictures"] / rows["measured_cpu_s"]).unstack("method")
    if not {method, other} <= set(rates.columns):
        return None
    return float((rates[method] / rates[other]).median())


def _limit(table: pd.DataFrame) -> dict[str, float | None]:
    """The ratio if everything but the denoiser's network were free, and how fast that network runs."""
    rows = _rows(table, STEADY)
    if "measured_unet_s" not in rows or not {LOCKED, BATCHED} <= set(rows.index.get_level_values("method")):
        return {}
    ours, theirs = rows.loc[BATCHED], rows.loc[LOCKED]
    one = theirs["measured_cpu_s"] / theirs["num_pictures"]
    return {
        "pictures_per_cpu_s_ratio.limit": float((one * ours["num_pictures"] / ours["measured_unet_s"]).median()),
        "share.unet": float((ours["measured_unet_s"] / ours["measured_cpu_s"]).median()),
        "gflops_per_s.unet": float(ours["measured_unet_gflops_per_s"].median()),
        "gflops_per_s.matmul": float(ours["measured_matmul_gflops_per_s"].median()),
    }


def _when(table: pd.DataFrame) -> dict[str, float | None]:
    """When pictures come in a burst, beside what a queue without any overhead would make of the same capacity."""
    found: dict[str, float | None] = {}
    rows = _rows(table, BURST)
    if len(rows):
        medians: Any = rows.groupby("method").median(numeric_only=True)
        for method in (LOCKED, REQUEST_BATCHING, BATCHED):
            if method in medians.index:
                found[f"in_time_share.{method}"] = float(medians.at[method, "measured_in_time_share"])
        if {LOCKED, BATCHED} <= set(medians.index):
            theirs, ours = medians.loc[LOCKED], medians.loc[BATCHED]
            for name, own, best in (
                ("mean_latency_ratio.burst", "measured_mean_s", "measured_ideal_mean_s"),
                ("p99_latency_ratio", "measured_p99_s", "measured_ideal_p99_s"),
            ):
                found[name], found[f"{name}.ideal"] = theirs[own] / ours[own], theirs[own] / ours[best]
            for suffix, column in (("", "measured_in_time_share"), (".ideal", "measured_ideal_in_time_share")):
                found[f"in_time_share_gain{suffix}"] = ours[column] - theirs["measured_in_time_share"]
    devices = _rows(table, DEVICES)
    if len(devices):
        found["slowest_over_median"] = float(devices["measured_slowest_over_median"].median())
    return found
