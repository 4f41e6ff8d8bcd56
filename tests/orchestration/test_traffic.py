"""The page plays what was decided: ways, associations, boards, and requests."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from gainnet.catalog.orchestration import episode_of
from gainnet.catalog.records import EpisodeConfig
from gainnet.core.randomness import Random
from gainnet.orchestration import draw_world, load_scenario
from gainnet.orchestration.drawing import draw_gain
from gainnet.orchestration.places import tracks_once, ways_of
from gainnet.orchestration.roads import on_roads
from gainnet.orchestration.save import save
from gainnet.orchestration.scenario import Scenario
from gainnet.orchestration.traffic import traffic

MINE = '''
from gainnet.orchestration import Association

class MostSamples:
    """The model for which most samples can be sensed."""

    def __call__(self, graph, random):
        return Association(graph.workload.samples.argmax(-1))
'''


@pytest.fixture
def ways(tmp_path: Path) -> Path:
    lines = [f"{t},{v},{10 * (t - 4 * v)},{5 * v}" for v in range(6) for t in range(4 * v, 4 * v + 31)]
    (tmp_path / "ways.csv").write_text("\n".join(["time_s,vehicle,x_m,y_m", *lines]) + "\n")
    return tmp_path / "ways.csv"


def test_a_file_of_tracks_is_read_once_until_it_changes(ways: Path) -> None:
    first = tracks_once(ways)
    assert tracks_once(ways) is first
    ways.write_text(ways.read_text() + "60,6,0,0\n61,6,9,0\n")
    os.utime(ways, ns=(1, 1))
    assert len(tracks_once(ways).vehicles) == len(first.vehicles) + 1


@pytest.mark.parametrize("roads", [pytest.param(False, marks=pytest.mark.slow), True])
def test_ways_lead_through_the_places_of_the_world(ways: Path, roads: bool) -> None:
    scenario: Scenario = load_scenario("square")
    if roads:
        scenario = on_roads(_short(scenario), ways)
    num_rounds, duration_s = scenario.rounds.num_rounds, scenario.rounds.duration_s
    times_s = torch.arange(num_rounds + 1, dtype=torch.float64) * duration_s
    finer_s = torch.arange(4 * num_rounds + 1, dtype=torch.float64) * (duration_s / 4)
    world = draw_world(scenario, Random.of(3))
    clients, _ = ways_of(scenario, times_s, finer_s, Random.of(3))
    torch.testing.assert_close(clients[::4], world.client_m, equal_nan=True, rtol=0, atol=1e-9)


def _short(scenario: Scenario) -> Scenario:
    return scenario.model_copy(update={"rounds": scenario.rounds.model_copy(update={"num_rounds": 3})})


@pytest.mark.slow
def test_a_class_of_ones_own_is_on_every_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_most_samples.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    episode = episode_of(EpisodeConfig("my_most_samples:MostSamples", num_clients=5, num_rounds=2))
    save(episode, tmp_path / "out")
    lines, bars = draw_gain(episode).axes
    legend = lines.get_legend()
    assert legend is not None
    assert "MostSamples" in [text.get_text() for text in legend.get_texts()]
    assert "MostSamples" in [text.get_text() for text in bars.get_yticklabels()]
    assert traffic(episode)["policies"][0]["label"] == "MostSamples"
    assert "MostSamples" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_a_browser_plays_it(ways: Path, tmp_path: Path) -> None:
    save(episode_of(EpisodeConfig("greedy", mobility=str(ways), num_rounds=2)), tmp_path / "out")
    command = ["chromium", "--headless", "--no-sandbox", "--disable-background-networking", "--window-size=390,844"]
    page = (tmp_path / "out" / "report.html").as_uri()
    done = subprocess.run([*command, "--dump-dom", page], capture_output=True, text=True, timeout=120, check=True)
    assert "round 1 of 2, 0.0 s" in done.stdout
    assert len(re.findall(r"<span>model \d \(edge \d\)", done.stdout)) == 4
