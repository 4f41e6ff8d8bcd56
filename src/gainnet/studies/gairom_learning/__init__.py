"""Study gairom-learning: real federated training on the workloads that policies of orchestration achieve.

Is the order of gains the order of accuracies?
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gainnet.orchestration.drawing import label_of
from gainnet.studies.figures import Panel, draw_panels, legend_below, panels, short, with_own
from gainnet.studies.gairom.arena import digests, load_all
from gainnet.studies.gairom.question import LEARNED
from gainnet.studies.gairom_learning.methods import methods
from gainnet.studies.gairom_learning.question import (
    BEST_FOUND,
    LOOP,
    LOOP_POLICIES,
    MEASURED,
    METHODS,
    OPTIMUM,
    LearningConfig,
    cases,
    current,
)
from gainnet.studies.palette import BLACK, BLUE, BROWN, GREEN, GREY, INDIGO, MARKER_OF, OLIVE, ORANGE, PURPLE, RED, SKY
from gainnet.studies.statistics import at, beside, named, present, round_metrics, spread
from gainnet.studies.study import Method, Study

REGIMES = ("independent", "contention")
NAME = "rank_correlation_gain_accuracy"
SHOWN = (LEARNED, "greedy", "mp_tsc", "random")
LOOP_KINDS = ("accuracy", "of_best_found", "energy_j", "accuracy_per_kj", "seconds_to_enough")
RIVALS = ("greedy", OPTIMUM)
ENOUGH = 0.7
"""Accuracy whose first time is a metric."""

METRIC_NAMES = (
    NAME, f"{NAME}.half_width", *(f"{regime}.{NAME}" for regime in REGIMES),
    *(f"{regime}.accuracy.{policy}" for regime in REGIMES for policy in SHOWN),
    *(f"{kind}.{policy}" for kind in LOOP_KINDS for policy in (*LOOP_POLICIES, BEST_FOUND)),
    *(f"{MEASURED}_minus_{rival}.{end}" for rival in RIVALS for end in ("mean", "low", "high")),
)  # fmt: skip


def points(table: pd.DataFrame) -> pd.DataFrame:
    """One row per policy and world: gain and accuracy, means over training seeds; without the closed loop."""
    return (
        table[table["regime"] != LOOP]
        .groupby(["regime", "method", "random_seed"], as_index=False)[["gain", "accuracy"]]
        .mean()
    )


def rank_correlations(found: pd.DataFrame) -> pd.DataFrame:
    """Spearman's rank correlation over policies, one row per regime and world; none where fewer than 3 policies ran."""
    # Ranks within a world, because worlds differ in what can be gained at all.
    rows = [
        (regime, random_seed, own["gain"].corr(own["accuracy"], method="spearman"))
        for (regime, random_seed), own in found.groupby(["regime", "random_seed"])
        if len(own) >= 3
    ]
    return pd.DataFrame(rows, columns=["regime", "random_seed", "rho"]).dropna()


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """Every metric of the study; means over worlds."""
    found = points(table)
    shown = found[found["method"].isin(SHOWN)].groupby(["regime", "method"])["accuracy"].mean()
    metrics: dict[str, float | None] = {**named(shown, "{}.accuracy.{}")}
    if len(rhos := rank_correlations(found)):
        both = spread(rhos["rho"])
        metrics |= {NAME: both.mean, f"{NAME}.half_width": both.half_width}
        metrics |= named(rhos.groupby("regime")["rho"].mean(), f"{{}}.{NAME}")
    return round_metrics(metrics | closed_loop(at(table, regime=LOOP)), 5)


def closed_loop(rows: pd.DataFrame) -> dict[str, float | None]:
    """Metrics of the closed loop: means over worlds, and paired differences of the measured gain's policy.

    `of_best_found` is accuracy over that of the best assignment found by training, `accuracy_per_kj` accuracy over
    energy, `seconds_to_enough` the time until accuracy is 0.7, between rounds on a straight line.
    """
    if rows.empty:
        return {}
    found = rows.assign(seconds_to_enough=rows.apply(_seconds_to_enough, axis=1))
    columns = ["accuracy", "energy_j", "seconds_to_enough"]
    found = found.groupby(["method", "random_seed"], as_index=False)[columns].mean()
    found["accuracy_per_kj"] = 1000 * found["accuracy"] / found["energy_j"]
    found["of_best_found"] = found["accuracy"] / beside(
        found, at(found, method=BEST_FOUND), ["random_seed"], "accuracy"
    )
    metrics: dict[str, float | None] = {}
    for kind in LOOP_KINDS:
        metrics |= named(found.groupby("method")[kind].mean().dropna(), f"{kind}.{{}}")
    mine = at(found, method=MEASURED).set_index("random_seed")["accuracy"]
    for rival in RIVALS:
        other = at(found, method=rival).set_index("random_seed")["accuracy"]
        if len(own := (mine - other).dropna()):
            apart = spread(own)
            low, high = apart.interval or (None, None)
            name = f"{MEASURED}_minus_{rival}"
            metrics |= {f"{name}.mean": apart.mean, f"{name}.low": low, f"{name}.high": high}
    return metrics


