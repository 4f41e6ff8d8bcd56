"""From rows per caption to metrics and figures: means, and differences of arms caption by caption."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from gainnet.studies.draw_together.question import ARMS, DRAWN, METHODS, PAIRS, SCORES
from gainnet.studies.figures import legend_below, panels
from gainnet.studies.palette import BLACK, BLUE, GREEN, GREY, MARKER_OF, ORANGE
from gainnet.studies.statistics import at, present, round_metrics

NUM_RESAMPLES = 2000


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """Means over captions and random seeds, and differences with 95 % intervals over captions.

    A caption's value is its mean over the random seeds, so that captions alone are drawn again.
    """
    scores = {
        score: table.pivot_table(index="item", columns="method", values=score, aggfunc="mean")
        for score in SCORES
        if score in table and table[score].notna().any()
    }
    found: dict[str, float | None] = {"num_captions": float(table["item"].nunique())}
    style = scores.get("style", pd.DataFrame())
    if set(DRAWN) <= set(style):
        # Of pictures whose style is known, none of which the judge has learned from.
        found["judge_accuracy"] = float((style["styled"].mean() + 1 - style["plain"].mean()) / 2)
    for score, name, methods in (
        ("style", "style_agreement", ARMS),
        ("fidelity", "prompt_fidelity", METHODS),
        ("loss", "loss", ARMS),
    ):
        of_method = scores.get(score, pd.DataFrame())
        found |= {f"{name}.{method}": float(of_method[method].mean()) for method in methods if method in of_method}
    for score, of_method in scores.items():
        for a, b in PAIRS:
            if {a, b} <= set(of_method):
                found |= _interval(f"{a}_minus_{b}.{score}", (of_method[a] - of_method[b]).to_numpy(float))
    return round_metrics(found, 6)


def _interval(name: str, differences: np.ndarray) -> dict[str, float]:
    """Mean of differences [num_captions], and percentiles of 2,000 bootstrap draws of captions."""
    drawn = np.random.default_rng(0).integers(len(differences), size=(NUM_RESAMPLES, len(differences)))
    low, high = np.quantile(differences[drawn].mean(1), (0.025, 0.975))
    return {name: float(differences.mean()), f"{name}.low": float(low), f"{name}.high": float(high)}


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Style against fidelity, one point per arm, beside pictures as they were drawn."""
    methods = present(table, "method", METHODS)
    note = f"{table['item'].nunique()} captions that no device has; bars: 95 % of bootstrap draws of captions."
    figure, (ax,) = panels(1, 1, "Do phones teach the edge their style?", note)
    colours = {"none": GREY, "alone": ORANGE, "federated": BLUE, "central": GREEN}
    for method in methods:
        own = at(table, method=method).groupby("item")[["style", "fidelity"]].mean()
        bars = {name: _interval("x", own[name].to_numpy(float)) for name in own}
        x, y = (bars[name]["x"] for name in ("style", "fidelity"))
        errors = [
            [[bars[n]["x"] - bars[n]["x.low"]], [bars[n]["x.high"] - bars[n]["x"]]] for n in ("style", "fidelity")
        ]
        colour, label = colours.get(method, BLACK), method if method in ARMS else f"drawn, {method}"
        # Both kinds of drawn pictures are black: one is hollow, or nobody could say which is which.
        fmt, face = ("o", "white") if method == "plain" else (MARKER_OF[colour], colour)
        ax.errorbar(x, y, xerr=errors[0], yerr=errors[1], fmt=fmt, color=colour, markerfacecolor=face, label=label)
    ax.set(xlabel="share in the devices' style", ylabel="prompt fidelity", xlim=(-0.05, 1.05), ylim=(-0.05, 1.05))
    legend_below([ax], 3)
    yield "draw_together", figure
