"""References for policies in one world: the optimum where it can be computed, else a bound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from gainnet.orchestration.bound import round_bounds
from gainnet.orchestration.graph import State, graph_of
from gainnet.orchestration.optimum import MOST_SEQUENCES, independent_optimum
from gainnet.orchestration.regime import Contention, Independent, Regime
from gainnet.orchestration.rollout import Rollout, follow
from gainnet.orchestration.world import World

_MOST_STATES = 2**24
_MOST_SHARING = 500
NUM_STEPS = 800
"""Subgradient steps of a Lagrangian bound."""


@final
@dataclass(frozen=True)
class Reference:
    """The best there is.

    Args:
        name: "optimum", that a clairvoyant policy reaches, or "bound", that none exceeds.
        gain: [num_rounds], its gain.
        rollout: how the optimum is played; `None` for a bound.
    """

    name: str
    gain: Tensor
    rollout: Rollout | None

    @property
    def total(self) -> float:
        """Gain of all rounds."""
        return float(self.gain.sum())


def reference_of(world: World, regime: Regime, num_steps: int = NUM_STEPS) -> Reference | None:
    """The exact optimum of independent clients or the bound of those that share; `None` where both are too large.

    With more than 65,536 sequences of models, independent clients are bounded: every round as if nothing had to be
    consumed in it. More than 500 clients that share spectrum have no reference.

    Args:
        world: one drawn scenario, without batch.
        regime: whether clients share spectrum.
        num_steps: subgradient steps per round.

    >>> from gainnet.core.randomness import Random
    >>> from gainnet.orchestration import draw_world, load_scenario
    >>> street = load_scenario("street")
    >>> reference_of(draw_world(street, Random.of(1)), Independent.of(street)).name
    'optimum'
    """
    if isinstance(regime, Independent):
        return _of_independent(world, regime)
    if isinstance(regime, Contention) and world.scenario.clients.num_clients <= _MOST_SHARING:
        rounds = round_bounds(world, regime, num_steps)
        return Reference("bound", torch.tensor(rounds, dtype=torch.float64), None)
    return None


def _of_independent(world: World, regime: Independent) -> Reference:
    num_rounds = world.scenario.rounds.num_rounds
    num_sequences = len(world.scenario.models) ** num_rounds
    exact = world.scenario.handover is None  # else a client's past is more than its samples
    if exact and num_sequences <= MOST_SEQUENCES and num_sequences * world.scenario.clients.num_clients <= _MOST_STATES:
        rollout = follow(world, regime, independent_optimum(world, regime).model)
        return Reference("optimum", rollout.gain, rollout)
    # Every round as if nothing had to be consumed: more is left for sensing, so no policy gains more.
    alone = [graph_of(world, regime, cr, State.empty(world)).gain.amax(-1).sum(-1) for cr in range(num_rounds)]
    return Reference("bound", torch.stack(alone), None)
