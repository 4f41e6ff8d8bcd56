"""Question and sweep of gairom-robustness: less time, less bandwidth, less computing, one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Annotated, final

from pydantic import Field

from gainnet.studies.gairom.question import LEARNED, REFERENCE, players
from gainnet.studies.settings import Natural, NonEmpty, Positive, Seeds, one_of
from gainnet.studies.study import Case, Value

BOARD = "board"
UNTRAINED = ("mp_tsc", "greedy")
METHODS = (*UNTRAINED, LEARNED, REFERENCE, BOARD)
DURATION_S, SHORT_DURATION_S = 9.0, 5.0
NAMED = {"time_5": ("time", SHORT_DURATION_S), "bandwidth_half": ("bandwidth", 0.5), "compute_half": ("compute", 0.5)}
"""Conditions that metrics are named after."""

NOMINAL = {"time": DURATION_S, "bandwidth": 1.0, "compute": 1.0}
SCENARIOS = ("street", "figure")


@final
@dataclass(frozen=True)
class RobustnessConfig:
    """Settings of the study gairom-robustness.

    Args:
        random_seeds: each draws a world that no policy was trained in.
        training_seeds: of the learned policies, which were trained with all resources.
        methods: policies beside the optimum.
        scenarios: street, and figure, where targets are the limit.
        durations_s: time of a CR.
        shares: of the bandwidth, and of the compute rate, that is left.
    """

    random_seeds: Seeds
    training_seeds: tuple[Natural, ...]
    methods: tuple[Annotated[str, one_of(UNTRAINED)], ...]
    scenarios: NonEmpty[Annotated[str, one_of(SCENARIOS)]]
    durations_s: NonEmpty[Positive]
    shares: NonEmpty[Annotated[float, Field(gt=0, le=1)]]

    def amounts(self, resource: str) -> tuple[float, ...]:
        """Shares or durations of a resource that are swept."""
        return self.durations_s if resource == "time" else self.shares


def cases(config: RobustnessConfig) -> Iterator[Case]:
    """Scenario and resource outermost; two boards of the first world where targets are the limit."""
    for scenario, resource in product(config.scenarios, NOMINAL):
        for amount, random_seed in product(config.amounts(resource), config.random_seeds):
            values: dict[str, Value] = {"scenario": scenario, "resource": resource, "amount": amount}
            for method, training_seed in players((*config.methods, REFERENCE), config.training_seeds):
                yield Case(method, {**values, "training_seed": training_seed}, random_seed)
    for duration_s in (DURATION_S, SHORT_DURATION_S) if "figure" in config.scenarios else ():
        board: dict[str, Value] = {"scenario": "figure", "resource": "time", "amount": duration_s}
        yield Case(BOARD, {**board, "training_seed": None}, config.random_seeds[0])
