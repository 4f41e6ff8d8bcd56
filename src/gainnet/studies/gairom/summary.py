"""Metrics of the study gairom from its table: shares of the best there is, and races against the clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from gainnet.studies.gairom.question import (
    AWARE,
    DRAWN,
    LEARNED,
    METHODS,
    MILP,
    NUM_CLIENTS,
    NUM_MANY_CLIENTS,
    PAPER,
    REFERENCE,
    UNTRAINED,
    ZEROS,
)
from gainnet.studies.statistics import at, beside, round_metrics, spread

BEST_OF_REGIME = {"independent": "optimum", "coupled": "optimum", "contention": "bound"}
POLICIES = (LEARNED, *DRAWN, *UNTRAINED)
TRAINED = ("greedy", "lookahead", LEARNED, *DRAWN, "mp_tsc")
"""Policies whose share of the trained gain's optimum is a metric; under contention it is of a bound."""
OF_MANY = (LEARNED, "greedy", "crowd_greedy")
EXTRA_NAMES = (
    "independent.sac_over_best_paper_baseline",
    "independent.optimum_over_best_paper_baseline",
    "contention.milp_over_sac_time",
    "contention.milp_reached",
    *(f"contention.{policy}_of_bound_200_clients" for policy in OF_MANY),
    "zeros_over_serial.mean",
    "zeros_over_serial.min",
    "pipeline_fill_rounds",
    *(f"trained.{regime}.{policy}_of_optimum{end}" for regime in BEST_OF_REGIME for policy in TRAINED
      for end in ("", ".half_width")),
    *(f"trained.{regime}.{name}" for regime in ("independent", "coupled")
      for name in ("published_optimum_of_optimum", "optimum_of_bound")),
)  # fmt: skip


def metric_names() -> tuple[str, ...]:
    """All metrics; shares have the half width of their 95 % interval over worlds beside them, SAC its worst training.

    >>> metric_names()[0]
    'independent.sac_of_optimum'
    """
    names = []
    for regime, best in BEST_OF_REGIME.items():
        present = [name for name in POLICIES if regime == "contention" or name not in AWARE]
        names += [f"{regime}.{policy}_of_{best}" for policy in present]
        names += [f"{regime}.{policy}_of_{best}.half_width" for policy in present]
        names.append(f"{regime}.{LEARNED}_of_{best}.worst_training_seed")
    return (*names, *EXTRA_NAMES)


def shares(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of policies with their `share`: gain over that of the reference in the same world."""
    played = table[table["method"].isin(POLICIES) | ~table["method"].isin(METHODS)]
    best = beside(played, at(table, method=REFERENCE), ["regime", "num_clients", "random_seed"], "gain")
    return played.assign(share=played["gain"] / best)


def share_of_world(found: pd.DataFrame) -> pd.Series[float]:
    """One share per world: the mean over training seeds."""
    # Worlds are the independent repetitions; training seeds of one world share all of its luck.
    means: pd.Series[float] = found.groupby("random_seed")["share"].mean()
    return means.dropna()


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """Every metric of the study; see `metric_names`."""
    found = shares(table)
    metrics = dict(_shares(at(found, num_clients=NUM_CLIENTS)))
    many = at(found, num_clients=NUM_MANY_CLIENTS, regime="contention")
    for policy in OF_MANY:
        if len(worlds := share_of_world(at(many, method=policy))):
            metrics[f"contention.{policy}_of_bound_200_clients"] = worlds.mean()
    metrics |= dict(_over_paper(table)) | dict(_race(table)) | dict(_zeros(table))
    return round_metrics(metrics | dict(_trained(at(table, num_clients=NUM_CLIENTS))), 5)


def _trained(table: pd.DataFrame) -> Iterator[tuple[str, float | None]]:
    """Shares of the optimum of the trained gain, which policies play for; of its bound where both differ."""
    if "trained_gain" not in table:
        return
    best = at(table, method=REFERENCE)
    for regime, rows in table[table["method"].isin(TRAINED)].groupby("regime"):
        share = rows["trained_gain"] / beside(rows, at(best, regime=regime), ["random_seed"], "trained_gain")
        for policy, own in rows.assign(share=share).groupby("method"):
            if len(worlds := share_of_world(own)):
                over_worlds = spread(worlds)
                yield f"trained.{regime}.{policy}_of_optimum", over_worlds.mean
                yield f"trained.{regime}.{policy}_of_optimum.half_width", over_worlds.half_width
    for regime, rows in best.groupby("regime"):
        for column, name in (("of_published", "published_optimum_of_optimum"), ("found", "optimum_of_bound")):
            if f"trained_gain_{column}" in rows and len(known := rows[f"trained_gain_{column}"].dropna()):
                yield f"trained.{regime}.{name}", float((known / rows["trained_gain"]).mean())


def _shares(found: pd.DataFrame) -> Iterator[tuple[str, float | None]]:
    for (regime, policy), rows in found.groupby(["regime", "method"]):
        if (worlds := share_of_world(rows)).empty:
            continue
        name, over_worlds = f"{regime}.{policy}_of_{BEST_OF_REGIME[str(regime)]}", spread(worlds)
        yield name, over_worlds.mean
        yield f"{name}.half_width", over_worlds.half_width
        if policy == LEARNED:
            yield f"{name}.worst_training_seed", rows.groupby("training_seed")["share"].mean().min()


def _over_paper(table: pd.DataFrame) -> Iterator[tuple[str, float]]:
    """Mean over worlds of the gain over that of the best of GainNet's baselines in that world."""
    rows = at(table, regime="independent", num_clients=NUM_CLIENTS)
    # The best in each world, which is a stronger opponent than the baseline that is best on average.
    paper = rows[rows["method"].isin(PAPER)].groupby("random_seed")["gain"].max()
    for method, name in ((LEARNED, LEARNED), (REFERENCE, "optimum")):
        own = at(rows, method=method).groupby("random_seed")["gain"].mean()
        if len(paper) and len(own):
            yield f"independent.{name}_over_best_paper_baseline", (own / paper).mean()


def _race(table: pd.DataFrame) -> Iterator[tuple[str, float]]:
    """The median over worlds; where the program ran out of time, the ratio is a lower bound."""
    if len(rows := at(table, method=MILP)):
        ratio = rows["measured_milp_s"] / rows["measured_decision_s"]
        yield "contention.milp_over_sac_time", round(float(ratio.median()), 1)
        yield "contention.milp_reached", float(rows["milp_reached"].astype(bool).mean())


def _zeros(table: pd.DataFrame) -> Iterator[tuple[str, float]]:
    if len(rows := at(table, method=ZEROS)):
        weighted = rows["zeros_over_serial_mean"] * rows["num_pairs"]
        yield "zeros_over_serial.mean", weighted.sum() / rows["num_pairs"].sum()
        yield "zeros_over_serial.min", rows["zeros_over_serial_min"].min()
        yield "pipeline_fill_rounds", float(rows["pipeline_fill_rounds"].max())
