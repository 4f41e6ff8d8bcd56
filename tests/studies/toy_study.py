"""A study of the mean of Gaussian draws: small enough to know its answer, slow enough to be killed.

Drawing takes ten times as long as everything else of it, so that `PLAIN` draws nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import pandas as pd
from matplotlib.figure import Figure
from pydantic import Field

from gainnet.core.randomness import Random
from gainnet.studies.figures import panels
from gainnet.studies.study import Case, Method, Row, Study


@dataclass(frozen=True)
class ToyConfig:
    random_seeds: tuple[int, ...]
    num_draws: Annotated[int, Field(gt=0)]
    scales: tuple[float, ...]
    pause_s: float = 0.0
    only: str | None = None


def cases(config: ToyConfig) -> Iterator[Case]:
    for random_seed in config.random_seeds:
        for scale in config.scales:
            for method in ("mean", "median"):
                if config.only in (None, method):
                    yield Case(method, {"scale": scale}, random_seed)


def open_methods(config: ToyConfig) -> Mapping[str, Method]:
    def mean(case: Case, random: Random) -> Row:
        time.sleep(config.pause_s)
        draws = random.normal((config.num_draws,), "draws") * float(str(case.values["scale"]))
        return {"location": float(draws.mean()), "spare": None}

    def median(case: Case, random: Random) -> Row:
        time.sleep(config.pause_s)
        draws = random.normal((config.num_draws,), "draws") * float(str(case.values["scale"]))
        return {"location": float(draws.median()), "num_draws": config.num_draws}

    return {"mean": mean, "median": median}


def summarise(table: pd.DataFrame) -> dict[str, float | None]:
    return {f"location.{name}": float(rows["location"].mean()) for name, rows in table.groupby("method")}


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    figure, (ax,) = panels(1, 1, "Location over scale", "no unit")
    ax.plot(table["scale"], table["location"], "o")
    yield "location", figure


TOY = Study(
    name="toy",
    catalog=Path(__file__).parent,
    config=ToyConfig,
    methods=("mean", "median"),
    metric_names=("location.mean", "location.median"),
    cases=cases,
    open=open_methods,
    identity=lambda config: {"weights": "none"},
    summarise=summarise,
    draw=draw,
)


def draw_nothing(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    return iter(())


PLAIN = replace(TOY, draw=draw_nothing)
