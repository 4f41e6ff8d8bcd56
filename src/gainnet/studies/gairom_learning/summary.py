"""Metrics of the study gairom-learning from its table: whether the order of gains is the order of accuracies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from gainnet.studies.gairom.question import LEARNED
from gainnet.studies.statistics import round_metrics, spread

REGIMES = ("independent", "contention")
NAME = "rank_correlation_gain_accuracy"
SHOWN = (LEARNED, "greedy", "mp_tsc", "random")
METRIC_NAMES = (
    NAME, f"{NAME}.half_width", *(f"{regime}.{NAME}" for regime in REGIMES),
    *(f"{regime}.accuracy.{policy}" for regime in REGIMES for policy in SHOWN),
)  # fmt: skip


def points(table: pd.DataFrame) -> pd.DataFrame:
    """One row per policy and world: gain and accuracy, means over training seeds."""
    return table.groupby(["regime", "method", "random_seed"], as_index=False)[["gain", "accuracy"]].mean()


def rank_correlations(found: pd.DataFrame) -> pd.DataFrame:
    """Spearman's rank correlation over policies, one row per regime and world; none where fewer than 3 policies ran."""
    rows = []
    for (regime, random_seed), own in found.groupby(["regime", "random_seed"]):
        if len(own) >= 3:
            rho = own["gain"].corr(own["accuracy"], method="spearman")
            rows.append({"regime": regime, "random_seed": random_seed, "rho": rho})
    return pd.DataFrame(rows, columns=["regime", "random_seed", "rho"]).dropna()


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """Every metric of the study; means over worlds."""
    found = points(table)
    return round_metrics(dict(_correlations(rank_correlations(found))) | dict(_accuracies(found)), 5)


def _correlations(rhos: pd.DataFrame) -> Iterator[tuple[str, float | None]]:
    if rhos.empty:
        return
    both = spread(rhos["rho"])
    yield NAME, both.mean
    yield f"{NAME}.half_width", both.half_width
    for regime, own in rhos.groupby("regime"):
        yield f"{regime}.{NAME}", own["rho"].mean()


def _accuracies(found: pd.DataFrame) -> Iterator[tuple[str, float]]:
    for (regime, policy), own in found.groupby(["regime", "method"]):
        if policy in SHOWN:
            yield f"{regime}.accuracy.{policy}", own["accuracy"].mean()
