"""Learned policies: blind to names and numbers of clients and models, better than greedy, and refused when damaged."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gainnet.agents.policy_folder import WEIGHTS
from gainnet.core.errors import ModelError
from gainnet.core.randomness import Random
from gainnet.orchestration.arms import ARMS
from gainnet.orchestration.association import Greedy, LoadTable, SequentialGreedy
from gainnet.orchestration.features import NAMES, Observation
from gainnet.orchestration.graph import State, graph_of
from gainnet.orchestration.learned import CONFIG, load_policy, pretrained_names, trained_config
from gainnet.orchestration.network import PairNetwork
from gainnet.orchestration.optimum import independent_optimum
from gainnet.orchestration.regime import Contention, Independent
from gainnet.orchestration.rollout import play
from gainnet.orchestration.scenario import Scenario, load_scenario, scenario_of
from gainnet.orchestration.training import FIRST_WORLD
from gainnet.orchestration.world import draw_world

PRETRAINED = Path(str(load_policy.__globals__["__file__"])).parent / "pretrained"
REGIMES = {"independent": Independent, "contention": Contention}


def random_network(random_seed: int) -> PairNetwork:
    """All weights drawn, the last layer too, so that nothing is hidden by zeros."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(random_seed)
        network = PairNetwork(len(NAMES), 16, 2.0)
        torch.nn.init.normal_(network.last.weight)
    return network


@pytest.mark.parametrize("random_seed", range(3))
def test_permuted_clients_and_models_have_permuted_scores(random_seed: int) -> None:
    source = torch.Generator().manual_seed(random_seed)
    features = torch.rand(2, 7, 5, len(NAMES), generator=source)
    clients, models = torch.randperm(7, generator=source), torch.randperm(5, generator=source)
    network = random_network(random_seed)
    torch.testing.assert_close(
        network(features[:, clients][:, :, models]), network(features)[:, clients][:, :, models], atol=1e-5, rtol=1e-5
    )


def test_before_training_it_takes_what_adds_most() -> None:
    features = torch.rand(3, 6, 4, len(NAMES))
    torch.testing.assert_close(PairNetwork(len(NAMES), 16, 10.0)(features), 10 * features[..., 0])


def street(num_clients: int, num_models: int) -> Scenario:
    fields = load_scenario("contention").model_dump()
    fields["clients"]["num_clients"] = num_clients
    models = [fields["models"][k % 4] | {"edge": k % 4} for k in range(num_models)]
    return scenario_of(fields | {"models": models})


@pytest.mark.parametrize("name", ["independent", "contention"])
@pytest.mark.parametrize(("num_clients", "num_models"), [(1, 4), (5, 2), (30, 7), (1000, 4)])
def test_any_number_of_clients_and_models_is_served(name: str, num_clients: int, num_models: int) -> None:
    scenario = street(num_clients, num_models)
    world, regime = draw_world(scenario, Random.of(3)), REGIMES[name].of(scenario)
    graph = graph_of(world, regime, 0, State.empty(world))
    sight = Observation.of(graph)
    assert bool(sight.features.isfinite().all())
    model = load_policy(name)(graph, Random.of(3)).model
    assert model.shape == (num_clients,)
    assert bool(((model >= 0) & (model < num_models)).all())


@pytest.mark.parametrize("name", ["independent", "contention"])
def test_a_scenario_of_a_batch_is_decided_as_the_scenario_alone(name: str) -> None:
    scenario = street(12, 4)
    policy, regime = load_policy(name), REGIMES[name].of(scenario)
    batch = play(draw_world(scenario, Random.of([4, 5])), regime, policy, Random.of([4, 5]))
    alone = play(draw_world(scenario, Random.of(5)), regime, policy, Random.of(5))
    assert torch.equal(batch.model[1], alone.model)


def gains(regime: Independent, scenario: Scenario, name: str, num_worlds: int) -> dict[str, float]:
    random = Random.of(range(num_worlds))
    world = draw_world(scenario, random)
    policies = {"learned": load_policy(name), "greedy": Greedy()}
    found = {key: float(play(world, regime, p, random).gain.sum(-1).mean()) for key, p in policies.items()}
    return found | {"optimum": float(independent_optimum(world, regime).gain.mean())}


