"""From the table to metrics: means, bootstrap intervals over documents, paired differences between arms."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from gainnet.studies.medical_summaries.question import DIFFERENCES, LABELS, METHODS, OTHER_SCORES, ROUGES
from gainnet.studies.statistics import at, present, round_metrics

NUM_RESAMPLES = 2000
Scores = Mapping[tuple[int, str], np.ndarray]
"""[num_documents] of every random seed and field."""


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """Means over all documents after the last rounds, with 95 % intervals; see the metrics' names."""
    table = at(table, rounds=table["rounds"].max())
    found: dict[str, float | None] = {}
    for score in ROUGES:
        of_arm = {arm: scores_of(table, arm, score) for arm in present(table, "method", METHODS)}
        for arm, scores in of_arm.items():
            of_seed = [
                _mean({key: x for key, x in scores.items() if key[0] == s}) for s in {seed for seed, _ in scores}
            ]
            found |= _named(f"{score}.{arm}", scores)
            found[f"{score}.{arm}.std_over_seeds"] = float(np.std(of_seed, ddof=1)) if len(of_seed) > 1 else None
        # Differences document by document: some abstracts are hard for every arm, and that cancels.
        for a, b in ((a, b) for a, b in DIFFERENCES if {a, b} <= set(of_arm)):
            found |= _named(f"{score}.{a}_minus_{b}", {key: x - of_arm[b][key] for key, x in of_arm[a].items()})
    for method, rows in table.groupby("method"):
        # An edge-end model alone is asked nothing, so it has no tokens to count.
        names = OTHER_SCORES if method == "edge_alone" else (*OTHER_SCORES, "tokens")
        found |= {
            f"{name}.{method}": _weighted(rows, name) for name in names if name in rows and rows[name].notna().all()
        }
    # What the edge-end model said is the same for every arm, so one arm's rows hold it all.
    first = at(table, method=table["method"].iloc[0])
    labels = ("template_right", *(f"label_right.{label}" for label in LABELS))
    return round_metrics(found | {name: _weighted(first, name) for name in labels}, 6)


def _weighted(rows: pd.DataFrame, name: str) -> float:
    """Mean over documents of what the rows hold as means."""
    return float(np.average(rows[name].to_numpy(float), weights=rows["num_documents"].to_numpy(float)))


def _mean(scores: Scores) -> float:
    return float(np.concatenate(list(scores.values())).mean())


def scores_of(table: pd.DataFrame, arm: str, score: str) -> dict[tuple[int, str], np.ndarray]:
    """Every document's score of an arm, by random seed and field."""
    rows = at(table, method=arm)
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
    # A seed of its own: redrawing a figure must not move an interval.
    rng = np.random.default_rng(0)
    sums = np.zeros(num_resamples)
    for values in scores.values():
        # Within each field and seed, because those are fixed by the sweep and only documents are drawn.
        sums += values[rng.integers(len(values), size=(num_resamples, len(values)))].sum(1)
    low, high = np.percentile(sums / sum(len(values) for values in scores.values()), [2.5, 97.5])
    return float(low), float(high)


def _named(name: str, scores: Scores) -> dict[str, float]:
    low, high = interval_of(scores)
    return {name: _mean(scores), f"{name}.low": low, f"{name}.high": high}