def _seconds_to_enough(row: pd.Series[Any]) -> float | None:
    """Time until the accuracy is `ENOUGH`; round r ends with CR r + 1."""
    reached = [float(row[name]) for name in row.index if name.startswith("accuracy_of_round_") and pd.notna(row[name])]
    cr_s, before = float(row["duration_s"]) / (len(reached) + 1), 0.0
    for number, now in enumerate(reached):
        if now >= ENOUGH:
            return cr_s * (number + 1 + (ENOUGH - before) / max(now - before, 1e-9))
        before = now
    return None


COLOURS = {
    "sac": RED, "greedy": BLUE, "sequential_greedy": SKY, "best_response": BLACK, "matching": PURPLE, "mp_tsc": GREEN,
    "ml_scc": ORANGE, "ml_cc": BROWN, "ml_c": OLIVE, "largest_correlation": INDIGO, "random": GREY,
}  # fmt: skip
LOOP_COLOURS = {
    "best_found": BLACK, "measured": GREEN, "lookahead": BLUE, "optimum": PURPLE, "sac": RED, "greedy": ORANGE,
    "largest_correlation": INDIGO, "nearest": BROWN, "random": GREY,
}  # fmt: skip
TITLES = {"independent": "independent clients", "contention": "clients contend for spectrum"}

_LINES = {"nearest": ":", "random": "--"}
"""Lines of policies that do not plan, whose markers are hollow, so that they stand apart from the others in grey."""


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Accuracy over gain, one dot per policy and world."""
    found = points(table)
    rhos, regimes = rank_correlations(found), present(found, "regime", REGIMES)
    note = (
        "scikit-learn's digits in four domains with digits of their own, a perceptron per model, federated averaging: "
        "one pass per round over the samples\nthat the clients of a policy consume; a client's images come from the "
        "domains of the targets it senses. Accuracy among all ten digits on unseen hands,\ndigits of the model's own "
        f"domain, mean over models. Small dots: {found['random_seed'].nunique()} worlds, large dots: their means. "
        "Spearman's rank correlation over policies within\na world, 95 % Student interval over worlds."
    )
    titles = {name: TITLES[name] + _rank(at(rhos, regime=name)) for name in regimes}
    parts = [Panel(at(found, regime=name), titles[name], "gain of all rounds", "test accuracy") for name in regimes]
    if parts:
        yield "accuracy_over_gain", draw_panels("Is more gain more accuracy?", note, parts, _scatter, 2, legend=6)
    if len(loop := at(table, regime=LOOP)):
        yield "closed_loop", _closed_loop(loop)


def _closed_loop(loop: pd.DataFrame) -> Figure:
    note = (
        f"{loop['random_seed'].nunique()} worlds of independent clients; accuracy on unseen images of each model's own "
        "domains, mean over models and worlds. Best found: the best of\nmany assignments and of changes of it, each "
        "judged by training on it and shown the images of the test. Energy: training and upload of all clients."
    )
    means = loop.groupby("method").mean(numeric_only=True)
    columns = [name for name in means.columns if name.startswith("accuracy_of_round_")]
    figure, axes = panels(1, 2, "Assignments that train real models", note)
    for method in present(loop, "method", LOOP_COLOURS):
        row, colour = means.loc[method], LOOP_COLOURS[method]
        face = "white" if method in _LINES else colour
        axes[0].plot(
            range(1, len(columns) + 1),
            row[columns],
            _LINES.get(method, "-"),
            color=colour,
            marker=MARKER_OF[colour],
            label=label_of(method),
            markerfacecolor=face,
        )
        axes[1].plot(row["energy_j"], row["accuracy"], MARKER_OF[colour], color=colour, markerfacecolor=face)
    axes[0].set(title="accuracy per round", xlabel="round", ylabel="test accuracy")
    axes[1].set(title="accuracy and energy", xlabel="energy of all clients in J", ylabel="test accuracy in the end")
    legend_below(axes, 5)
    return figure


def _rank(rhos: pd.DataFrame) -> str:
    """A line with the mean correlation of some worlds and its interval; empty without any."""
    if rhos.empty:
        return ""
    own = spread(rhos["rho"])
    return f"\nrank correlation {own.mean:.2f}" + ("" if own.half_width is None else f" ± {own.half_width:.2f}")


def _scatter(ax: Axes, found: pd.DataFrame) -> None:
    users = with_own({}, found, METHODS)
    for method, colour in (COLOURS | {name: style.colour for name, style in users.items()}).items():
        own = at(found, method=method)
        if len(own):
            look: dict[str, Any] = {"color": colour, "marker": MARKER_OF[colour], "linestyle": ""}
            ax.plot(own["gain"], own["accuracy"], alpha=0.3, markersize=3, **look)
            ax.plot(
                own["gain"].mean(),
                own["accuracy"].mean(),
                markersize=8,
                label=label_of(short(method)),
                **look,
            )


def open_methods(config: LearningConfig) -> Mapping[str, Method]:
    """The methods, with everything that they need loaded once."""
    return methods(config, load_all(config.regimes, config.training_seeds))


def identity(config: LearningConfig) -> Mapping[str, str]:
    """sha256 of what the methods read."""
    return digests(config.regimes, config.training_seeds)


GAIROM_LEARNING = Study(
    "gairom-learning", LearningConfig, METHODS, METRIC_NAMES, cases, open_methods, identity, summarise, draw,
    current=current,
)  # fmt: skip
