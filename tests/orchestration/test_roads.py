"""Scenarios on recorded roads, and what disturbs links there."""

from __future__ import annotations

import os
import tarfile
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gainnet.catalog.orchestration import episode_of
from gainnet.catalog.records import EpisodeConfig
from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.orchestration import Contention, Greedy, Independent, draw_world, exhaustive_optimum, load_scenario, play
from gainnet.orchestration.board import violations
from gainnet.orchestration.env import Environment
from gainnet.orchestration.optimum import independent_optimum
from gainnet.orchestration.reference import reference_of
from gainnet.orchestration.roads import on_roads
from gainnet.orchestration.rollout import schedules_of
from gainnet.orchestration.scenario import Scenario, scenario_of

STREET = load_scenario("street")
SHARED = Path(os.environ.get("GAINNET_SHARED", Path(__file__).parents[3] / "shared")) / "data" / "irish_5g"


def changed(scenario: Scenario, **sections: dict[str, Any]) -> Scenario:
    fields = scenario.model_dump()
    for name, section in sections.items():
        fields[name] = (fields.get(name) or {}) | section
    return scenario_of(fields)


@pytest.fixture
def ways(tmp_path: Path) -> Path:
    """Ten vehicles on a road of 400 m, one every 6 s at 10 m/s, gone at its end; an eleventh stands there."""
    lines = [f"{t},{v:02d},{10 * (t - 6 * v)},{5 * (v % 2)}" for v in range(10) for t in range(6 * v, 6 * v + 41)]
    lines += [f"{t},stands,200,300" for t in range(95)]
    (tmp_path / "ways.csv").write_text("\n".join(["time_s,vehicle,x_m,y_m", *lines]) + "\n")
    return tmp_path / "ways.csv"


def test_clients_are_the_vehicles_that_are_present(ways: Path) -> None:
    scenario = on_roads(STREET, ways)
    assert (scenario.clients.num_clients, scenario.side_m) == (9, 400.0)
    assert [edge.position_m for edge in scenario.edges] == [(100, 75), (300, 75), (100, 225), (300, 225)]
    world = draw_world(scenario, Random.of([1, 2]))
    away = world.client_m.isnan().any(-1)
    assert 0.2 < float(away.double().mean()) < 0.8
    assert not bool(away[..., -1].any())
    # Who is away receives nothing, senses nothing and is no target.
    for drawn in (world.cn0_down_hz, world.cn0_up_hz, world.num_wireless, world.num_visual):
        assert float(drawn[away].abs().max()) == 0.0
    assert float(world.cn0_down_hz[~away].min()) > 0
    assert int((~away).sum(-1).max()) > int(world.num_wireless.sum(-1).max())


def test_whoever_leaves_loses_what_it_sensed(ways: Path) -> None:
    scenario = on_roads(STREET, ways)
    world, regime = draw_world(scenario, Random.of([1, 2])), Independent.of(scenario)
    rollout = play(world, regime, Greedy(), Random.of([1, 2]))
    away = world.client_m.isnan().any(-1)
    assert float(rollout.sensed[away[:, :-1]].abs().max()) == 0.0
    left = ~away[:, :-1] & away[:, 1:] & (rollout.sensed > 0)
    assert bool(left.any())
    assert float(rollout.trained[left].abs().max()) == 0.0
    assert [violations(schedule) for schedule in schedules_of(world, regime, rollout)] == [[]] * 6


def test_the_environment_plays_roads(ways: Path) -> None:
    scenario = on_roads(STREET, ways)
    for regime in (Independent.of(scenario), Contention.of(scenario)):
        env = Environment(scenario, regime)
        moment = env.reset(Random.of([1, 2]))
        while not moment.over:
            assert bool(env.observe(moment).isfinite().all())
            moment, _ = env.step(moment, moment.graph.gain.argmax(-1) if moment.graph else torch.zeros(0))


def test_the_command_takes_roads(ways: Path) -> None:
    episode = episode_of(EpisodeConfig("greedy", mobility=str(ways), num_clients=4, num_rounds=3))
    assert episode.world.client_m.shape == (4, 4, 2)
    assert episode.reference is not None


