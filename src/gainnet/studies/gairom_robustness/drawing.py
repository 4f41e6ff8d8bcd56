"""Figures of gairom-robustness, from its table alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from gainnet.orchestration.board import COLOURS, draw_board
from gainnet.orchestration.resources import Grid
from gainnet.studies.figures import BLACK, BLUE, GREEN, RED, Style, legend_below, panels
from gainnet.studies.gairom.question import LEARNED, REFERENCE
from gainnet.studies.gairom_robustness.methods import as_schedules
from gainnet.studies.gairom_robustness.question import BOARD, NOMINAL
from gainnet.studies.gairom_robustness.summary import curves
from gainnet.studies.statistics import spread

AXES = {
    "time": "time of a communication round in s",
    "bandwidth": "share of the bandwidth that is left",
    "compute": "share of the computing that is left",
}
STYLES = {
    REFERENCE: Style("optimum", BLACK, ":", "o"), LEARNED: Style("SAC, not retrained", RED, "-", "o"),
    "greedy": Style("greedy", BLUE, "--", "o"), "mp_tsc": Style("MP-TSC", GREEN, "-.", "o"),
}  # fmt: skip
SCENARIO_TITLES = {"street": "street", "figure": "targets are the limit"}


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Gain under every limit, share of the optimum under every limit, and two boards."""
    found = curves(table)
    note = (
        "Worlds, positions and reception stay as they are; one resource shrinks. Gain = sum over rounds of correlation "
        "times the saturating worth of the achievable workload.\n"
        f"{table['random_seed'].nunique()} worlds that no policy was trained in, independent clients; SAC was trained "
        "with all resources.\nLines: mean over worlds; bands: 95 % Student interval."
    )
    yield "gain_kept", _curves(found, "kept", "gain over the gain without limit", note)
    yield "share_of_optimum", _curves(found, "share", "gain over that of the optimum", note)
    boards = table[table["method"] == BOARD].sort_values("amount", ascending=False)
    if len(boards):
        yield "boards", _boards(boards)


def _curves(found: pd.DataFrame, column: str, ylabel: str, note: str) -> Figure:
    scenarios = [name for name in SCENARIO_TITLES if name in set(found["scenario"])]
    resources = [name for name in AXES if name in set(found["resource"])]
    figure, axes = panels(len(scenarios), len(resources), "Orchestration with fewer resources", note)
    for ax, (scenario, resource) in zip(axes, product(scenarios, resources), strict=True):
        rows = found[(found["scenario"] == scenario) & (found["resource"] == resource)]
        for method, style in STYLES.items():
            if len(own := rows[rows["method"] == method]):
                _curve(ax, own, column, style)
        ax.set(title=SCENARIO_TITLES[scenario], xlabel=AXES[resource], ylabel=ylabel)
        ax.set_xlim(NOMINAL[resource] * 1.02, float(rows["amount"].min()) - 0.02 * NOMINAL[resource])
    legend_below(axes, 4)
    return figure


def _curve(ax: Axes, rows: pd.DataFrame, column: str, style: Style) -> None:
    spreads = {amount: spread(own[column]) for amount, own in rows.groupby("amount")}
    style.plot(ax, list(spreads), [s.mean for s in spreads.values()], markersize=3.5, linewidth=1.8)
    low, high = ([s.mean + sign * s.error_bar for s in spreads.values()] for sign in (-1, 1))
    style.band(ax, list(spreads), low, high, 0.12)


def _boards(boards: pd.DataFrame) -> Figure:

    note = (
        "The clairvoyant optimum of one client, all of its resources and CRs; numbers are rounds. A CR senses for one "
        "round while it downloads, trains and uploads for the round before.\n"
        "A target gives no more than 4 samples of a kind per CR, so what fits into 9 s fits into 5 s when pieces move "
        "closer together."
    )
    figure, axes = panels(4, 1, "The same gain on a smaller board", note)
    figure.set_size_inches(12.5, 11.5)
    for (_, row), pair in zip(boards.iterrows(), ((axes[0], axes[1]), (axes[2], axes[3])), strict=False):
        rounds = as_schedules(json.loads(str(row["board"])))
        draw_board(pair, rounds, Grid(num_slots=round(float(row["amount"])), num_rows=5))
        pair[0].set(title=f"CRs of {row['amount']:g} s: gain of the client {row['gain']:.3f}", xlabel="")
        for ax in pair:
            ax.set_xlim(0, float(boards["amount"].max()) * len(rounds))
            ax.grid(False)
        if legend := pair[0].get_legend():
            legend.remove()
    patches = [Patch(color=colour, label=one.name.lower().replace("_", " ")) for one, colour in COLOURS.items()]
    axes[0].figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), frameon=False, fontsize=10)
    return figure
