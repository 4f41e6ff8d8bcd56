"""Study gairom-learning: real federated training on the workloads that policies of orchestration achieve.

Is the order of gains the order of accuracies?
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gainnet.orchestration.drawing import label_of
from gainnet.studies.figures import Panel, draw_panels
from gainnet.studies.gairom.arena import digests, load_all
from gainnet.studies.gairom.question import LEARNED
from gainnet.studies.gairom_learning.training import METHODS, LearningConfig, cases, methods
from gainnet.studies.palette import BLACK, BLUE, BROWN, GREEN, GREY, ORANGE, PURPLE, RED, SKY
from gainnet.studies.statistics import at, named, present, round_metrics, spread
from gainnet.studies.study import Method, Study

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
    return round_metrics(metrics, 5)


COLOURS = {
    "sac": RED, "greedy": BLUE, "sequential_greedy": SKY, "best_response": BLACK, "matching": PURPLE, "mp_tsc": GREEN,
    "ml_scc": ORANGE, "ml_cc": BROWN, "ml_c": "#B8A000", "largest_correlation": "#5B4FA2", "random": GREY,
}  # fmt: skip
TITLES = {"independent": "independent clients", "contention": "clients contend for spectrum"}


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
    yield "accuracy_over_gain", draw_panels("Is more gain more accuracy?", note, parts, _scatter, 2, legend=6)


def _rank(rhos: pd.DataFrame) -> str:
    """A line with the mean correlation of some worlds and its interval; empty without any."""
    if rhos.empty:
        return ""
    own = spread(rhos["rho"])
    return f"\nrank correlation {own.mean:.2f}" + ("" if own.half_width is None else f" ± {own.half_width:.2f}")


def _scatter(ax: Axes, found: pd.DataFrame) -> None:
    for method, colour in COLOURS.items():
        own = at(found, method=method)
        if len(own):
            ax.plot(own["gain"], own["accuracy"], ".", color=colour, alpha=0.35, markersize=6)
            ax.plot(own["gain"].mean(), own["accuracy"].mean(), "o", color=colour, markersize=9, label=label_of(method))


def open_methods(config: LearningConfig) -> Mapping[str, Method]:
    """The methods, with everything that they need loaded once."""
    return methods(config, load_all(config.regimes, config.training_seeds))


def identity(config: LearningConfig) -> Mapping[str, str]:
    """sha256 of what the methods read."""
    return digests(config.regimes, config.training_seeds)


GAIROM_LEARNING = Study(
    "gairom-learning", LearningConfig, METHODS, METRIC_NAMES, cases, open_methods, identity, summarise, draw
)
