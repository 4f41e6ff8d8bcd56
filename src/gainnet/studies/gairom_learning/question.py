"""What gairom-learning sweeps: policies in worlds of two regimes, and real training on what they achieve."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Literal, final

from pydantic import Field

from gainnet.studies.gairom.question import LEARNED, UNTRAINED
from gainnet.studies.study import Case, Value

METHODS = (*UNTRAINED, LEARNED)
QUESTION = "Do policies with more gain train better models, when real classifiers are trained on what they achieve?"


@final
@dataclass(frozen=True)
class LearningConfig:
    """Settings of the study gairom-learning.

    Args:
        random_seeds: each draws a world, initial weights and samples.
        training_seeds: of the learned policies.
        regimes: independent, contention.
        policies: those without weights.
        width: hidden units of a classifier.
        batch_size: samples per step of stochastic gradient descent.
        learning_rate: its step size.
    """

    random_seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
    training_seeds: tuple[Annotated[int, Field(ge=0)], ...]
    regimes: Annotated[tuple[Literal["independent", "contention"], ...], Field(min_length=1)]
    policies: tuple[
        Literal[
            "ml_c", "ml_cc", "ml_scc", "mp_tsc", "random", "largest_correlation", "matching", "greedy",
            "crowd_greedy", "sequential_greedy", "best_response",
        ],
        ...,
    ]  # fmt: skip
    width: Annotated[int, Field(ge=1, le=4096)]
    batch_size: Annotated[int, Field(ge=1, le=4096)]
    learning_rate: Annotated[float, Field(gt=0)]


def cases(config: LearningConfig) -> Iterator[Case]:
    """Regime and world outermost."""
    for regime, random_seed in product(config.regimes, config.random_seeds):
        for method in config.policies:
            yield _case(method, regime, None, random_seed)
        for training_seed in config.training_seeds:
            yield _case(LEARNED, regime, training_seed, random_seed)


def _case(method: str, regime: str, training_seed: int | None, random_seed: int) -> Case:
    values: dict[str, Value] = {"regime": regime, "training_seed": training_seed}
    return Case(method, values, random_seed)
