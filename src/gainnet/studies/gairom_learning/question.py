"""Question and sweep of gairom-learning: policies in worlds of two regimes, and real training on what they achieve."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Literal, final

from pydantic import Field

from gainnet.studies.gairom.question import LEARNED, UNTRAINED, players
from gainnet.studies.settings import Natural, NonEmpty, Positive, Seeds, one_of
from gainnet.studies.study import Case

METHODS = (*UNTRAINED, LEARNED)


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

    random_seeds: Seeds
    training_seeds: tuple[Natural, ...]
    regimes: NonEmpty[Literal["independent", "contention"]]
    policies: tuple[Annotated[str, one_of(UNTRAINED)], ...]
    width: Annotated[int, Field(ge=1, le=4096)]
    batch_size: Annotated[int, Field(ge=1, le=4096)]
    learning_rate: Positive


def cases(config: LearningConfig) -> Iterator[Case]:
    """Regime and world outermost."""
    for regime, random_seed in product(config.regimes, config.random_seeds):
        for method, training_seed in players(config.policies, config.training_seeds):
            yield Case(method, {"regime": regime, "training_seed": training_seed}, random_seed)
