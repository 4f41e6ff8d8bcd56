"""Optima against each other and against every policy."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from small_street import STREET, small
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.orchestration.association import Association
from gainnet.orchestration.graph import Graph
from gainnet.orchestration.optimum import exhaustive_optimum, independent_optimum
from gainnet.orchestration.regime import Contention, Independent
from gainnet.orchestration.registry import policies
from gainnet.orchestration.rollout import play
from gainnet.orchestration.scenario import Scenario
from gainnet.orchestration.world import World, draw_world


def world_of(scenario: Scenario, num_worlds: int) -> World:
    return draw_world(scenario, Random.of(range(num_worlds)))


class Replay:
    """Plays associations [*batch, num_rounds, num_clients] one after the other."""

    def __init__(self, model: Tensor) -> None:
        self.model, self.cr = model, -1

    def __call__(self, graph: Graph, random: Random) -> Association:
        self.cr += 1
        return Association(self.model[..., self.cr, :])


def test_branching_finds_what_trying_everything_finds() -> None:
    """Two clients, three models, two rounds: 81 associations, each played by the other code."""
    world = world_of(small(2, 3, 2), 8)
    regime = Independent.of(world.scenario)
    branched, tried = independent_optimum(world, regime), exhaustive_optimum(world, regime)
    torch.testing.assert_close(branched.gain, tried.gain)


def test_the_optimum_is_what_its_associations_gain_when_played() -> None:
    world = world_of(small(10, 4, 4), 4)
    regime = Independent.of(world.scenario)
    best = independent_optimum(world, regime)
    played = play(world, regime, Replay(best.model), Random.of(range(4)))
    torch.testing.assert_close(played.gain.sum(-1), best.gain)


@pytest.mark.slow
def test_no_policy_beats_the_optimum() -> None:
    world = world_of(STREET, 2)
    regime = Independent.of(STREET)
    best = independent_optimum(world, regime).gain
    shares = {
        name: float((play(world, regime, policy, Random.of(range(2))).gain.sum(-1) / best).mean())
        for name, policy in policies(50.0).items()
        if name != "best_response"
    }
    assert max(shares.values()) <= 1 + 1e-9
    assert shares["greedy"] > 0.9
    assert shares["random"] < shares["ml_scc"] < 1.0


@pytest.mark.slow
def test_under_contention_trying_everything_bounds_every_policy() -> None:
    world = world_of(small(3, 2, 2), 2)
    regime = replace(Contention.of(world.scenario), edge_bandwidth_hz=torch.full((2,), 4e6, dtype=torch.float64))
    best = exhaustive_optimum(world, regime)
    played = play(world, regime, Replay(best.model), Random.of(range(2)))
    torch.testing.assert_close(played.gain.sum(-1), best.gain)
    for policy in policies(50.0).values():
        gain = play(world, regime, policy, Random.of(range(2))).gain.sum(-1)
        assert bool((gain <= best.gain * (1 + 1e-9)).all())


def test_too_large_a_search_is_refused() -> None:
    world = world_of(small(5, 4, 9), 1)
    with pytest.raises(ConfigError, match="sequences"):
        independent_optimum(world, Independent.of(world.scenario))
    with pytest.raises(ConfigError, match="associations"):
        exhaustive_optimum(world, Independent.of(world.scenario))
