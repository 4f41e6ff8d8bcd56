"""Study gairom-robustness: orchestration with less time, bandwidth or computing than a policy was trained with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import product

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from gainnet.orchestration.board import COLOURS, draw_board, look_of
from gainnet.orchestration.resources import Grid
from gainnet.studies.figures import Panel, Style, draw_panels, legend_below, panels, plot_curves, same_height, with_own
from gainnet.studies.gairom.arena import digests, load_all
from gainnet.studies.gairom.question import LEARNED, REFERENCE
from gainnet.studies.gairom_robustness.methods import (
    BOARD,
    METHODS,
    NAMED,
    NOMINAL,
    UNTRAINED,
    WEIGHTS,
    RobustnessConfig,
    as_schedules,
    cases,
    methods,
)
from gainnet.studies.own import own
from gainnet.studies.palette import BLACK, BLUE, GREEN, ORANGE, RED
from gainnet.studies.statistics import at, beside, present, round_metrics, spreads
from gainnet.studies.study import Method, Study

POLICIES = (LEARNED, *UNTRAINED)
KEYS = ["scenario", "resource", "amount", "random_seed"]
PREFIX = {"street": "", "figure": "figure.", "coupled": "coupled."}


def metric_names() -> tuple[str, ...]:
    """All metrics; those where targets are the limit begin with `figure.`, those of coupled rounds with `coupled.`.

    >>> metric_names()[:2]
    ('sac_of_optimum.time_5', 'sac_of_optimum.bandwidth_half')
    """
    kinds = [*(f"{policy}_of_optimum" for policy in POLICIES), "optimum_kept", "sac_kept"]
    return tuple(f"{prefix}{kind}.{condition}" for prefix in PREFIX.values() for kind in kinds for condition in NAMED)


def shares(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of policies and of the optimum with two more columns, one row per world (mean over training seeds).

    `share`: gain over that of the optimum in the same world under the same limit; `kept`: gain over the gain of the
    same method in the same world without limit.
    """
    rows = table[table["method"] != BOARD].groupby(["method", *KEYS])[["gain"]].mean().reset_index()
    whole = rows[rows["amount"] == rows["resource"].map(NOMINAL)]
    best_gain = beside(rows, at(rows, method=REFERENCE), KEYS, "gain")
    whole_gain = beside(rows, whole, ["method", "scenario", "resource", "random_seed"], "gain")
    return rows.assign(share=rows["gain"] / best_gain, kept=rows["gain"] / whole_gain)


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """Every metric of the study: means over worlds."""
    return round_metrics(dict(_metrics(shares(table))), 5)


def _metrics(found: pd.DataFrame) -> Iterator[tuple[str, float | None]]:
    for scenario, prefix in PREFIX.items():
        for condition, (resource, amount) in NAMED.items():
            means = (
                at(found, scenario=scenario, resource=resource, amount=amount).groupby("method").mean(numeric_only=True)
            )
            for policy in [*(name for name in POLICIES if name in means.index), *own(means.index, METHODS)]:
                yield f"{prefix}{policy}_of_optimum.{condition}", means["share"][policy]
            for method, name in ((REFERENCE, "optimum"), (LEARNED, "sac")):
                yield f"{prefix}{name}_kept.{condition}", means["kept"].get(method)


