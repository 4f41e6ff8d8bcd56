"""Study joint: training and application on the same pools, against the bound of a convex program."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any, final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gainnet.core.randomness import Random
from gainnet.orchestration import World, draw_world, load_scenario
from gainnet.orchestration.joint import JOINT_POLICIES, Frontier, Site, demand_of, hypervolume, serve
from gainnet.orchestration.joint.cells import Columns
from gainnet.orchestration.joint.policies import most_served
from gainnet.orchestration.scenario import Scenario, scenario_of
from gainnet.studies.figures import Panel, Style, draw_panels
from gainnet.studies.palette import BLUE, GREEN, GREY, RED
from gainnet.studies.settings import Count, NonEmpty, Seeds
from gainnet.studies.statistics import at, beside, named, spread
from gainnet.studies.study import Case, Method, Row, Study

BOUND = "bound"
METHODS = (*JOINT_POLICIES, BOUND)
NAMED_SHARE = 0.8
"""The share of served requests at which `gain_kept` and `served_share` are read."""
METRIC_NAMES = (
    *(f"pareto_hypervolume.{name}{end}" for name in JOINT_POLICIES for end in ("", ".half_width", ".p05", ".min")),
    *(f"{kind}.{name}" for kind in ("served_share", "gain_kept") for name in METHODS),
    "num_scenarios",
)
STYLES = {
    BOUND: Style("bound", GREY, ":"), "online": Style("online, drift plus penalty", RED),
    "priority": Style("requests first", BLUE, "--"), "static_split": Style("static split", GREEN, "-."),
}  # fmt: skip


@final
@dataclass(frozen=True)
class JointConfig:
    """Settings of the study joint.

    Args:
        random_seeds: each draws a scenario and its world.
        shares: of the offered requests that are to be served, in [0, 1].
        num_rounds: CRs of a world.
    """

    random_seeds: Seeds
    shares: NonEmpty[float]
    num_rounds: Count


def drawn_scenario(random_seed: int, num_rounds: int) -> Scenario:
    """The square of `contention` with another number of clients, other edges, and six classes of requests.

    Each class asks for about 0.05 to 0.9 of its edge's spectrum, and of its computing, by themselves; so an edge with
    several classes may be asked for more than it has.

    >>> len(drawn_scenario(0, 4).requests)
    6
    """
    draw = Random.of(random_seed).generators("joint scenario")[0]
    fields: dict[str, Any] = load_scenario("contention").model_dump()
    fields["clients"]["num_clients"] = int(draw.integers(10, 19))
    fields["rounds"]["num_rounds"] = num_rounds
    fields["gain"]["scale_samples"] = float(10 ** draw.uniform(1.5, 2.3))
    for edge in fields["edges"]:
        edge["bandwidth_hz"] = float(10 ** draw.uniform(6.9, 7.4))
        edge["cycles_per_s"] = float(10 ** draw.uniform(10.3, 11.0))
    for model in fields["models"]:
        model["num_bits"] *= float(10 ** draw.uniform(-0.3, 0.3))
        model["edge_cycles_per_sample"] = float(10 ** draw.uniform(8.8, 9.6))
    heavy = float(10 ** draw.uniform(-0.3, 0.3))
    fields["requests"] = [_class(fields, draw, heavy) for _ in range(6)]
    return scenario_of(fields)


def _class(fields: dict[str, Any], draw: np.random.Generator, heavy: float) -> dict[str, Any]:
    model = int(draw.integers(len(fields["models"])))
    edge = fields["edges"][fields["models"][model]["edge"]]
    per_s, deadline_s = float(10 ** draw.uniform(-0.3, 0.7)), float(draw.uniform(1.0, 6.0))
    spectrum, computing = heavy * draw.uniform(0.1, 0.45, 2)
    # A twentieth of the edge's rate in the queue alone, at most: deadlines can be held when nobody comes.
    cycles = min(float(computing) / per_s, deadline_s / 40) * edge["cycles_per_s"]
    # About 4 bit/s/Hz: the spectrum that users really need is drawn with their places.
    num_bits = 4 * min(float(spectrum) / per_s, 0.1 * deadline_s) * edge["bandwidth_hz"]
    return {
        "model": model, "per_s": per_s, "num_bits": num_bits, "cycles": cycles, "deadline_s": deadline_s,
        "bandwidth_hz": edge["bandwidth_hz"],
    }  # fmt: skip


def cases(config: JointConfig) -> Iterator[Case]:
    """Scenarios outermost, so that a run that is cut off has whole ones."""
    for random_seed, method, share in product(config.random_seeds, METHODS, config.shares):
        yield Case(method, {"share": share}, random_seed)


def open_methods(config: JointConfig) -> Mapping[str, Method]:
    """The policies and the bound; world and program of the last scenario are remembered."""

    @lru_cache(maxsize=1)
    def drawn(random_seed: int) -> tuple[World, Site]:
        scenario, random = drawn_scenario(random_seed, config.num_rounds), Random.of(random_seed)
        return draw_world(scenario, random), Site.of(scenario, demand_of(scenario, random))

    @lru_cache(maxsize=1)
    def frontier(random_seed: int) -> Frontier:
        world, site = drawn(random_seed)
        return Frontier.of(world.offers[: config.num_rounds], site)

    def bound(case: Case, random: Random) -> Row:
        world, site = drawn(case.random_seed)
        # Without training every CR serves the same; a hair below it, or rounding makes the program infeasible.
        most = most_served(Columns.of(world.offers[0], site), site) * (1 - 1e-7)
        share = min(case.number("share"), most)
        best = frontier(case.random_seed).at(share)
        # A frontier serves what it must; what it serves beyond that is not unique, and is not counted.
        return {"gain": None, "served": None} if best is None else {"gain": best.gain, "served": share}

    def played(policy: str) -> Method:
        def play(case: Case, random: Random) -> Row:
            found = serve(*drawn(case.random_seed), JOINT_POLICIES[policy](), case.number("share"))
            return {"gain": found.gain, "served": found.served_share, "measured_decision_s": found.decision_s}

        return play

    return {BOUND: bound, **{name: played(name) for name in JOINT_POLICIES}}


def shares(table: pd.DataFrame) -> pd.DataFrame:
    """Every row with its gain and served share over the best of each that the bound has in the same scenario."""
    top = at(table, method=BOUND).groupby("random_seed", as_index=False)[["gain", "served"]].max()
    found = table.copy()
    for column in ("gain", "served"):
        found[f"{column}_kept"] = found[column] / beside(found, top, ["random_seed"], column)
    return found


def volumes(table: pd.DataFrame) -> pd.DataFrame:
    """The area that the points of each method cover in each scenario, over that of the bound."""
    found = shares(table)
    rows = [
        {"random_seed": seed, "method": method, "area": _area(own)}
        for (seed, method), own in found.groupby(["random_seed", "method"])
    ]
    areas = pd.DataFrame(rows)
    areas["of_bound"] = areas["area"] / beside(areas, at(areas, method=BOUND), ["random_seed"], "area")
    return areas


def _area(points: pd.DataFrame) -> float:
    return hypervolume(zip(points["served_kept"], points["gain_kept"], strict=True))


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """Every metric of the study."""
    found, areas = shares(table), volumes(table)
    own = areas[areas["method"] != BOUND].groupby("method")["of_bound"]
    forms: Mapping[str, Callable[[Any], float]] = {
        "": lambda x: spread(x).mean, ".half_width": lambda x: spread(x).error_bar,
        ".p05": lambda x: float(x.quantile(0.05)), ".min": lambda x: float(x.min()),
    }  # fmt: skip
    metrics: dict[str, float] = {"num_scenarios": float(table["random_seed"].nunique())}
    for end, form in forms.items():
        metrics |= named(own.agg(form).round(5), "pareto_hypervolume.{}" + end)
    means = at(found, share=NAMED_SHARE).groupby("method")
    metrics |= named(means["served"].mean().round(5), "served_share.{}")
    metrics |= named(means["gain_kept"].mean().round(5), "gain_kept.{}")
    return {name: value for name, value in metrics.items() if name in METRIC_NAMES and value == value}


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Gain against served requests, and the hypervolume of every scenario."""
    found, areas = shares(table), volumes(table)
    num = table["random_seed"].nunique()
    note = (
        f"{num} drawn scenarios; left: means at each share that was asked for, of the bound's best of each.\n"
        "Right: area to the origin over that of the bound, one scenario a step. The bound is clairvoyant and relaxes "
        "associations to shares."
    )
    parts = [
        Panel(found, "training against application", "served requests, of the most", "gain, of the most"),
        Panel(areas[areas["method"] != BOUND], "all scenarios", "hypervolume of the bound's", "share of scenarios"),
    ]
    yield "joint", draw_panels("One pool for training and for users", note, parts, _curves, 2)


def _curves(ax: Axes, rows: pd.DataFrame) -> None:
    for method, style in STYLES.items():
        own = at(rows, method=method)
        if "of_bound" in rows and len(own):
            style.plot(ax, np.sort(own["of_bound"]), (np.arange(len(own)) + 1) / len(own), drawstyle="steps-post")
        elif len(own):
            means = own.groupby("share")[["served_kept", "gain_kept"]].mean()
            style.plot(ax, means["served_kept"], means["gain_kept"], marker="o", markersize=3)


def identity(config: JointConfig) -> Mapping[str, str]:
    """Nothing that was trained is read."""
    return {}


JOINT = Study("joint", JointConfig, METHODS, METRIC_NAMES, cases, open_methods, identity, summarise, draw)
