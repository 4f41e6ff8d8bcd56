"""What gairom-robustness sweeps: less time, less bandwidth, less computing, one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, final

from pydantic import Field

from gainnet.studies.study import Case, Value

LEARNED, REFERENCE, BOARD = "sac", "reference", "board"
UNTRAINED = ("mp_tsc", "greedy")
METHODS = (*UNTRAINED, LEARNED, REFERENCE, BOARD)
DURATION_S, SHORT_DURATION_S = 9.0, 5.0
NAMED = {"time_5": ("time", SHORT_DURATION_S), "bandwidth_half": ("bandwidth", 0.5), "compute_half": ("compute", 0.5)}
"""Conditions that metrics are named after."""

NOMINAL = {"time": DURATION_S, "bandwidth": 1.0, "compute": 1.0}
SCENARIOS = ("street", "figure")
QUESTION = "How much of the gain is left with less time, bandwidth or computing, and does a policy notice untrained?"


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

    random_seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
    training_seeds: tuple[Annotated[int, Field(ge=0)], ...]
    methods: tuple[Literal["mp_tsc", "greedy"], ...]
    scenarios: Annotated[tuple[Literal["street", "figure"], ...], Field(min_length=1)]
    durations_s: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)]
    shares: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(min_length=1)]


def cases(config: RobustnessConfig) -> Iterator[Case]:
    """Scenario and resource outermost; two boards of the first world where targets are the limit."""
    for scenario in config.scenarios:
        for resource in NOMINAL:
            for amount in config.durations_s if resource == "time" else config.shares:
                for random_seed in config.random_seeds:
                    yield from _cases(config, scenario, resource, amount, random_seed)
    if "figure" in config.scenarios:
        for duration_s in (DURATION_S, SHORT_DURATION_S):
            yield _case(BOARD, "figure", "time", duration_s, None, config.random_seeds[0])


def _cases(config: RobustnessConfig, scenario: str, resource: str, amount: float, random_seed: int) -> Iterator[Case]:
    for method in (*config.methods, REFERENCE):
        yield _case(method, scenario, resource, amount, None, random_seed)
    for training_seed in config.training_seeds:
        yield _case(LEARNED, scenario, resource, amount, training_seed, random_seed)


def _case(
    method: str, scenario: str, resource: str, amount: float, training_seed: int | None, random_seed: int
) -> Case:
    values: dict[str, Value] = {"scenario": scenario, "resource": resource, "amount": amount}
    return Case(method, {**values, "training_seed": training_seed}, random_seed)