AXES = {
    "time": "time of a communication round in s",
    "bandwidth": "share of the bandwidth that is left",
    "compute": "share of the computing that is left",
}
STYLES = {
    REFERENCE: Style("optimum", BLACK, ":", "x"), LEARNED: Style("SAC, not retrained", RED, "-", "s"),
    "lookahead": Style("look-ahead", ORANGE, "-", "^"), "greedy": Style("greedy", BLUE, "--", "o"),
    "mp_tsc": Style("MP-TSC", GREEN, "-.", "D"),
}  # fmt: skip
SCENARIO_TITLES = {"street": "street", "figure": "targets are the limit", "coupled": "coupled rounds"}


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Gain under every limit, share of the optimum under every limit, and two boards."""
    found = shares(table)
    note = (
        "Worlds, positions and reception stay as they are; one resource shrinks. Gain = sum over rounds of correlation "
        "times the saturating worth of the achievable workload.\n"
        f"{table['random_seed'].nunique()} worlds that no policy was trained in, independent clients; SAC was trained "
        "with all resources.\nLines: mean over worlds; bands: 95 % Student interval."
    )
    kept = _curves(found, "kept", "gain over the gain without limit", note)
    # One height for all: where targets are the limit hardly anything is lost, and that has to look so.
    same_height(kept, 0.03, 1.03)
    yield "gain_kept", kept
    yield "share_of_optimum", _curves(found, "share", "gain over that of the optimum", note)
    boards = at(table, method=BOARD).sort_values("amount", ascending=False)
    if len(boards):
        yield "boards", _boards(boards)


def _curves(found: pd.DataFrame, column: str, ylabel: str, note: str) -> Figure:
    def plot(ax: Axes, rows: pd.DataFrame) -> None:
        means, nominal = spreads(rows, ["method", "amount"], column), NOMINAL[rows["resource"].iloc[0]]
        plot_curves(ax, means, "amount", "mean", with_own(STYLES, means, METHODS), ("low", "high"))
        ax.set_xlim(nominal * 1.02, float(rows["amount"].min()) - 0.02 * nominal)

    scenarios, resources = present(found, "scenario", SCENARIO_TITLES), present(found, "resource", AXES)
    parts = [
        Panel(at(found, scenario=scenario, resource=resource), SCENARIO_TITLES[scenario], AXES[resource], ylabel)
        for scenario, resource in product(scenarios, resources)
    ]
    return draw_panels("Orchestration with fewer resources", note, parts, plot, len(resources))


def _boards(boards: pd.DataFrame) -> Figure:
    note = (
        "The clairvoyant optimum of one client, all of its resources and CRs; numbers are rounds. A CR senses for one "
        "round while it downloads, trains and uploads for the round before.\n"
        "A target gives no more than 4 samples of a kind per CR, so what fits into 9 s fits into 5 s when pieces move "
        "closer together."
    )
    figure, axes = panels(4, 1, "The same gain on a smaller board", note, 0.65)
    for (_, row), pair in zip(boards.iterrows(), ((axes[0], axes[1]), (axes[2], axes[3])), strict=False):
        rounds = as_schedules(json.loads(str(row["board"])))
        draw_board(pair, rounds, Grid(num_slots=round(float(row["amount"])), num_rows=5))
        pair[0].set(title=f"CRs of {row['amount']:g} s: gain of the client {row['gain']:.3f}", xlabel="")
        for ax in pair:
            ax.set_xlim(0, float(boards["amount"].max()) * len(rounds))
            ax.grid(False)
        if legend := pair[0].get_legend():
            legend.remove()
    for one in COLOURS:
        axes[0].add_patch(Rectangle((0, 0), 0, 0, **look_of(one), label=one.name.lower().replace("_", " ")))
    legend_below(axes, len(COLOURS))
    return figure


def open_methods(config: RobustnessConfig) -> Mapping[str, Method]:
    """The methods, with everything that they need loaded once."""
    return methods(load_all(_weights(config), config.training_seeds), config.methods)


def _weights(config: RobustnessConfig) -> list[str]:
    return list(dict.fromkeys(WEIGHTS[name] for name in config.scenarios))


def identity(config: RobustnessConfig) -> Mapping[str, str]:
    """sha256 of what the methods read."""
    return digests(_weights(config), config.training_seeds, config.scenarios)


GAIROM_ROBUSTNESS = Study(
    "gairom-robustness", RobustnessConfig, METHODS, metric_names(), cases, open_methods, identity, summarise, draw
)
