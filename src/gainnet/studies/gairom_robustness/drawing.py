"""Figures of gairom-robustness, from its table alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from gainnet.studies.figures import BLACK, BLUE, GREEN, RED, legend_below, panels
from gainnet.studies.gairom_robustness.question import BOARD, LEARNED, NOMINAL, REFERENCE
from gainnet.studies.gairom_robustness.summary import curves
from gainnet.studies.statistics import spread

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AXES = {
    "time": "time of a communication round in s",
    "bandwidth": "share of the bandwidth that is left",
    "compute": "share of the computing that is left",
}
LOOKS = {
    REFERENCE: ("optimum", BLACK, ":"), LEARNED: ("SAC, not retrained", RED, "-"), "greedy": ("greedy", BLUE, "--"),
    "mp_tsc": ("MP-TSC", GREEN, "-."),
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
    for ax, (scenario, resource) in zip(axes, [(s, r) for s in scenarios for r in resources], strict=True):
        rows = found[(found["scenario"] == scenario) & (found["resource"] == resource)]
        for method, (label, colour, line) in LOOKS.items():
            own = rows[rows["method"] == method]
            if len(own):
                _curve(ax, own, column, label, colour, line)
        ax.set(title=SCENARIO_TITLES[scenario], xlabel=AXES[resource], ylabel=ylabel)
        ax.set_xlim(NOMINAL[resource] * 1.02, float(rows["amount"].min()) - 0.02 * NOMINAL[resource])
    legend_below(axes, 4)
    return figure


def _curve(ax: Axes, rows: pd.DataFrame, column: str, label: str, colour: str, line: str) -> None:
    amounts = sorted(set(rows["amount"]))
    spreads = {amount: spread(list(rows[rows["amount"] == amount][column])) for amount in amounts}
    means = [s.mean for s in spreads.values()]
    widths = [s.half_width or 0.0 for s in spreads.values()]
    ax.plot(list(spreads), means, line, color=colour, marker="o", markersize=3.5, linewidth=1.8, label=label)
    low, high = ([m + sign * w for m, w in zip(means, widths, strict=True)] for sign in (-1, 1))
    ax.fill_between(list(spreads), low, high, color=colour, alpha=0.12, linewidth=0)


def _boards(boards: pd.DataFrame) -> Figure:
    from matplotlib.patches import Patch

    from gainnet.orchestration.board import COLOURS, draw_board
    from gainnet.orchestration.resources import Grid
    from gainnet.studies.gairom_robustness.methods import as_schedules

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
    patches = [
        Patch(color=colour, label=activity.name.lower().replace("_", " ")) for activity, colour in COLOURS.items()
    ]
    axes[0].figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), frameon=False, fontsize=10)
    return figure
