"""Arms that are learned over drawn scenarios: equal steps, own rewards, policies that load."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gainnet.core.errors import ConfigError, ModelError
from gainnet.core.randomness import Random
from gainnet.orchestration.arms import ARMS, ArmConfig, arm_run, objectives, of_pairs, own_rewards, train_arm
from gainnet.orchestration.drawn import NUM_CLIENTS, drawn_scenario
from gainnet.orchestration.features import Observation
from gainnet.orchestration.graph import State, graph_of
from gainnet.orchestration.learned import load_policy
from gainnet.orchestration.regime import Contention, Independent
from gainnet.orchestration.rollout import advance, play
from gainnet.orchestration.scenario import load_scenario, scenario_of
from gainnet.orchestration.world import draw_world


def silent(made: int, total: int, losses: dict[str, float]) -> None:
    pass


@pytest.mark.slow
@pytest.mark.parametrize("arm", ARMS)
def test_an_arm_learns_writes_a_policy_and_goes_on_where_it_was(tmp_path: Path, arm: str) -> None:
    config = ArmConfig(arm, num_iterations=2, worlds_per_iteration=2, width=8)
    folder = train_arm(config, tmp_path / "whole", silent)
    run, again = arm_run(config), arm_run(config)
    run.advance()
    again.restore(*run.state())
    again.advance()
    policy = load_policy(str(folder))
    for name, x in policy.network.state_dict().items():
        assert torch.equal(x, again.average[name])
    scenario = drawn_scenario(1)
    world = draw_world(scenario, Random.of([5]))
    assert play(world, Contention.of(scenario), policy, Random.of([5])).model.shape[-1] == NUM_CLIENTS
    if arm == "sac_paper":
        fields = load_scenario("street").model_dump()
        fewer = scenario_of(fields | {"models": fields["models"][:3]})
        with pytest.raises(ModelError, match="trained for 4 models"):
            play(draw_world(fewer, Random.of([5])), Independent.of(fewer), policy, Random.of([5]))


def test_a_scenario_of_a_number_is_always_the_same_and_halves_differ_in_nothing_but_the_dice() -> None:
    assert drawn_scenario(7) == drawn_scenario(7) != drawn_scenario(9)
    names = [drawn_scenario(number).name for number in (0, 1, 150, 151)]
    assert names == ["independent", "contention"] * 2
    published, trained = objectives(drawn_scenario(2))
    assert isinstance(published, Independent)
    assert isinstance(trained, Contention)


def test_a_client_whose_samples_are_not_trained_is_not_rewarded_for_them() -> None:
    scenario = drawn_scenario(4)
    world, (_, regime) = draw_world(scenario, Random.of([0, 1])), objectives(scenario)
    graph = graph_of(world, regime, 0, State.empty(world))
    seen = Observation.of(graph)
    model = graph.gain.argmax(-1)
    sensed, left, gain = advance(world, regime, 0, graph, model)
    found = own_rewards(seen, sensed, left)
    whole = left.samples == sensed.samples
    torch.testing.assert_close(found[whole], seen.rewards(model)[whole])
    assert bool((found[~whole] < seen.rewards(model)[~whole]).all())
    features, reward = of_pairs(graph)
    assert features.shape == (2, NUM_CLIENTS, 4, 20)
    torch.testing.assert_close(reward(sensed, left, gain), found)


def test_an_arm_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="arm"):
        ArmConfig("qmix")