@pytest.mark.slow
def test_a_scenario_file_on_roads_needs_no_edges(ways: Path, tmp_path: Path) -> None:
    """Everything that may disturb, at once, from a file and played by the command."""
    text = resources.files("gainnet.orchestration.scenario").joinpath("street.toml").read_text()
    head, _, rest = text.partition("[mobility]")
    models = rest[rest.index("[[models]]") :]
    extra = f"""
[mobility]
kind = "roads"
path = "{ways}"
start_s = 10.0
[handover]
interruption_s = 1.0
cost = 0.01
[radio.blockage]
[sensing.camera]
field_of_view_deg = 120.0
"""
    head = head.replace("num_clients = 50", "num_clients = 6")
    head = head.replace("fading_blocks = 8", "fading_blocks = 8\ninterference = 0.3")
    path = tmp_path / "mine.toml"
    path.write_text(head + extra + models)
    scenario = load_scenario(str(path))
    assert [edge.position_m for edge in scenario.edges] == [(100, 75), (300, 75), (100, 225), (300, 225)]
    episode = episode_of(EpisodeConfig("greedy", scenario=str(path)))
    assert episode.gain > 0
    assert episode.reference is not None
    assert episode.gain <= episode.reference.total
    path.write_text((head + extra + models).replace(str(ways), "nowhere.csv"))
    with pytest.raises(ConfigError, match=r"mobility.path: .* cannot be read"):
        load_scenario(str(path))


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({"num_clients": 12}, "num_clients: .* has 9 vehicles in these rounds, not 12"),
        ({"num_rounds": 11}, "lasts 94 s, 11 rounds take 99 s"),
        ({"mobility_start_s": 60.0}, "lasts 34 s, 5 rounds take 45 s"),
        ({"mobility_start_s": -1.0}, "mobility_start_s: .* begins at 0 s"),
    ],
)
def test_roads_that_do_not_fit_are_refused(ways: Path, asked: dict[str, float], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        episode_of(EpisodeConfig("greedy", mobility=str(ways), **asked))  # type: ignore[arg-type]


def test_a_later_beginning_is_a_later_time_of_the_file(ways: Path) -> None:
    first, later = on_roads(STREET, ways), on_roads(STREET, ways, start_s=18.0)
    one, other = (draw_world(scenario, Random.of(1)).client_m for scenario in (first, later))
    # Two CRs of 9 s later the same vehicles are at the same places.
    there = [sorted(row[~row.isnan().any(-1)].tolist()) for row in (one[2], other[0])]
    assert there[0] == there[1]
    assert len(there[0]) > 3


def test_a_lonely_vehicle_has_targets_beside_its_way(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text("time_s,vehicle,x_m,y_m\n" + "\n".join(f"{t},a,{10 * t},0" for t in range(60)))
    world = draw_world(on_roads(STREET, path), Random.of(1))
    assert world.target_m.shape == (6, 101, 2)
    assert float(world.num_wireless.sum()) > 0


def test_hand_overs_cost_time_and_gain() -> None:
    """Nothing is ever better with them, and a client that stays pays nothing."""
    few = changed(STREET, clients={"num_clients": 12})
    costly = changed(few, handover={"interruption_s": 3.0, "cost": 0.25})
    free = changed(few, handover={})
    random = Random.of(range(20))
    rollouts = [play(draw_world(s, random), Independent.of(s), Greedy(), random) for s in (few, free, costly)]
    assert torch.equal(rollouts[0].gain, rollouts[1].gain)
    moved = [int((r.model.diff(dim=1) != 0).sum()) for r in rollouts]
    assert moved[2] < moved[0]
    assert float(rollouts[2].gain.sum()) < float(rollouts[0].gain.sum())
    with pytest.raises(ConfigError, match="hand-overs"):
        independent_optimum(draw_world(costly, random), Independent.of(costly))
    world, regime = draw_world(costly, Random.of(1)), Independent.of(costly)
    bound = reference_of(world, regime)
    assert bound is not None
    assert bound.name == "bound"
    assert float(play(world, regime, Greedy(), Random.of(1)).gain.sum()) <= bound.total


def test_a_hand_over_shortens_the_next_round_of_who_moves() -> None:
    tiny = changed(STREET, clients={"num_clients": 2}, rounds={"num_rounds": 2}, handover={"interruption_s": 4.0})
    random = Random.of(7)
    world, regime = draw_world(tiny, random), Independent.of(tiny)
    env = Environment(tiny, regime)
    moment, _ = env.step(env.reset(random), torch.tensor([0, 1]))
    assert moment.graph is not None
    sensed = moment.state.samples > 0
    other = torch.nn.functional.one_hot(moment.state.model, 4) == 0
    assert torch.equal(moment.graph.moves, other & sensed.unsqueeze(-1))
    after = torch.where(moment.graph.moves, 5.0, 9.0).double()
    assert torch.equal(moment.graph.next_s, after)
    assert float(exhaustive_optimum(world, regime).gain) >= float(play(world, regime, Greedy(), random).gain.sum())


def test_association_decides_which_edges_hear_a_client() -> None:
    few, random = changed(STREET, clients={"num_clients": 10}), Random.of([1, 2])
    own, nearest, free = (
        draw_world(changed(few, radio={"association": kind}), random) for kind in ("own", "nearest", "cell_free")
    )
    served = own.serving.unsqueeze(-1)
    assert torch.equal(nearest.cn0_up_hz, own.cn0_up_hz.gather(-1, served).expand_as(own.cn0_up_hz))
    torch.testing.assert_close(free.cn0_down_hz[..., 2], own.cn0_down_hz.sum(-1))
    with pytest.raises(ConfigError, match=r"radio.association: 'nearest' shares no edge"):
        Contention.of(nearest.scenario)
    # A client whose nearest edge changes is interrupted, whatever it serves.
    handed = changed(nearest.scenario, handover={"cost": 1.0})
    world = draw_world(handed, random)
    gain = play(world, Independent.of(handed), Greedy(), random).gain
    without = play(nearest, Independent.of(nearest.scenario), Greedy(), random).gain
    num_changes = (world.serving[:, 1:] != world.serving[:, :-1]).sum(-1)
    torch.testing.assert_close(without - gain, num_changes.double())


def test_other_cells_are_noise() -> None:
    few, random = changed(STREET, clients={"num_clients": 10}), Random.of(1)
    alone, half, full = (draw_world(changed(few, radio={"interference": x}), random) for x in (0.0, 0.5, 1.0))
    band = 1e8
    density = alone.cn0_down_hz / band
    expected = alone.cn0_down_hz / (1 + density.sum(-1, keepdim=True) - density)
    torch.testing.assert_close(full.cn0_down_hz, expected)
    for one, other in ((alone, half), (half, full)):
        assert bool((one.cn0_down_hz > other.cn0_down_hz).all())
        assert bool((one.cn0_up_hz >= other.cn0_up_hz).all())
    # Nobody disturbs itself: a single client has its whole uplink.
    single = changed(few, clients={"num_clients": 1})
    quiet, loud = (draw_world(changed(single, radio={"interference": x}), random) for x in (0.0, 1.0))
    torch.testing.assert_close(quiet.cn0_up_hz, loud.cn0_up_hz)


def test_vehicles_take_from_links_and_cameras() -> None:
    random = Random.of([1, 2])
    free = draw_world(STREET, random)
    behind = draw_world(changed(STREET, radio={"blockage": {"loss_db": 20.0, "vehicle_width_m": 6.0}}), random)
    ratio = (behind.cn0_up_hz / free.cn0_up_hz).flatten()
    whole = (ratio - 1).abs() < 1e-9
    assert float((ratio[~whole] - 0.01).abs().max()) < 1e-9
    assert len(ratio) / 2 < int(whole.sum()) < len(ratio)
    views = [
        draw_world(changed(STREET, sensing={"camera": {"field_of_view_deg": angle}}), random).num_visual.sum()
        for angle in (360.0, 120.0, 60.0)
    ]
    assert float(free.num_visual.sum()) > float(views[0]) > float(views[1]) > float(views[2]) > 0


def test_links_are_those_of_impulse_responses(tmp_path: Path) -> None:
    place_m = np.stack(np.meshgrid(np.arange(0, 501, 100.0), np.arange(0, 501, 100.0)), -1).reshape(-1, 2)
    a = np.full((len(place_m), 4, 1), 1e-5)
    a[:, 1] = 0
    np.savez(tmp_path / "r.npz", a=a, tau=np.zeros_like(a), positions=place_m)
    scenario = changed(STREET, radio={"responses": {"path": tmp_path / "r.npz"}})
    world = draw_world(scenario, Random.of([1, 2]))
    # 30 dBm over -174 dBm/Hz with a noise figure of 7 dB, less 100 dB.
    assert world.cn0_down_hz[..., 0].flatten().tolist() == pytest.approx([10 ** (19.7 - 10)] * 2 * 6 * 50)
    assert float(world.cn0_up_hz[..., 1].max()) == 0.0
    np.savez(tmp_path / "r.npz", a=a[:, :2], tau=np.zeros_like(a[:, :2]), positions=place_m)
    with pytest.raises(ConfigError, match="2 base stations for 4 edges"):
        draw_world(scenario, Random.of(1))


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the measured 5G traces are not here")
@pytest.mark.filterwarnings("ignore:mobility")
def test_a_measured_drive_moves_a_client_and_is_its_link(tmp_path: Path) -> None:
    with tarfile.open(SHARED / "5G-production-dataset.tar.xz") as archive:
        member = next(m for m in archive if "Driving" in m.name and m.name.endswith(".csv"))
        content = archive.extractfile(member)
        assert content is not None
        (tmp_path / "drive.csv").write_bytes(content.read())
    scenario = on_roads(STREET, tmp_path / "drive.csv")
    assert scenario.radio.measured
    world = draw_world(scenario, Random.of(1))
    snr_db = 10 * (world.cn0_down_hz[..., 0] / world.bandwidth_hz).log10()
    assert bool(((snr_db > -31) & (snr_db < 36)).all())
    assert float(play(world, Independent.of(scenario), Greedy(), Random.of(1)).gain.sum()) > 0
