"""Figures of gairom-learning, from its table alone."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gainnet.orchestration.drawing import label_of
from gainnet.studies.figures import BLACK, BLUE, BROWN, GREEN, GREY, ORANGE, PURPLE, RED, SKY, legend_below, panels
from gainnet.studies.gairom_learning.summary import REGIMES, points, rank_correlations
from gainnet.studies.statistics import spread

COLOURS = {
    "sac": RED, "greedy": BLUE, "sequential_greedy": SKY, "best_response": BLACK, "matching": PURPLE, "mp_tsc": GREEN,
    "ml_scc": ORANGE, "ml_cc": BROWN, "ml_c": "#B8A000", "largest_correlation": "#5B4FA2", "random": GREY,
}  # fmt: skip
TITLES = {"independent": "independent clients", "contention": "clients contend for spectrum"}


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Accuracy over gain, one dot per policy and world."""
    found = points(table)
    rhos, regimes = rank_correlations(found), [name for name in REGIMES if name in set(found["regime"])]
    note = (
        "scikit-learn's digits in four domains with digits of their own, a perceptron per model, federated averaging: "
        "one pass per round over the samples\nthat the clients of a policy consume; a client's images come from the "
        "domains of the targets it senses. Accuracy among all ten digits on unseen hands,\ndigits of the model's own "
        f"domain, mean over models. Small dots: {found['random_seed'].nunique()} worlds, large dots: their means. "
        "Spearman's rank correlation over policies within\na world, 95 % Student interval over worlds."
    )
    figure, axes = panels(1, len(regimes), "Is more gain more accuracy?", note)
    for ax, regime in zip(axes, regimes, strict=True):
        _scatter(ax, found[found["regime"] == regime])
        own = spread(rhos[rhos["regime"] == regime]["rho"]) if len(rhos) else None
        width = "" if own is None or own.half_width is None else f" ± {own.half_width:.2f}"
        rank = "" if own is None else f"\nrank correlation {own.mean:.2f}{width}"
        ax.set(title=f"{TITLES[regime]}{rank}", xlabel="gain of all rounds", ylabel="test accuracy")
    legend_below(axes, 6)
    yield "accuracy_over_gain", figure


def _scatter(ax: Axes, found: pd.DataFrame) -> None:

    for method, colour in COLOURS.items():
        own = found[found["method"] == method]
        if len(own):
            ax.plot(own["gain"], own["accuracy"], ".", color=colour, alpha=0.35, markersize=6)
            ax.plot(own["gain"].mean(), own["accuracy"].mean(), "o", color=colour, markersize=9, label=label_of(method))
