"""The trained gain counts what was consumed, and its optimum is what trying everything finds."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
from small_street import small

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.orchestration.association import Greedy
from gainnet.orchestration.regime import Contention, Independent
from gainnet.orchestration.rollout import follow, play
from gainnet.orchestration.trained import pooled, trained_gain
from gainnet.orchestration.trained_optimum import Sequences, trained_bounds, trained_optimum
from gainnet.orchestration.world import draw_world


def test_samples_that_no_round_consumed_count_nothing_and_the_others_add_up_by_hand() -> None:
    world = draw_world(small(4, 2, 3), Random.of([0, 1]))
    regime = Independent.of(world.scenario)
    rollout = play(world, regime, Greedy(), Random.of([0, 1]))
    found = trained_gain(world, regime, rollout)
    for batch, cr in itertools.product(range(2), range(3)):
        got = [0.0, 0.0]
        for n in range(4):
            model = int(rollout.model[batch, cr, n])
            worth = float(world.offers[cr].correlation[batch, n, model])
            got[model] += worth * float(rollout.trained[batch, cr, n])
        expected = sum(float(torch.log1p(torch.tensor(x / 50.0))) for x in got)
        assert float(found[batch, cr]) == pytest.approx(expected, rel=1e-5)
    nothing = replace(rollout, trained=torch.zeros_like(rollout.trained))
    assert float(trained_gain(world, regime, nothing).abs().max()) == 0.0


@pytest.mark.slow
@pytest.mark.parametrize("random_seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_the_optimum_is_what_trying_everything_finds(random_seed: int) -> None:
    """Three clients, two models, two rounds: 64 associations, each played by the other code."""
    world = draw_world(small(3, 2, 2), Random.of(random_seed))
    regime = Independent.of(world.scenario)
    tried = [torch.tensor(choice).reshape(2, 3) for choice in itertools.product(range(2), repeat=6)]
    best = max(float(trained_gain(world, regime, follow(world, regime, model)).sum()) for model in tried)
    found = trained_optimum(world, regime, gap=1e-9)
    assert found.gain == pytest.approx(best, rel=1e-9)
    assert found.bound == pytest.approx(best, rel=1e-6)
    played = trained_gain(world, regime, follow(world, regime, found.model))
    assert float(played.sum()) == pytest.approx(found.gain, rel=1e-9)


def test_the_bound_is_close_and_holds_for_what_is_played() -> None:
    world = draw_world(small(12, 4, 3), Random.of(5))
    regime = Independent.of(world.scenario)
    found = trained_optimum(world, regime)
    assert found.gain <= found.bound <= found.gain * 1.002
    for kind in (regime, pooled(world.scenario, regime)):
        assert float(trained_gain(world, kind, play(world, kind, Greedy(), Random.of(5))).sum()) <= found.gain


@pytest.mark.slow
def test_under_contention_no_association_trains_more_than_its_bound() -> None:
    world = draw_world(small(3, 2, 2), Random.of(2))
    band = torch.full((2,), 4e6, dtype=torch.float64)
    regime = replace(Contention.of(world.scenario), edge_bandwidth_hz=band)
    bounds = trained_bounds(world, regime, 30)
    for choice in list(itertools.product(range(2), repeat=6))[::7]:
        rollout = follow(world, regime, torch.tensor(choice).reshape(2, 3))
        gains = trained_gain(world, regime, rollout)
        assert bool((gains <= torch.tensor(bounds, dtype=gains.dtype) * (1 + 1e-9)).all())


def test_a_batch_is_refused() -> None:
    world = draw_world(small(2, 2, 2), Random.of([1]))
    with pytest.raises(ConfigError, match="one world"):
        Sequences.of(world, Independent.of(world.scenario))
