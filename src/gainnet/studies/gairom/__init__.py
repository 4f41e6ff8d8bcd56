"""Study gairom: every policy of orchestration against the best there is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gainnet.orchestration.drawing import label_of
from gainnet.studies.figures import Panel, draw_panels, legend_below, panels, short
from gainnet.studies.gairom.arena import digests, load_all
from gainnet.studies.gairom.methods import methods
from gainnet.studies.gairom.question import (
    DRAWN,
    LEARNED,
    METHODS,
    MILP,
    NUM_CLIENTS,
    NUM_MANY_CLIENTS,
    PAPER,
    GairomConfig,
    cases,
    current,
)
from gainnet.studies.gairom.summary import BEST_OF_REGIME, metric_names, share_of_world, shares, summarise
from gainnet.studies.palette import BLACK, BLUE, GREEN, GREY, MARKER_OF, RED
from gainnet.studies.statistics import at, present, spread
from gainnet.studies.study import Method, Study

_OF_WHAT = {"optimum": "share of the exact optimum", "bound": "share of a Lagrangian bound"}
TITLES = {
    "independent": "independent clients (street)",
    "coupled": "coupled rounds (tight pools)",
    "contention": "clients contend for spectrum",
}


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Shares of all policies in three regimes, and contention at a closer look."""
    found = shares(table)
    regimes = present(found, "regime", TITLES)
    yield "gain_of_policies", _policies(at(found, num_clients=NUM_CLIENTS), regimes, _note(table))
    if (table["method"] == MILP).any() or (found["num_clients"] == NUM_MANY_CLIENTS).any():
        yield "contention", _contention(table, at(found, regime="contention"), _note(table))


def _note(table: pd.DataFrame) -> str:
    num_worlds = table["random_seed"].nunique()
    trained = table["training_seed"].nunique()
    return (
        "Gain = sum over rounds of data correlation times the saturating worth of the workload that is achievable\n"
        "when deciding; under contention a model's samples add up before they saturate. "
        f"{num_worlds} worlds that no policy\nwas trained in, {NUM_CLIENTS} clients, 5 rounds; SAC with {trained} "
        "training seeds. Dots: worlds (SAC: mean over training seeds);\nbars: 95 % Student interval over worlds. "
        "The optimum is clairvoyant about mobility. The bound is not reached by\nanybody in general; the distance to "
        "it is partly its own."
    )


def _policies(found: pd.DataFrame, regimes: list[str], note: str) -> Figure:
    def plot(ax: Axes, rows: pd.DataFrame) -> None:
        worlds = {str(name): share_of_world(own) for name, own in rows.groupby("method")}
        ordered = sorted(worlds, key=lambda one: float(worlds[one].mean()))
        for y, name in enumerate(ordered):
            _row(ax, y, worlds[name], RED if name in (LEARNED, *DRAWN) else GREEN if name in PAPER else BLUE)
        ax.set_yticks(range(len(ordered)), [label_of(short(name)) for name in ordered])
        ax.axvline(1.0, color=BLACK, linestyle=":", linewidth=1.4)
        ax.set_xlim(None, 1.04)

    parts = [
        Panel(at(found, regime=regime), TITLES[regime], f"{_OF_WHAT[BEST_OF_REGIME[regime]]}") for regime in regimes
    ]
    figure = draw_panels("Gain of every policy, as share of the best there is", note, parts, plot, 2, 0, 1.2)
    for colour, label in ((RED, "learned"), (BLUE, "no training"), (GREEN, "baselines of GainNet")):
        figure.axes[0].plot([], [], MARKER_OF[colour], color=colour, label=label)
    legend_below(figure.axes, 3)
    return figure


def _row(ax: Axes, y: int, worlds: pd.Series[float], colour: str) -> None:
    ax.plot(worlds, np.full(len(worlds), y), ".", color=colour, alpha=0.3, markersize=5)
    found = spread(worlds)
    ax.errorbar(found.mean, y, xerr=found.error_bar, fmt=MARKER_OF[colour], color=colour, capsize=3, markersize=5)
    # Beside the axes, where no dot can be in the way.
    ax.text(1.02, y, f"{found.mean:.3f}", transform=ax.get_yaxis_transform(), va="center", fontsize="small")


def _contention(table: pd.DataFrame, found: pd.DataFrame, note: str) -> Figure:
    figure, axes = panels(1, 2, "Contention: more clients than in training, and the clock", note)
    names, sizes = [LEARNED, "greedy"], (NUM_CLIENTS, NUM_MANY_CLIENTS)
    for x, num_clients in enumerate(sizes):
        for name, colour, shift in zip(names, (RED, BLUE), (-0.08, 0.08), strict=True):
            worlds = share_of_world(at(found, method=name, num_clients=num_clients))
            axes[0].plot(np.full(len(worlds), x + shift), worlds, ".", color=colour, alpha=0.3)
            if len(worlds):
                axes[0].plot(x + shift, worlds.mean(), MARKER_OF[colour], color=colour, label=label_of(name))
    axes[0].set_xticks(range(2), [f"{num} clients" for num in sizes])
    axes[0].set(ylabel="gain over that of the bound", title="trained on 50 clients; dots: worlds", xlim=(-0.5, 1.5))
    _clock(axes[1], at(table, method=MILP))
    legend_below(axes, 4)
    return figure


def _clock(ax: Axes, races: pd.DataFrame) -> None:
    """Where every program ended, and where the learned policy was before it."""
    share = races["gain"] / races["gain_of_sac"]
    ax.plot(races["measured_milp_s"], share, MARKER_OF[GREY], color=GREY, label="MILP, last program")
    ax.plot(races["measured_decision_s"], np.ones(len(races)), MARKER_OF[RED], color=RED)
    ax.axhline(1.0, color=RED, linewidth=0.8)
    ax.set_xscale("log")
    ax.set(xlabel="measured time of one decision in s", ylabel="gain of the round over that of SAC", title="one round")


def open_methods(config: GairomConfig) -> Mapping[str, Method]:
    """The methods, with everything that they need loaded once."""
    return methods(config, load_all((*config.regimes, *config.drawn), config.training_seeds))


def identity(config: GairomConfig) -> Mapping[str, str]:
    """sha256 of what the methods read."""
    return digests(config.regimes, config.training_seeds, drawn=config.drawn)


GAIROM = Study(
    "gairom", GairomConfig, METHODS, metric_names(), cases, open_methods, identity, summarise, draw, current=current
)
