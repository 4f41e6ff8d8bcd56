"""Question, settings and cases of gairom-regimes: every causal policy in scenarios that nobody searched for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Literal, final

from pydantic import Field

from gainnet.catalog.records import EpisodeConfig
from gainnet.orchestration.drawn import NUM_TRAINING
from gainnet.studies.gairom.question import check_policy
from gainnet.studies.own import one_or_own
from gainnet.studies.settings import Count, Natural, NonEmpty, Seeds, one_of
from gainnet.studies.study import Case

DEFAULT = EpisodeConfig().policy
"""The policy that `gainnet orchestrate` plays unless one is named: what this study has to justify."""

UNTRAINED = ("mp_tsc", "matching", "greedy", "crowd_greedy", "sequential_greedy", "lagrangian", "lookahead")
WEIGHTS = {"sac": "sac_drawn", "sac_paper": "sac_paper", "mappo": "mappo"}
"""Names of shipped weights, without their training seed, of the policies that learned over the training half."""

LEARNED = tuple(WEIGHTS)
REFERENCE = "reference"
CAUSAL = (*UNTRAINED, *LEARNED)
METHODS = (*CAUSAL, REFERENCE)
Objective = Literal["published", "trained"]
OBJECTIVES: tuple[Objective, ...] = ("published", "trained")
MOST_ROUNDS = 5
"""Longer scenarios have no clairvoyant optimum beside them: it would take longer than all policies."""


@final
@dataclass(frozen=True)
class RegimesConfig:
    """Settings of the study gairom-regimes.

    Args:
        random_seeds: of the worlds, shared by all policies and scenarios; no policy was trained in them.
        num_training: scenarios of the half in which policies learned and the default was chosen.
        num_held_out: scenarios of the other half.
        training_seeds: of the learned policies.
        policies: those without weights, and policies of yours as `module:Class(args)`.
        learned: those with weights.
        objectives: gains that policies play for.
    """

    random_seeds: Seeds
    num_training: Annotated[int, Field(ge=0, le=NUM_TRAINING)]
    num_held_out: Count
    training_seeds: tuple[Natural, ...]
    policies: NonEmpty[Annotated[str, one_or_own(UNTRAINED, check_policy)]]
    learned: tuple[Annotated[str, one_of(LEARNED)], ...]
    objectives: NonEmpty[Objective]

    @property
    def numbers(self) -> tuple[int, ...]:
        """Of the scenarios."""
        return (*range(self.num_training), *range(NUM_TRAINING, NUM_TRAINING + self.num_held_out))


def cases(config: RegimesConfig) -> Iterator[Case]:
    """Scenario outermost, then policy; a row is a policy's mean over all worlds of the scenario."""
    players: list[tuple[str, int | None]] = [(name, None) for name in (*config.policies, REFERENCE)]
    for number in config.numbers:
        # One training is enough to choose a default by; every one is a rival of it where it is judged.
        seeds = config.training_seeds if number >= NUM_TRAINING else config.training_seeds[:1]
        for method, training_seed in [*players, *product(config.learned, seeds)]:
            for objective in config.objectives:
                # The clairvoyant optimum of the published gain is known where clients are independent.
                if method == REFERENCE and (objective == "trained" or number % 2):
                    continue
                values = {"scenario": number, "objective": objective, "training_seed": training_seed}
                yield Case(method, values, config.random_seeds[0])
