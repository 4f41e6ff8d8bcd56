"""Scenarios: every number is checked, worlds are what the numbers say and do not depend on the batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from gainnet.catalog import EpisodeConfig
from gainnet.catalog.orchestration import policy_of
from gainnet.core.errors import ConfigError, ModelError
from gainnet.core.randomness import Random
from gainnet.orchestration.scenario import Scenario, load_scenario, scenario_names, scenario_of
from gainnet.orchestration.world import draw_world

STREET = load_scenario("street").model_dump()


def changed(section: str, **fields: Any) -> Scenario:
    return scenario_of(STREET | {section: STREET[section] | fields})


@pytest.mark.parametrize("name", scenario_names())
def test_shipped_scenarios_are_the_paper_s_case(name: str) -> None:
    scenario = load_scenario(name)
    assert (scenario.side_m, scenario.clients.num_clients, scenario.targets.num_targets) == (500.0, 50, 100)
    assert (scenario.rounds.num_rounds, scenario.rounds.duration_s) == (5, 9.0)


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"side_m": float("nan")}, "scenario.side_m: "),
        ({"colour": "red"}, "^scenario.colour: there is no such setting"),
        ({"side_m": "wide"}, "^scenario.side_m: 'wide' is not a number; give one$"),
        ({"clients": STREET["clients"] | {"nope": 1}}, "^scenario.clients.nope: there is no such setting"),
        ({"clients": STREET["clients"] | {"num_clients": 200_001}}, "num_clients: 200001 .* give at most 200,000$"),
        ({"clients": STREET["clients"] | {"num_clients": 1.5}}, "num_clients: 1.5 is not a whole number"),
        ({"clients": STREET["clients"] | {"bandwidth_hz": [1e6]}}, "bandwidth_hz.* is missing"),
        ({"clients": {}}, "^scenario.clients.num_clients: it is missing; give it$"),
        ({"clients": 3}, "^scenario.clients: 3 is not a table of settings"),
        ({"gain": STREET["gain"] | {"function": "root"}}, "^scenario.gain.function: 'root' is unknown; give 'log' or"),
        ({"edges": []}, "^scenario.edges: it has 0 entries; give at least 1$"),
        ({"mobility": {}}, "^scenario.mobility: it is missing"),
        ({"clients": STREET["clients"] | {"bandwidth_hz": [9e6, 1e6]}}, "empty"),
        ({"mobility": {"kind": "teleport"}}, "scenario.mobility: .*teleport"),
        ({"models": [STREET["models"][0] | {"edge": 9}]}, "models.0.edge: there is no edge 9"),
        ({"models": [STREET["models"][0] | {"domains": [1.0]}]}, "models.0.domains: give 4"),
    ],
)
def test_a_mistake_is_one_line(fields: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError, match=line) as error:
        scenario_of(STREET | fields)
    assert "\n" not in str(error.value)


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="street"):
        load_scenario("alley")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_scenario(str(tmp_path / "none.toml"))
    with pytest.raises(ConfigError, match=r"is a folder; give a .toml file"):
        load_scenario(str(tmp_path))
    (tmp_path / "wrong.toml").write_text("side_m = ")
    with pytest.raises(ConfigError, match="not TOML"):
        load_scenario(str(tmp_path / "wrong.toml"))


@pytest.mark.parametrize("num_clients", [5, 2000])
def test_a_world_of_any_size_has_its_shapes(num_clients: int) -> None:
    world = draw_world(changed("clients", num_clients=num_clients), Random.of([1, 2]))
    assert world.batch == (2,)
    assert world.client_m.shape == (2, 6, num_clients, 2)
    assert world.cn0_up_hz.shape == (2, 6, num_clients, 4)
    assert bool((world.cn0_up_hz > 0).all())
    assert world.num_visual.shape == (2, 6, num_clients, 4)


def test_a_world_of_a_batch_is_the_world_alone() -> None:
    scenario = load_scenario("square")
    batch, alone = draw_world(scenario, Random.of([4, 5, 6])), draw_world(scenario, Random.of(5))
    for name in ("client_m", "target_m", "domain_of_target", "bandwidth_hz", "cn0_down_hz", "num_wireless"):
        torch.testing.assert_close(getattr(batch, name)[1], getattr(alone, name), rtol=1e-12, atol=1e-9)


def test_targets_are_counted_one_by_one() -> None:
    scenario = changed("clients", num_clients=6)
    world = draw_world(scenario, Random.of(3))
    for cr in (0, 5):
        for n in range(6):
            expected = [0] * 4
            for k in range(100):
                if float((world.client_m[cr, n] - world.target_m[cr, k]).norm()) <= scenario.sensing.wireless_range_m:
                    expected[int(world.domain_of_target[k])] += 1
            assert world.num_wireless[cr, n].tolist() == expected
    assert bool((world.num_visual <= world.num_wireless).all())


def test_both_directions_differ_by_power_and_noise_alone() -> None:
    world = draw_world(load_scenario("street"), Random.of(1))
    ratio_db = 10 * torch.log10(world.cn0_down_hz / world.cn0_up_hz)
    torch.testing.assert_close(ratio_db, torch.full_like(ratio_db, 30.0 - 23.0 + 5.0 - 7.0))


def test_fading_keeps_the_mean_power() -> None:
    few, many = (
        draw_world(scenario_of(STREET | {"radio": STREET["radio"] | {"fading_blocks": k}}), Random.of(range(40)))
        for k in (1, 10_000)
    )
    ratio = few.cn0_up_hz / many.cn0_up_hz
    assert float(ratio.mean()) == pytest.approx(1.0, abs=0.02)
    assert float(ratio.var()) == pytest.approx(1.0, abs=0.06)


def test_a_trace_moves_clients_and_targets(tmp_path: Path) -> None:
    lines = [f"{t},{v:02d},{v},{t}" for t in (0, 60) for v in range(8)]
    path = tmp_path / "trace.csv"
    path.write_text("\n".join(["time_s,vehicle,x_m,y_m", *lines]) + "\n")
    fields = STREET | {"mobility": {"kind": "trace", "path": str(path)}, "targets": {"num_targets": 5}}
    world = draw_world(scenario_of(fields | {"clients": STREET["clients"] | {"num_clients": 3}}), Random.of([1, 2]))
    assert world.client_m[1, 3].tolist() == [[0, 27], [1, 27], [2, 27]]
    assert world.target_m[0, 0, :, 0].tolist() == [3, 4, 5, 6, 7]


def test_a_folder_without_weights_says_what_is_missing(tmp_path: Path) -> None:
    scenario = load_scenario("street")
    with pytest.raises(ModelError, match=r"^policy: config.json and actor.safetensors missing in "):
        policy_of(str(tmp_path), scenario, "independent")
    with pytest.raises(ConfigError, match=r"^policy: 'alley' is unknown; choose one of .*the path of a folder"):
        policy_of("alley", scenario, "independent")


@pytest.mark.parametrize("name", ["num_clients", "num_rounds"])
def test_nobody_and_no_round_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name}: 0 .* are too few; give 1 or more$"):
        EpisodeConfig(**{name: 0})  # type: ignore[arg-type]
