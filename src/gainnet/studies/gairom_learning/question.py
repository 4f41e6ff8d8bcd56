"""Question, settings and cases of gairom-learning: policies play, and models are trained on what they achieve."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any, Literal, final

from pydantic import Field

from gainnet.studies.gairom.question import LEARNED, UNTRAINED, check_policy, players
from gainnet.studies.own import one_or_own
from gainnet.studies.settings import Natural, NonEmpty, Positive, Seeds
from gainnet.studies.study import Case

NEAREST, OPTIMUM, MEASURED, BEST_FOUND = "nearest", "optimum", "measured", "best_found"
LOOP = "closed_loop"
"""The regime, in rows, of the closed loop: clients are independent there."""

LOOP_POLICIES = ("random", NEAREST, "largest_correlation", "greedy", "lookahead", OPTIMUM, LEARNED, MEASURED)
METHODS = (*dict.fromkeys((*UNTRAINED, LEARNED, *LOOP_POLICIES, BEST_FOUND)),)


@final
@dataclass(frozen=True)
class LearningConfig:
    """Settings of the study gairom-learning.

    Args:
        random_seeds: each draws a world, initial weights and samples.
        training_seeds: of the learned policies.
        regimes: independent, contention.
        policies: those without weights, and policies of yours as `module:Class(args)`.
        width: hidden units of a classifier.
        batch_size: samples per step of stochastic gradient descent.
        learning_rate: its step size.
        loop_seeds: worlds of the closed loop, in which the assignment that trains best is sought.
        num_assignments: assignments that are trained at first in each of them.
        num_moves: changes of the best that are trained then.
    """

    random_seeds: Seeds
    training_seeds: tuple[Natural, ...]
    regimes: NonEmpty[Literal["independent", "contention"]]
    policies: tuple[Annotated[str, one_or_own(UNTRAINED, check_policy)], ...]
    width: Annotated[int, Field(ge=1, le=4096)]
    batch_size: Annotated[int, Field(ge=1, le=4096)]
    learning_rate: Positive
    loop_seeds: tuple[Natural, ...]
    num_assignments: Natural
    num_moves: Natural


def current(table: dict[str, Any]) -> dict[str, Any]:
    """Settings of the time before the loop was closed."""
    return {"loop_seeds": [], "num_assignments": 0, "num_moves": 0, **table}


def cases(config: LearningConfig) -> Iterator[Case]:
    """Regime and world outermost, the closed loop last."""
    for regime, random_seed in product(config.regimes, config.random_seeds):
        for method, training_seed in players(config.policies, config.training_seeds):
            yield Case(method, {"regime": regime, "training_seed": training_seed}, random_seed)
    for random_seed in config.loop_seeds:
        names = [name for name in (*LOOP_POLICIES, BEST_FOUND) if name != LEARNED]
        for method, training_seed in players(names, config.training_seeds):
            yield Case(method, {"regime": LOOP, "training_seed": training_seed}, random_seed)
