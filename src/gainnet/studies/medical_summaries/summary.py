"""From the table to metrics: means, bootstrap intervals over documents, paired differences between arms."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from gainnet.studies.medical_summaries.question import DIFFERENCES, LABELS, METHODS, OTHER_SCORES, ROUGES

NUM_RESAMPLES = 2000
Scores = Mapping[tuple[int, str], np.ndarray]
"""[num_documents] of every random seed and field."""


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """Means over all documents after the last rounds, with 95 % intervals; see the metrics' names."""
    table = table[table["rounds"] == table["rounds"].max()]
    found: dict[str, float | None] = {}
    for score in ROUGES:
        of_arm = {arm: scores_of(table, arm, score) for arm in METHODS if arm in set(table["method"])}
        for arm, scores in of_arm.items():
            found |= _named(f"{score}.{arm}", scores)
            seeds = [np.concatenate([x for (s, _), x in scores.items() if s == seed]).mean() for seed in _seeds(scores)]
            found[f"{score}.{arm}.std_over_seeds"] = round(float(np.std(seeds, ddof=1)), 6) if len(seeds) > 1 else None
        for a, b in DIFFERENCES:
            if a in of_arm and b in of_arm:
                paired = {case: of_arm[a][case] - of_arm[b][case] for case in of_arm[a]}
                found |= _named(f"{score}.{a}_minus_{b}", paired)
    for method, rows in table.groupby("method"):
        arm = str(method)
        weights = rows["num_documents"].to_numpy(float)
        for name in (*OTHER_SCORES, "tokens"):
            if name in rows and not (name == "tokens" and arm == "edge_alone") and rows[name].notna().all():
                found[f"{name}.{arm}"] = round(float(np.average(rows[name].to_numpy(float), weights=weights)), 6)
    first = table[table["method"] == table["method"].iloc[0]]
    weights = first["num_documents"].to_numpy(float)
    for name in ("template_right", *(f"label_right.{label}" for label in LABELS)):
        found[name] = round(float(np.average(first[name].to_numpy(float), weights=weights)), 6)
    return found


def scores_of(table: pd.DataFrame, arm: str, score: str) -> dict[tuple[int, str], np.ndarray]:
    """Every document's score of an arm, by random seed and field."""
    rows = table[table["method"] == arm]
    columns = zip(rows["random_seed"], rows["field"], rows[f"{score}_of_documents"], strict=True)
    return {(int(seed), str(field)): np.array(str(scores).split(), dtype=float) for seed, field, scores in columns}


def interval_of(scores: Scores, num_resamples: int = NUM_RESAMPLES) -> tuple[float, float]:
    """95 % percentile interval of the mean: documents are drawn anew, with replacement, within each field and seed.

    Args:
        scores: of every random seed and field.
        num_resamples: how often.

    >>> interval_of({(0, "field"): np.array([0.5, 0.5])})
    (0.5, 0.5)
    """
    rng = np.random.default_rng(0)
    sums = np.zeros(num_resamples)
    for values in scores.values():
        sums += values[rng.integers(len(values), size=(num_resamples, len(values)))].sum(1)
    low, high = np.percentile(sums / sum(len(values) for values in scores.values()), [2.5, 97.5])
    return float(low), float(high)


def _named(name: str, scores: Scores) -> dict[str, float | None]:
    low, high = interval_of(scores)
    mean = float(np.concatenate(list(scores.values())).mean())
    return {name: round(mean, 6), f"{name}.low": round(low, 6), f"{name}.high": round(high, 6)}


def _seeds(scores: Scores) -> list[int]:
    return sorted({seed for seed, _ in scores})
