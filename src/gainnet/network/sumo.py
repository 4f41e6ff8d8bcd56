"""Scenarios of SUMO, driven over TraCI: the only place that imports it."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gainnet.core.errors import ConfigError, MissingExtraError
from gainnet.network.tracks import Sample, Tracks, tracks_of

_LONGEST_S = 3600.0
_NUM_TRIES = 20
"""To connect, a second apart, while SUMO loads its network."""


def drive(path: Path, longest_s: float = math.inf) -> Tracks:
    """The ways of all vehicles of a scenario, until nobody is expected any more, or for so long, an hour at most.

    Args:
        path: `.sumocfg` with a network and routes.
        longest_s: time after which it is stopped, > 0.

    Raises:
        MissingExtraError: `eclipse-sumo` is not installed.
        ConfigError: SUMO refuses the scenario, or nobody drives in it.
    """
    traci, binary = _traci()
    if not path.is_file():
        raise ConfigError(f"mobility.path: {path} cannot be read (no such file); give a .sumocfg")
    port = traci.getFreeSocketPort()
    command = [binary, "-c", str(path), "--no-step-log", "--no-warnings", "--remote-port", str(port)]
    failures = traci.FatalTraCIError, traci.TraCIException
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            traci.init(port, numRetries=_NUM_TRIES, proc=process)
            tracks = tracks_of(path.name, _steps(traci, min(longest_s, _LONGEST_S)))
            traci.close()
            return tracks
        except failures:
            process.kill()
            complaints = process.communicate()[1].strip().splitlines() or ["it stopped"]
            raise ConfigError(f"mobility.path: SUMO refuses {path} ({complaints[0]}); mend the scenario") from None
        finally:
            process.kill()


def _steps(traci: Any, longest_s: float) -> Iterator[Sample]:
    step, time_s = 0, 0.0
    while traci.simulation.getMinExpectedNumber() > 0 and time_s < longest_s:
        # Positions are those at the beginning of a step, as in the files that SUMO writes.
        step, time_s = step + 1, traci.simulation.getTime()
        traci.simulationStep()
        for vehicle in traci.vehicle.getIDList():
            x, y = traci.vehicle.getPosition(vehicle)
            yield Sample(time_s, vehicle, x, y, step, traci.vehicle.getSpeed(vehicle))


def _traci() -> tuple[Any, str]:
    """The library and the program, both of the package `eclipse-sumo`."""
    try:
        import sumo
    except ImportError:
        raise MissingExtraError("eclipse-sumo", "roads") from None
    home = Path(sumo.SUMO_HOME)
    # The package keeps its libraries beside its programs, where Python does not look.
    if (tools := str(home / "tools")) not in sys.path:
        sys.path.append(tools)
    import traci

    return traci, str(home / "bin" / "sumo")