@pytest.mark.parametrize("random_seed", range(3))
def test_looking_ahead_was_learned(random_seed: int) -> None:
    coupled = load_scenario("coupled")
    found = gains(Independent.of(coupled), coupled, f"coupled-{random_seed}", 2)
    assert found["learned"] > 0.97 * found["optimum"] > 1.01 * found["greedy"]


@pytest.mark.parametrize("random_seed", [0, *(pytest.param(k, marks=pytest.mark.slow) for k in (1, 2))])
@pytest.mark.slow
def test_clients_who_share_do_better_together_than_in_turn(random_seed: int) -> None:
    contention, random = load_scenario("contention"), Random.of([10 + random_seed])
    world = draw_world(contention, random)
    graph = graph_of(world, Contention.of(contention), 0, State.empty(world))
    table = LoadTable.of(graph)
    learned, in_turn, greedy = (
        table.total(policy(graph, random).model)
        for policy in (load_policy(f"contention-{random_seed}"), SequentialGreedy(), Greedy())
    )
    assert float(learned) > float(in_turn) > float(greedy)


def test_differences_are_each_client_s_own_gain_where_they_are_independent() -> None:
    scenario = street(9, 4)
    world, regime = draw_world(scenario, Random.of([0, 1])), Independent.of(scenario)
    graph = graph_of(world, regime, 0, State.empty(world))
    model = torch.randint(4, (2, 9), generator=torch.Generator().manual_seed(0))
    worth = graph.correlation.gather(-1, model.unsqueeze(-1)).squeeze(-1)
    total = regime.total(worth, graph.workload_of(model).samples, model)
    torch.testing.assert_close(Observation.of(graph).rewards(model).sum(-1), total)


def test_shipped_policies_say_where_they_come_from() -> None:
    names = pretrained_names()
    kinds = ("contention", "coupled", "independent", *ARMS)
    assert names == sorted(f"{kind}-{k}" for kind in kinds for k in range(3))
    for name in names:
        training = trained_config(name)["training"]
        assert training["random_seed"] == int(name[-1])
        assert training.get("scenario") in ("street", "coupled", "contention") or training["arm"] == name[:-2]
    assert FIRST_WORLD >= 1_000_000
    assert sum(path.stat().st_size for path in PRETRAINED.rglob("*")) < 1.5e6


def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PRETRAINED / "coupled-0", tmp_path / "policy"))


def test_a_copied_folder_is_the_policy(tmp_path: Path) -> None:
    one, other = load_policy("coupled"), load_policy(str(copied(tmp_path)))
    for name, x in one.network.state_dict().items():
        assert torch.equal(x, other.network.state_dict()[name])


def test_damage_is_one_line(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    whole, config = (folder / WEIGHTS).read_bytes(), json.loads((folder / CONFIG).read_text())

    def line() -> str:
        with pytest.raises(ModelError) as error:
            load_policy(str(folder))
        assert "\n" not in str(error.value)
        return str(error.value)

    (folder / WEIGHTS).write_bytes(whole[: len(whole) // 2])
    assert "is not what its config.json was written for" in line()
    (folder / WEIGHTS).unlink()
    assert "missing" in line()
    (folder / WEIGHTS).write_bytes(whole)
    (folder / CONFIG).write_text(json.dumps(config | {"features": config["features"][:-1]}))
    assert "19 features" in line()
    (folder / CONFIG).write_text(json.dumps(config | {"width": 32}))
    assert "other shapes" in line()
    (folder / CONFIG).write_text("{")
    assert "damaged" in line()
    for name in ("", "nonesuch", "../street"):
        with pytest.raises(ModelError, match="unknown"):
            load_policy(name)


def test_the_last_round_needs_no_looking_ahead() -> None:
    """A sanity check of what was learned: with nothing to come, the coupled policy is all but greedy."""
    coupled = load_scenario("coupled")
    world = draw_world(coupled, Random.of(range(3)))
    graph = replace(graph_of(world, Independent.of(coupled), 4, State.empty(world)), rounds_left=1)
    chosen = load_policy("coupled")(graph, Random.of(range(3))).model.unsqueeze(-1)
    assert float(graph.gain.gather(-1, chosen).sum() / graph.gain.amax(-1).sum()) > 0.99
