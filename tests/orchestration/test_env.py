"""The environment is the rollout seen from outside, batched; the adapters pass the checks of their projects."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from pettingzoo.test import parallel_api_test, parallel_seed_test

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.orchestration.association import Greedy
from gainnet.orchestration.env import NUM_EDGE_FEATURES, NUM_VERTEX_FEATURES, Environment
from gainnet.orchestration.gymnasium_env import orchestration_env
from gainnet.orchestration.pettingzoo_env import OrchestrationParallelEnv
from gainnet.orchestration.regime import Contention, Independent
from gainnet.orchestration.registry import policies
from gainnet.orchestration.rollout import play
from gainnet.orchestration.scenario import load_scenario, scenario_of
from gainnet.orchestration.world import draw_world

STREET = load_scenario("street")
SMALL = scenario_of(STREET.model_dump() | {"clients": STREET.clients.model_dump() | {"num_clients": 6}})
TIGHT = replace(Contention.of(SMALL), edge_bandwidth_hz=torch.full((4,), 8e6, dtype=torch.float64))
ENVIRONMENTS = {"independent": Environment(SMALL, Independent.of(SMALL)), "contention": Environment(SMALL, TIGHT)}
environments = pytest.mark.parametrize("env", ENVIRONMENTS.values(), ids=ENVIRONMENTS.keys())


@environments
def test_stepping_is_playing(env: Environment) -> None:
    random = Random.of([3, 4, 5])
    played = play(draw_world(SMALL, random), env.regime, Greedy(), random)
    moment = env.reset(random)
    for cr in range(5):
        assert moment.graph is not None
        moment, reward = env.step(moment, moment.graph.gain.argmax(-1))
        torch.testing.assert_close(reward, played.gain[:, cr])
        torch.testing.assert_close(moment.state.samples, played.trained[:, cr])
    assert moment.over
    assert float(env.observe(moment).abs().max()) == 0.0


@environments
def test_observations_are_in_range_and_none_is_constant(env: Environment) -> None:
    moment = env.reset(Random.of(range(30)))
    seen = []
    while not moment.over:
        seen.append(env.observe(moment))
        drawn = torch.randint(4, moment.state.model.shape, generator=torch.Generator().manual_seed(moment.cr))
        moment, _ = env.step(moment, drawn)
    values = torch.stack(seen)
    assert values.shape == (5, 30, 6, NUM_VERTEX_FEATURES + 4 * (1 + NUM_EDGE_FEATURES))
    assert values.dtype == torch.float32
    assert float(values.min()) >= 0.0
    assert float(values.max()) <= 1.0
    spread = values.flatten(0, 2).std(0)
    assert int((spread < 1e-4).sum()) == 0


def test_a_scenario_of_a_batch_is_observed_as_the_scenario_alone() -> None:
    env = ENVIRONMENTS["contention"]
    batch, alone = env.reset(Random.of([7, 8])), env.reset(Random.of(8))
    torch.testing.assert_close(env.observe(batch)[1], env.observe(alone))
    model = torch.tensor([[0, 1, 2, 3, 0, 0]] * 2)
    (batch, both), (alone, one) = env.step(batch, model), env.step(alone, model[1])
    torch.testing.assert_close(both[1], one)
    torch.testing.assert_close(env.observe(batch)[1], env.observe(alone))


@pytest.mark.parametrize("model", [torch.zeros(5, dtype=torch.long), torch.full((6,), 4), torch.full((6,), -1)])
def test_an_absurd_decision_is_refused(model: torch.Tensor) -> None:
    env = ENVIRONMENTS["independent"]
    with pytest.raises(ConfigError, match="environment"):
        env.step(env.reset(Random.of(0)), model)


def test_after_the_end_there_is_no_step() -> None:
    env = ENVIRONMENTS["independent"]
    moment = env.reset(Random.of(0))
    while not moment.over:
        moment, _ = env.step(moment, torch.zeros(6, dtype=torch.long))
    with pytest.raises(ConfigError, match="reset"):
        env.step(moment, torch.zeros(6, dtype=torch.long))


@environments
def test_pettingzoo_accepts_the_parallel_environment(env: Environment) -> None:
    parallel_api_test(OrchestrationParallelEnv(env), num_cycles=10)
    parallel_seed_test(lambda: OrchestrationParallelEnv(env), num_cycles=10)


@environments
def test_gymnasium_accepts_the_environment(env: Environment) -> None:
    check_env(orchestration_env(env), skip_render_check=True)


def test_fresh_environments_without_a_seed_differ_and_with_one_agree() -> None:
    env = ENVIRONMENTS["independent"]

    def together() -> list[np.ndarray]:
        adapter = OrchestrationParallelEnv(env)
        starts = [adapter.reset()[0], adapter.reset(seed=3)[0], adapter.reset()[0]]
        return [np.stack(list(start.values())) for start in starts]

    def central() -> list[np.ndarray]:
        adapter = orchestration_env(env)
        return [adapter.reset()[0], adapter.reset(seed=3)[0], adapter.reset()[0]]

    for make in (together, central):
        one, other = make(), make()
        assert [np.array_equal(a, b) for a, b in zip(one, other, strict=True)] == [False, True, True]


def test_both_adapters_play_the_same_game() -> None:
    env = ENVIRONMENTS["contention"]
    parallel, single = OrchestrationParallelEnv(env), orchestration_env(env)
    one, _ = parallel.reset(seed=5)
    all_clients, _ = single.reset(seed=5)
    assert np.array_equal(np.stack(list(one.values())), all_clients)
    for _ in range(5):
        one, rewards, over, _, _ = parallel.step({agent: n % 4 for n, agent in enumerate(parallel.agents)})
        all_clients, reward, ended, _, _ = single.step(np.arange(6) % 4)
        assert set(rewards.values()) == {reward}
        assert np.array_equal(np.stack(list(one.values())), all_clients)
        assert set(over.values()) == {ended}
    assert ended
    assert parallel.agents == []


@pytest.mark.parametrize(
    ("section", "fields"),
    [
        ("sensing", {"wireless_range_m": 0.0, "visual_range_m": 0.0}),
        ("clients", {"num_clients": 6, "tx_power_dbm": -300.0}),
        ("radio", {"edge_tx_power_dbm": -5000.0}),
        ("rounds", {"num_rounds": 5, "duration_s": 1e-6}),
        ("gain", {"scale_samples": 1e-12}),
    ],
)
def test_a_hopeless_scenario_gains_little_but_is_never_undefined(section: str, fields: dict[str, float]) -> None:
    numbers = SMALL.model_dump()
    scenario = scenario_of(numbers | {section: numbers[section] | fields})
    for regime in (Independent.of(scenario), Contention.of(scenario)):
        env = Environment(scenario, regime)
        moment = env.reset(Random.of([1, 2]))
        while not moment.over:
            assert bool(env.observe(moment).isfinite().all())
            assert moment.graph is not None
            for name in ("ml_scc", "mp_tsc", "sequential_greedy", "matching"):
                assert policies(50.0)[name](moment.graph, Random.of([1, 2])).model.shape == (2, 6)
            moment, reward = env.step(moment, moment.graph.gain.argmax(-1))
            assert bool(reward.isfinite().all())
            if section != "gain":
                assert reward.tolist() == [0.0, 0.0]
