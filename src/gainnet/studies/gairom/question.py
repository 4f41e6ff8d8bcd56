"""Question and sweep of gairom: policies in worlds of three regimes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any, Literal, final

from pydantic import Field

from gainnet.catalog.orchestration import policy_of, scenario
from gainnet.studies.own import one_or_own
from gainnet.studies.settings import Natural, NonEmpty, Seeds, one_of
from gainnet.studies.study import Case

RegimeName = Literal["independent", "coupled", "contention"]
BoundSteps = Annotated[int, Field(ge=1, le=10_000)]

SCENARIO_OF_REGIME: Mapping[str, str] = {"independent": "street", "coupled": "coupled", "contention": "contention"}
"""Coupled clients are independent of each other, but their pools are so tight that rounds are coupled."""

PAPER = ("ml_c", "ml_cc", "ml_scc", "mp_tsc")
AWARE = ("crowd_greedy", "sequential_greedy", "best_response")
"""Policies that look at others."""

UNTRAINED = (*PAPER, "random", "largest_correlation", "matching", "greedy", "lookahead", *AWARE)

LEARNED, REFERENCE, MILP, ZEROS = "sac", "reference", "milp", "zeros_and_serial"
DRAWN = ("sac_paper", "mappo")
"""Learned over drawn scenarios instead of the one that is played."""

METHODS = (*UNTRAINED, LEARNED, *DRAWN, REFERENCE, MILP, ZEROS)
NUM_CLIENTS = 50
NUM_MANY_CLIENTS = 200
METHODS_OF_MANY = ("greedy", "crowd_greedy", LEARNED, REFERENCE)


def check_policy(text: str) -> None:
    """Raises `ConfigError` unless a text names a policy that `gainnet orchestrate` would play."""
    policy_of(text, scenario("street"), "independent")


@final
@dataclass(frozen=True)
class GairomConfig:
    """Settings of the study gairom.

    Args:
        random_seeds: each draws a world that no policy was trained in.
        training_seeds: of the learned policies.
        regimes: independent, coupled, contention.
        policies: those without weights, and policies of yours as `module:Class(args)`.
        drawn: those that learned over drawn scenarios.
        num_milp_worlds: worlds in which the MILP races the learned policy, for one round.
        milp_time_limit_s: the MILP starts over with twice the time until it is as good, up to this.
        num_many_worlds: worlds with 200 clients.
        num_bound_steps: subgradient steps of the Lagrangian bound of a round.
        num_bound_steps_many: the same with 200 clients; fewer leave a looser bound.
    """

    random_seeds: Seeds
    training_seeds: tuple[Natural, ...]
    regimes: NonEmpty[RegimeName]
    policies: tuple[Annotated[str, one_or_own(UNTRAINED, check_policy)], ...]
    drawn: tuple[Annotated[str, one_of(DRAWN)], ...]
    num_milp_worlds: Natural
    milp_time_limit_s: Annotated[float, Field(gt=0, le=3600)]
    num_many_worlds: Natural
    num_bound_steps: BoundSteps
    num_bound_steps_many: BoundSteps


def current(table: dict[str, Any]) -> dict[str, Any]:
    """Settings of a time in which nothing had learned over drawn scenarios."""
    return {"drawn": [], **table}


def cases(config: GairomConfig) -> Iterator[Case]:
    """Regime outermost; then worlds with 200 clients, the races of the MILP, and Zeros against serial."""
    for regime, random_seed in product(config.regimes, config.random_seeds):
        methods = (*(name for name in config.policies if _differs(name, regime)), REFERENCE)
        learned = product(config.drawn, config.training_seeds)
        for method, training_seed in [*players(methods, config.training_seeds), *learned]:
            yield _case(method, regime, NUM_CLIENTS, training_seed, random_seed)
    if "contention" in config.regimes:
        yield from _cases_of_contention(config)
    if "independent" in config.regimes:
        for random_seed in config.random_seeds:
            yield _case(ZEROS, "independent", NUM_CLIENTS, None, random_seed)


def players(policies: Iterable[str], training_seeds: Iterable[int]) -> Iterator[tuple[str, int | None]]:
    """(method, training seed) of policies without weights, then of the learned one as often as it was trained."""
    yield from ((name, None) for name in policies)
    yield from ((LEARNED, training_seed) for training_seed in training_seeds)


def _differs(policy: str, regime: str) -> bool:
    """Where nobody shares, looking at others is what greedy does without, to the last digit."""
    return regime == "contention" or policy not in AWARE


def _cases_of_contention(config: GairomConfig) -> Iterator[Case]:
    untrained = [method for method in METHODS_OF_MANY if method != LEARNED]
    for random_seed in config.random_seeds[: config.num_many_worlds]:
        for method, training_seed in players(untrained, config.training_seeds):
            yield _case(method, "contention", NUM_MANY_CLIENTS, training_seed, random_seed)
    # A program may take an hour, so few worlds have one.
    for random_seed in config.random_seeds[: config.num_milp_worlds if config.training_seeds else 0]:
        yield _case(MILP, "contention", NUM_CLIENTS, config.training_seeds[0], random_seed)


def _case(method: str, regime: str, num_clients: int, training_seed: int | None, random_seed: int) -> Case:
    return Case(method, {"regime": regime, "num_clients": num_clients, "training_seed": training_seed}, random_seed)
