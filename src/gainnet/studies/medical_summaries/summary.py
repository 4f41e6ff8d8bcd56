"""From the table to metrics: means, bootstrap intervals over documents, paired differences between arms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd

from gainnet.studies.medical_summaries.question import (
    DIFFERENCES,
    INVENTED,
    LABELS,
    METHODS,
    OTHER_SCORES,
    REAL,
    REAL_ARMS,
    REAL_DIFFERENCES,
    ROUGES,
)
from gainnet.studies.statistics import at, present, round_metrics

NUM_RESAMPLES = 2000
DETECTABLE = 1.96 + 0.84
"""Standard errors of a mean that a two-sided test at 5 % finds with a power of 80 %."""
Scores = Mapping[tuple[int, str], np.ndarray]
"""[num_documents] of every random seed and field."""


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """Means over all documents after the last rounds, with 95 % intervals; see the metrics' names."""
    table = at(table, rounds=table["rounds"].max())
    kinds = _of_kind(table, "invented", "", INVENTED) | _of_kind(table, "real", REAL, REAL_ARMS)
    invented = table[table["method"].isin(METHODS)]
    first = _of_edges(invented) if len(invented) else {}
    return round_metrics(first | kinds | _real_differences(table), 6)


def _of_edges(table: pd.DataFrame) -> dict[str, float | None]:
    """Arms on invented fields by what an edge-end model says, and its labels."""
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
    return found | {name: _weighted(first, name) for name in labels}


def _of_kind(table: pd.DataFrame, kind: str, prefix: str, arms: Sequence[str]) -> dict[str, float]:
    """Scores of all arms on one kind of abstracts, invented or real."""
    found = dict[str, float]()
    for arm in arms:
        rows = at(table, method=f"{prefix}{arm}")
        if rows.empty:
            continue
        for score in ROUGES:
            found |= _named(f"{score}.{kind}.{arm}", scores_of(table, f"{prefix}{arm}", score))
        for score in ("bertscore", "bleurt"):
            if score in rows and rows[score].notna().all():
                found[f"{score}.{kind}.{arm}"] = _weighted(rows, score)
    return found


def _real_differences(table: pd.DataFrame) -> dict[str, float]:
    """Part and Full beside the baselines on real abstracts, document by document."""
    arms = present(table, "method", [f"{REAL}{arm}" for arm in REAL_ARMS])
    found, of_arm = dict[str, float](), {arm: {s: scores_of(table, arm, s) for s in ROUGES} for arm in arms}
    for (a, b), score in product(REAL_DIFFERENCES, ROUGES):
        if {f"{REAL}{a}", f"{REAL}{b}"} <= set(arms):
            scores, others = of_arm[f"{REAL}{a}"][score], of_arm[f"{REAL}{b}"][score]
            difference, name = {key: x - others[key] for key, x in scores.items()}, f"{a}_minus_{b}.{score}"
            found |= _named(name, difference) | {f"{name}.detectable": _detectable(difference)}
    if not arms:
        return found
    rows = at(table, method=arms[0])
    found["num_documents"] = float(rows["num_documents"].sum())
    for arm in (name for name in ("cloud", "part", "full") if f"{REAL}{name}" in arms):
        of_this = at(table, method=f"{REAL}{arm}")
        if of_this["tokens"].notna().all():
            found[f"tokens.real.{arm}"] = _weighted(of_this, "tokens")
    return found | _where_stated(rows, of_arm)


def _where_stated(rows: pd.DataFrame, of_arm: Mapping[str, Mapping[str, Scores]]) -> dict[str, float]:
    """Part and Full minus the objective on the abstracts alone that state one in a section of that name."""
    flags = zip(rows["random_seed"], rows["field"], rows["stated_of_documents"], strict=True)
    # One digit per document: a field of one document alone is read back from the table as a number.
    stated = {(int(seed), str(field)): np.array(str(x).split(), dtype=float) > 0 for seed, field, x in flags}
    found, objective = (
        {"num_documents.stated": float(sum(x.sum() for x in stated.values()))},
        of_arm.get(f"{REAL}objective"),
    )
    for arm in ("part", "full"):
        scores = of_arm.get(f"{REAL}{arm}")
        if scores is None or objective is None:
            continue
        some = {key: (x - objective["rouge1"][key])[stated[key]] for key, x in scores["rouge1"].items()}
        some = {key: x for key, x in some.items() if len(x)}
        found |= _named(f"{arm}_minus_objective.rouge1.stated", some) if some else {}
    return found


def _detectable(scores: Scores) -> float:
    """Mean difference that as many documents would show with a power of 80 %."""
    every = np.concatenate(list(scores.values()))
    return float(DETECTABLE * every.std(ddof=1) / len(every) ** 0.5) if len(every) > 1 else float("nan")


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
