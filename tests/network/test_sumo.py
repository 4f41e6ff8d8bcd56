"""A grid and a crossing that SUMO generates and drives, where it is installed."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path

import numpy as np
import pytest

from gainnet.core.errors import ConfigError
from gainnet.network.track_files import read_tracks

INSTALLED = importlib.util.find_spec("sumo") is not None
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not INSTALLED, reason="SUMO is not installed; pip install eclipse-sumo"),
]

WAYS = {
    "crossing": (["--grid.number=1", "--grid.attach-length=150"], [("left0A0", "A0right0"), ("bottom0A0", "A0top0")]),
    "grid": (["--grid.number=3", "--grid.length=100"], [("A0B0", "B2C2"), ("C2B2", "A1A0")]),
}


@pytest.fixture(params=WAYS)
def scenario(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A network from SUMO's own generator, with two flows of vehicles."""
    import sumo

    binaries, (shape, flows) = Path(sumo.SUMO_HOME) / "bin", WAYS[request.param]
    network, routes, config = (tmp_path / f"{request.param}.{kind}" for kind in ("net.xml", "rou.xml", "sumocfg"))
    subprocess.run([binaries / "netgenerate", "--grid", *shape, "-o", network], check=True, capture_output=True)
    lines = [
        f'<flow id="{k}" begin="0" end="30" period="5" from="{start}" to="{end}"/>'
        for k, (start, end) in enumerate(flows)
    ]
    routes.write_text(f"<routes>{''.join(lines)}</routes>")
    inputs = f'<net-file value="{network.name}"/><route-files value="{routes.name}"/>'
    config.write_text(f"<configuration><input>{inputs}</input></configuration>")
    return config


def test_driving_over_traci_is_what_sumo_writes(scenario: Path, tmp_path: Path) -> None:
    import sumo

    out = tmp_path / "fcd.xml.gz"
    binary = Path(sumo.SUMO_HOME) / "bin" / "sumo"
    subprocess.run([binary, "-c", scenario, "--fcd-output", out, "--no-step-log"], check=True, capture_output=True)
    driven, written = read_tracks(scenario), read_tracks(out)
    assert driven.vehicles == written.vehicles
    assert len(driven.vehicles) == 12
    assert np.array_equal(driven.times_s, written.times_s)
    assert np.abs(driven.points_m - written.points_m).max() < 0.01
    # Vehicles arrive one after the other, and nobody stays.
    begins, ends = driven.times_s[driven.first[:-1]], driven.times_s[driven.first[1:] - 1]
    assert len(set(begins)) > 3
    assert ends.min() < driven.span_s[1]


def test_a_scenario_that_sumo_refuses_is_one_line(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.sumocfg"
    wrong.write_text('<configuration><input><net-file value="none.net.xml"/></input></configuration>')
    with pytest.raises(ConfigError, match="SUMO refuses"):
        read_tracks(wrong)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_tracks(tmp_path / "none.sumocfg")
