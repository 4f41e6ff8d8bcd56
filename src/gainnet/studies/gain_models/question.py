"""Question, settings and cases of gain-models: which gain says who trains well?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Literal, final

from pydantic import Field

from gainnet.studies.gairom.question import UNTRAINED, check_policy
from gainnet.studies.own import one_or_own
from gainnet.studies.settings import NonEmpty, Positive, Seeds
from gainnet.studies.study import Case

OPTIMUM, TRAINED_OPTIMUM, POOLED = "optimum", "trained_optimum", "lookahead_trained"
"""Beside policies: the optima of the published and the trained gain, and look-ahead that plays for the latter."""

POLICIES = (*UNTRAINED, "lagrangian", "lookahead")
METHODS = (*POLICIES, POOLED, OPTIMUM, TRAINED_OPTIMUM)
GAINS = ("published", "published_fitted", "trained", "measured")
FIRST_FITTED = 600_000
"""Random seed of the first world that gains are fitted in."""


@final
@dataclass(frozen=True)
class GainModelsConfig:
    """Settings of the study gain-models.

    Args:
        random_seeds: each draws a world that no gain was fitted in, initial weights and samples.
        regimes: independent, contention.
        methods: policies, of yours too as `module:Class(args)`, and optima; a gain has to rank them in every world.
        width: hidden units of a classifier.
        batch_size: samples per step of stochastic gradient descent.
        learning_rate: its step size.
    """

    random_seeds: Seeds
    regimes: NonEmpty[Literal["independent", "contention"]]
    methods: NonEmpty[Annotated[str, one_or_own(METHODS, check_policy)]]
    width: Annotated[int, Field(ge=1, le=4096)]
    batch_size: Annotated[int, Field(ge=1, le=4096)]
    learning_rate: Positive


def cases(config: GainModelsConfig) -> Iterator[Case]:
    """Regime and world outermost; the optima are of independent clients."""
    for regime, random_seed in product(config.regimes, config.random_seeds):
        for method in config.methods:
            if regime == "independent" or method not in (POOLED, OPTIMUM, TRAINED_OPTIMUM):
                yield Case(method, {"regime": regime}, random_seed)
