"""Study gairom-scale: gain and decision time from ten clients to thousands."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any, final

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pydantic import Field

from gainnet.core.randomness import Random
from gainnet.orchestration import State, graph_of
from gainnet.orchestration.reference import reference_of
from gainnet.studies.figures import Panel, Style, draw_panels, with_own
from gainnet.studies.gairom.arena import Arena, arena, digests, load_all, scenario_of_regime
from gainnet.studies.gairom.question import LEARNED, REFERENCE, BoundSteps, check_policy, players
from gainnet.studies.own import Guarded, one_or_own, own
from gainnet.studies.palette import BLUE, GREEN, GREY, RED
from gainnet.studies.settings import Natural, NonEmpty, Seeds
from gainnet.studies.statistics import at, beside, named, spreads
from gainnet.studies.study import Case, Method, Row, Study

REGIME = "contention"
UNTRAINED = ("mp_tsc", "greedy", "sequential_greedy")
METHODS = (*UNTRAINED, LEARNED, REFERENCE)
NAMED_SIZES = (50, 500, 5000)
METRIC_NAMES = (
    *(f"{name}.{num}" for name in ("decision_s", "graph_s", "sac_over_greedy") for num in NAMED_SIZES),
    *(f"sac_of_bound.{num}" for num in (50, 200)),
    *(f"sequential_greedy_decision_s.{num}" for num in (50, 500)),
)
STYLES = {
    LEARNED: Style("SAC, trained on 50 clients", RED, "-", "s"), "greedy": Style("greedy", BLUE, "--", "o"),
    "sequential_greedy": Style("sequential greedy", GREY, "--", "*"), "mp_tsc": Style("MP-TSC", GREEN, "-.", "D"),
}  # fmt: skip


@final
@dataclass(frozen=True)
class ScaleConfig:
    """Settings of the study gairom-scale.

    Args:
        random_seeds: each draws a world of every size.
        training_seeds: of the learned policies.
        methods: policies without weights, and policies of yours as `module:Class(args)`.
        nums_clients: sizes; spectrum of the edges and the samples at which a model saturates grow with them.
        most_sequential: largest size for sequential greedy, whose time grows with the square of it.
        most_bounded: largest size with a Lagrangian bound.
        num_bound_steps: subgradient steps of the bound of a round.
    """

    random_seeds: Seeds
    training_seeds: tuple[Natural, ...]
    methods: tuple[Annotated[str, one_or_own(UNTRAINED, check_policy)], ...]
    nums_clients: NonEmpty[Annotated[int, Field(ge=1, le=10_000)]]
    most_sequential: Natural
    most_bounded: Natural
    num_bound_steps: BoundSteps


def cases(config: ScaleConfig) -> Iterator[Case]:
    """Size outermost, so that a run that is cut off has whole sizes."""
    most = {"sequential_greedy": config.most_sequential, REFERENCE: config.most_bounded}
    for num_clients, random_seed in product(config.nums_clients, config.random_seeds):
        for method, training_seed in players((*config.methods, REFERENCE), config.training_seeds):
            if num_clients <= most.get(method, num_clients):
                yield Case(method, {"num_clients": num_clients, "training_seed": training_seed}, random_seed)


def open_methods(config: ScaleConfig) -> Mapping[str, Method]:
    """The methods, with the learned policies loaded."""
    learned = load_all([REGIME], config.training_seeds)

    def here_of(case: Case) -> Arena:
        return arena(scenario_of_regime(REGIME, case.count("num_clients")), REGIME, case.random_seed)

    def played(case: Case, random: Random) -> Row:
        here = here_of(case)
        policy = learned.player(case, here.world.scenario, REGIME)
        start_s = time.perf_counter()
        graph = graph_of(here.world, here.regime, 0, State.empty(here.world))
        graph_s = time.perf_counter() - start_s
        policy(graph, here.random)  # the first decision pays for what is made once, and is not timed
        rollout, decision_s = here.play(policy)
        return {"gain": float(rollout.gain.sum()), "measured_decision_s": decision_s, "measured_graph_s": graph_s}

    def reference(case: Case, random: Random) -> Row:
        here = here_of(case)
        found = reference_of(here.world, here.regime, config.num_bound_steps)
        return {"gain": None if found is None else found.total}

    users: dict[str, Method] = {name: Guarded(name, played) for name in own(config.methods, UNTRAINED)}
    return {**dict.fromkeys((*UNTRAINED, LEARNED), played), **users, REFERENCE: reference}


def shares(table: pd.DataFrame) -> pd.DataFrame:
    """One row per method and world (mean over training seeds), with its gain over greedy's and over the bound."""
    keys = ["num_clients", "random_seed"]
    columns = ["gain", "measured_decision_s", "measured_graph_s"]
    rows = table.groupby(["method", *keys], as_index=False)[columns].mean()
    for method, name in (("greedy", "over_greedy"), (REFERENCE, "of_bound")):
        rows[name] = rows["gain"] / beside(rows, at(rows, method=method), keys, "gain")
    return rows


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """Every metric of the study: medians of times, which a busy machine lengthens now and then; means of shares."""
    found = shares(table)
    learned, sequential = (at(found, method=name).groupby("num_clients") for name in (LEARNED, "sequential_greedy"))
    times = {
        "decision_s": learned["measured_decision_s"], "graph_s": learned["measured_graph_s"],
        "sequential_greedy_decision_s": sequential["measured_decision_s"],
    }  # fmt: skip
    metrics: dict[str, float] = {}
    for name, groups in times.items():
        metrics |= named(groups.median().map(lambda x: float(f"{x:.3g}")), f"{name}.{{}}")
    for name, column in (("sac_over_greedy", "over_greedy"), ("sac_of_bound", "of_bound")):
        metrics |= named(learned[column].mean().round(5), f"{name}.{{}}")
    return {name: value for name, value in metrics.items() if name in METRIC_NAMES and value == value}


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Decision time and gain over the number of clients."""
    found = shares(table)
    note = (
        "Clients contend for the spectrum of edges; spectrum and the samples at which a model saturates grow with "
        "their number, the square and its targets stay.\nTime from the graph of a round to the association, one "
        f"thread; {table['random_seed'].nunique()} worlds, median over 5 rounds. "
        "Bars: 95 % Student interval over worlds. The bound is Lagrangian."
    )
    labels = {
        "measured_decision_s": ("decision time", "measured time of one decision in s"),
        "over_greedy": ("gain against greedy", "gain over that of greedy"),
        "of_bound": ("gain against the bound", "gain over that of the bound"),
    }
    parts = [
        Panel(spreads(found, ["method", "num_clients"], column), title, "clients", ylabel)
        for column, (title, ylabel) in labels.items()
    ]
    figure = draw_panels("From ten clients to thousands", note, parts, _lines, 3)
    figure.axes[0].set_yscale("log")
    yield "scale", figure


def _lines(ax: Axes, means: pd.DataFrame) -> None:
    for method, style in with_own(STYLES, means, METHODS).items():
        if len(rows := at(means, method=method)):
            # An axis of logarithms has no room for an interval that reaches zero.
            low = rows["error_bar"].clip(upper=0.9 * rows["mean"])
            look: dict[str, Any] = {
                "color": style.colour,
                "linestyle": style.line,
                "marker": style.marker,
                "capsize": 2,
            }
            ax.errorbar(rows["num_clients"], rows["mean"], [low, rows["error_bar"]], **look).set_label(style.label)
    ax.set_xscale("log")


def identity(config: ScaleConfig) -> Mapping[str, str]:
    """sha256 of what the methods read."""
    return digests([REGIME], config.training_seeds)


GAIROM_SCALE = Study("gairom-scale", ScaleConfig, METHODS, METRIC_NAMES, cases, open_methods, identity, summarise, draw)
