"""What clients did with their pools: played again, checked cell by cell, measured against the best there is."""

from __future__ import annotations

import pytest
import torch

from gainnet.core.randomness import Random
from gainnet.orchestration import (
    Activity,
    Contention,
    Greedy,
    Independent,
    RandomChoice,
    Regime,
    World,
    draw_world,
    exhaustive_optimum,
    load_scenario,
    play,
    violations,
)
from gainnet.orchestration.bound import horizon_bound
from gainnet.orchestration.episode import resize
from gainnet.orchestration.reference import reference_of
from gainnet.orchestration.rollout import follow, schedules_of


def drawn(num_clients: int, num_rounds: int, random_seed: int, shares: bool) -> tuple[World, Regime]:
    scenario = resize(load_scenario("street"), "contention" if shares else "independent", num_clients, num_rounds)
    world = draw_world(scenario, Random.of(random_seed))
    return world, (Contention if shares else Independent).of(scenario)


@pytest.mark.parametrize("shares", [False, True])
def test_following_a_rollout_gives_it_again(shares: bool) -> None:
    world, regime = drawn(12, 4, 1, shares)
    played = play(world, regime, RandomChoice(), Random.of(5))
    again = follow(world, regime, played.model)
    for name in ("sensed", "trained", "gain"):
        assert torch.equal(getattr(again, name), getattr(played, name))


@pytest.mark.parametrize("shares", [False, True])
def test_boards_hold_what_was_sensed_and_trained(shares: bool) -> None:
    """Areas of the pieces times the pool are the samples of the rollout times what a sample takes."""
    world, regime = drawn(30, 4, 2, shares)
    played = play(world, regime, Greedy(), Random.of(2))
    schedules = schedules_of(world, regime, played)
    assert len(schedules) == 5
    assert [violations(schedule) for schedule in schedules] == [[]] * 5
    kappa = torch.tensor([model.cycles_per_sample for model in world.scenario.models], dtype=torch.float64)
    for cr in range(4):
        trained_s = schedules[cr + 1].amount(Activity.TRAINING)
        cycles = played.trained[cr] * kappa[played.model[cr]]
        torch.testing.assert_close(trained_s * world.cycles_per_s, cycles, rtol=1e-9, atol=1e-3)
        visual = (
            schedules[cr].amount(Activity.VISUAL_SENSING) * world.cycles_per_s / world.scenario.sensing.visual_cycles
        )
        assert bool((visual <= played.sensed[cr] * (1 + 1e-9) + 1e-9).all())
        if not shares:
            area_hz_s = schedules[cr].amount(Activity.WIRELESS_SENSING) * world.bandwidth_hz
            wireless = area_hz_s / world.scenario.sensing.wireless_spectrum_hz_s
            torch.testing.assert_close(wireless + visual, played.sensed[cr], rtol=1e-9, atol=1e-9)
    assert float(schedules[-1].amount(Activity.WIRELESS_SENSING).sum()) == 0.0


def test_the_reference_of_independent_clients_is_the_optimum_and_playable() -> None:
    world, regime = drawn(2, 2, 3, False)
    found = reference_of(world, regime)
    assert found is not None
    assert found.name == "optimum"
    assert found.total == pytest.approx(float(exhaustive_optimum(world, regime).gain), rel=1e-12)
    assert found.rollout is not None
    torch.testing.assert_close(found.gain, found.rollout.gain)


def test_with_too_many_sequences_independent_clients_are_bounded() -> None:
    short, regime = drawn(4, 3, 4, False)
    optimum = reference_of(short, regime)
    long, _ = drawn(4, 9, 4, False)
    bound = reference_of(long, regime)
    assert optimum is not None
    assert bound is not None
    assert (optimum.name, bound.name, bound.rollout) == ("optimum", "bound", None)
    assert bool((bound.gain[:3] >= optimum.gain * (1 - 1e-12)).all())
    assert bound.total >= float(play(long, regime, Greedy(), Random.of(0)).gain.sum())


@pytest.mark.slow
def test_the_reference_of_sharing_clients_is_the_bound_of_the_horizon() -> None:
    world, regime = drawn(2, 2, 5, True)
    assert isinstance(regime, Contention)
    found = reference_of(world, regime, 25)
    assert found is not None
    assert found.total == pytest.approx(horizon_bound(world, regime, 25), rel=1e-9)
    assert found.total >= float(exhaustive_optimum(world, regime).gain)
