"""Metrics of gairom-regimes: the default against the best causal policy, and every policy with its interval."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from gainnet.orchestration.drawn import NUM_TRAINING
from gainnet.studies.gairom_regimes.question import CAUSAL, DEFAULT, LEARNED, OBJECTIVES, REFERENCE
from gainnet.studies.reliable import interquartile_mean, stratified_interval
from gainnet.studies.statistics import at, round_metrics

PREFIX = {"published": "", "trained": "trained."}
PAYS = 1.01
"""Learning pays where it gains a hundredth more than the best policy without training."""


def metric_names() -> tuple[str, ...]:
    """All metrics; those of policies that play for the trained gain begin with `trained.`.

    >>> metric_names()[:3]
    ('num_held_out', 'default_of_best.p05', 'default_of_best.min')
    """
    names = ["num_held_out"]
    for objective in OBJECTIVES:
        own = [f"default_of_best.{kind}" for kind in ("p05", "min", "mean")]
        own += ["training.default_of_best.mean", "training.rank_of_default", "learning_pays", "learned_over_untrained"]
        for policy in CAUSAL:
            own += [f"{policy}_of_best", f"{policy}_of_best.low", f"{policy}_of_best.high", f"{policy}_is_best"]
        names += [PREFIX[objective] + name for name in own]
    return tuple(names)


def shares(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of causal policies with `share`: gain over that of the best of them in the same scenario.

    Every training of a learned policy is a policy of its own when the best is sought.
    """
    played = table[table["method"] != REFERENCE].copy()
    best = played.groupby(["objective", "scenario"])["gain"].transform("max")
    return played.assign(share=played["gain"] / best, best=best, held_out=played["scenario"] >= NUM_TRAINING)


def pivot(found: pd.DataFrame, column: str) -> pd.DataFrame:
    """[scenario, policy], means over training seeds of a column, for rows of one objective."""
    means: pd.DataFrame = found.pivot_table(index="scenario", columns="method", values=column, aggfunc="mean")
    return means


def learned_over_untrained(found: pd.DataFrame) -> pd.Series[float]:
    """By scenario, gain of the best learned policy (mean over training seeds) over that of the best untrained one."""
    gains = pivot(found, "gain")
    learned, untrained = ([x for x in gains if x != REFERENCE and (x in LEARNED) == kind] for kind in (True, False))
    ratio: pd.Series[float] = gains[learned].max(axis=1) / gains[untrained].max(axis=1)
    return ratio.dropna()


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """Every metric of the study; see `metric_names`."""
    found = shares(table)
    metrics: dict[str, float | None] = {"num_held_out": float(found[found["held_out"]]["scenario"].nunique()) or None}
    for objective, prefix in PREFIX.items():
        metrics |= {prefix + name: value for name, value in _metrics(at(found, objective=objective))}
    return round_metrics(metrics, 5)


def _metrics(found: pd.DataFrame) -> Iterator[tuple[str, float | None]]:
    held_out, training = found[found["held_out"]], found[~found["held_out"]]
    if held_out.empty:
        return
    if len(default := at(held_out, method=DEFAULT)["share"]):
        yield "default_of_best.p05", float(default.quantile(0.05))
        yield "default_of_best.min", float(default.min())
        yield "default_of_best.mean", float(default.mean())
    means = training.groupby("method")["share"].mean()
    if DEFAULT in means:
        yield "training.default_of_best.mean", float(means[DEFAULT])
        yield "training.rank_of_default", float(means.rank(ascending=False, method="min")[DEFAULT])
    if len(ratio := learned_over_untrained(held_out)):
        yield "learning_pays", float((ratio >= PAYS).mean())
        yield "learned_over_untrained", float(ratio.mean())
    best = pivot(held_out, "share").idxmax(axis=1)
    for policy, rows in held_out.groupby("method"):
        runs = rows.pivot_table(index="training_seed", columns="scenario", values="share", dropna=False)
        scores = runs.to_numpy(dtype=float) if len(runs) else rows["share"].to_numpy(dtype=float)[None]
        low, high = stratified_interval(scores)
        yield f"{policy}_of_best", interquartile_mean(scores)
        yield f"{policy}_of_best.low", low
        yield f"{policy}_of_best.high", high
        yield f"{policy}_is_best", float(np.mean(best == policy))
