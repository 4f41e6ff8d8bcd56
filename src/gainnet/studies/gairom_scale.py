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
from gainnet.studies.figures import BLACK, BLUE, GREEN, GREY, RED, Style, legend_below, panels
from gainnet.studies.gairom.arena import Arena, arena, digests, load_all, scenario_of_regime
from gainnet.studies.gairom.question import LEARNED, REFERENCE, players
from gainnet.studies.settings import Natural, NonEmpty, Seeds, one_of
from gainnet.studies.statistics import spread
from gainnet.studies.study import Case, Method, Row, Study

REGIME = "contention"
UNTRAINED = ("mp_tsc", "greedy", "sequential_greedy")
METHODS = (*UNTRAINED, LEARNED, REFERENCE)
NAMED_SIZES = (50, 500, 5000)
METRIC_NAMES = (
    *(f"decision_s.{num}" for num in NAMED_SIZES),
    *(f"graph_s.{num}" for num in NAMED_SIZES),
    *(f"sac_over_greedy.{num}" for num in NAMED_SIZES),
    *(f"sac_of_bound.{num}" for num in (50, 200)),
    *(f"sequential_greedy_decision_s.{num}" for num in (50, 500)),
)
STYLES = {
    LEARNED: Style("SAC, trained on 50 clients", RED), "greedy": Style("greedy", BLUE, "--"),
    "sequential_greedy": Style("sequential greedy", GREY, "--"), "mp_tsc": Style("MP-TSC", GREEN, "-."),
    REFERENCE: Style("bound", BLACK, ":"),
}  # fmt: skip


@final
@dataclass(frozen=True)
class ScaleConfig:
    """Settings of the study gairom-scale.

    Args:
        random_seeds: each draws a world of every size.
        training_seeds: of the learned policies.
        methods: policies without weights.
        nums_clients: sizes; spectrum of the edges and the samples at which a model saturates grow with them.
        most_sequential: largest size for sequential greedy, whose time grows with the square of it.
        most_bounded: largest size with a Lagrangian bound.
        num_bound_steps: subgradient steps of the bound of a round.
    """

    random_seeds: Seeds
    training_seeds: tuple[Natural, ...]
    methods: tuple[Annotated[str, one_of(UNTRAINED)], ...]
    nums_clients: NonEmpty[Annotated[int, Field(ge=1, le=10_000)]]
    most_sequential: Natural
    most_bounded: Natural
    num_bound_steps: Annotated[int, Field(ge=1, le=10_000)]


def cases(config: ScaleConfig) -> Iterator[Case]:
    """Size outermost, so that a run that is cut off has whole sizes."""
    for num_clients, random_seed in product(config.nums_clients, config.random_seeds):
        most = {"sequential_greedy": config.most_sequential, REFERENCE: config.most_bounded}
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
        policy(graph, here.random)
        rollout, timed = here.play(policy)
        decision_s = sorted(timed.seconds)[len(timed.seconds) // 2]
        return {"gain": float(rollout.gain.sum()), "measured_decision_s": decision_s, "measured_graph_s": graph_s}

    def reference(case: Case, random: Random) -> Row:
        here = here_of(case)
        found = reference_of(here.world, here.regime, config.num_bound_steps)
        return {"gain": None if found is None else found.total}

    return {**dict.fromkeys((*UNTRAINED, LEARNED), played), REFERENCE: reference}


def shares(table: pd.DataFrame) -> pd.DataFrame:
    """One row per method and world (mean over training seeds), with its gain over greedy's and over the bound."""
    keys = ["num_clients", "random_seed"]
    columns = ["gain", "measured_decision_s", "measured_graph_s"]
    rows = table.groupby(["method", *keys], as_index=False)[columns].mean()
    for method, name in (("greedy", "over_greedy"), (REFERENCE, "of_bound")):
        rows = rows.join(rows[rows["method"] == method].set_index(keys)["gain"].rename(name), on=keys)
        rows[name] = rows["gain"] / rows[name]
    return rows


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """Every metric of the study: medians of times, means of shares."""
    found = shares(table)
    return {name: value for name, value in _metrics(found) if name in METRIC_NAMES and value == value}


def _metrics(found: pd.DataFrame) -> Iterator[tuple[str, float]]:
    for num_clients in sorted(set(found["num_clients"])):
        rows = found[found["num_clients"] == num_clients]
        own, sequential = (rows[rows["method"] == name] for name in (LEARNED, "sequential_greedy"))
        yield f"decision_s.{num_clients}", _significant(own["measured_decision_s"].median())
        yield f"graph_s.{num_clients}", _significant(own["measured_graph_s"].median())
        yield f"sac_over_greedy.{num_clients}", round(float(own["over_greedy"].mean()), 5)
        yield f"sac_of_bound.{num_clients}", round(float(own["of_bound"].mean()), 5)
        decision_s = sequential["measured_decision_s"].median()
        yield f"sequential_greedy_decision_s.{num_clients}", _significant(decision_s)


def _significant(value: Any) -> float:
    return float(f"{float(value):.3g}")


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Decision time and gain over the number of clients."""
    found = shares(table)
    note = (
        "Clients contend for the spectrum of edges; spectrum and the samples at which a model saturates grow with "
        "their number, the square and its targets stay.\nTime from the graph of a round to the association, one "
        f"thread; {table['random_seed'].nunique()} worlds, median over 5 rounds. "
        "Bars: 95 % Student interval over worlds. The bound is Lagrangian."
    )
    figure, axes = panels(1, 3, "From ten clients to thousands", note)
    _lines(axes[0], found[found["method"] != REFERENCE], "measured_decision_s")
    _lines(axes[1], found[found["method"] != REFERENCE], "over_greedy")
    _lines(axes[2], found[found["method"] != REFERENCE], "of_bound")
    axes[0].set(yscale="log", ylabel="measured time of one decision in s", title="decision time")
    axes[1].set(ylabel="gain over that of greedy", title="gain against greedy")
    axes[2].set(ylabel="gain over that of the bound", title="gain against the bound")
    for ax in axes:
        ax.set(xscale="log", xlabel="clients")
    legend_below(axes, 4)
    yield "scale", figure


def _lines(ax: Axes, found: pd.DataFrame, column: str) -> None:
    for method, style in STYLES.items():
        rows = found[(found["method"] == method) & found[column].notna()]
        spreads = {size: spread(own[column]) for size, own in rows.groupby("num_clients")}
        if spreads:
            sizes, means, high = (
                [float(str(size)) for size in spreads],
                [s.mean for s in spreads.values()],
                [s.error_bar for s in spreads.values()],
            )
            # An axis of logarithms has no room for an interval that reaches zero.
            low = [min(s.error_bar, 0.9 * s.mean) for s in spreads.values()]
            look: dict[str, Any] = {"color": style.colour, "linestyle": style.line, "marker": "o", "capsize": 2}
            ax.errorbar(sizes, means, [low, high], **look).set_label(style.label)


GAIROM_SCALE = Study(
    name="gairom-scale",
    config=ScaleConfig,
    methods=METHODS,
    metric_names=METRIC_NAMES,
    cases=cases,
    open=open_methods,
    identity=lambda config: digests([REGIME], config.training_seeds),
    summarise=summarise,
    draw=draw,
)
