"""A scenario on roads that exist: its square, edges and clients are those of a file of tracks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from gainnet.core.errors import ConfigError
from gainnet.network.tracks import Tracks
from gainnet.orchestration.places import duration_of, present_vehicles, tracks_once
from gainnet.orchestration.scenario import RoadNumbers, Scenario, scenario_of

_LEAST_SIDE_M = 1.0
_FEWEST_TO_SENSE = 2
_BANDWIDTH_HZ = 1e8
"""Of an edge that no file describes; that of the shipped scenarios (assumed)."""


def on_roads(scenario: Scenario, path: Path, num_clients: int | None = None, start_s: float | None = None) -> Scenario:
    """The scenario with the vehicles of a file, and its edges on a grid of 2 x 2 over their bounding box.

    Clients are the vehicles that are present in its rounds, the others of them their targets. Where there is only one
    vehicle, the scenario's number of targets stands beside its way; where tracks were recorded with a signal-to-noise
    ratio, links have it. The scenario has at most four edges.

    Args:
        scenario: rounds, models, radio and sensors.
        path: file, as `gainnet.network.track_files.read_tracks` takes it.
        num_clients: the first ones by name; all if `None`.
        start_s: time of the file at which the first round begins; its first one if `None`.

    Raises:
        ConfigError: the file cannot be read, lasts less than the rounds, or has fewer vehicles; more than four edges.

    >>> import tempfile
    >>> from gainnet.orchestration.scenario import load_scenario
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     rows = ["time_s,vehicle,x_m,y_m", *(f"{t},{v},{10 * t},{100 * v}" for t in range(60) for v in range(3))]
    ...     _ = (path := Path(folder) / "ways.csv").write_text("\\n".join(rows))
    ...     on_roads(load_scenario("street"), path).edges[3].position_m
    (442.5, 150.0)
    """
    needed_s = duration_of(scenario)
    tracks = tracks_once(path, start_s, needed_s)
    first_s, end_s = tracks.span_s
    begin_s = first_s if start_s is None else start_s
    if begin_s < first_s:
        raise ConfigError(f"mobility_start_s: {path} begins at {first_s:g} s; give that or a later time")
    if end_s - begin_s < needed_s:
        raise ConfigError(
            f"mobility: {path} lasts {end_s - begin_s:g} s, {scenario.rounds.num_rounds} rounds take {needed_s:g} s; "
            "give fewer rounds or a longer file"
        )
    if len(scenario.edges) > len(_QUARTERS):
        raise ConfigError(f"mobility: the scenario has {len(scenario.edges)} edges; give their positions in its file")
    times_s = begin_s + torch.arange(scenario.rounds.num_rounds + 1, dtype=torch.float64) * scenario.rounds.duration_s
    present = present_vehicles(tracks, times_s)
    if num_clients is not None and num_clients > len(present):
        raise ConfigError(f"num_clients: {path} has {len(present)} vehicles in these rounds, not {num_clients}")
    return scenario_of(_fields(scenario, path, tracks, len(present), num_clients, start_s))


def edges_over(numbers: RoadNumbers) -> list[dict[str, Any]]:
    """Four edges on a grid of 2 x 2 over the bounding box of tracks, as fields of a scenario.

    Args:
        numbers: file of the tracks, and the origin of the square.
    """
    points_m = tracks_once(Path(numbers.path)).points_m - np.array(numbers.origin_m)
    low_m, high_m = points_m.min(0), points_m.max(0)
    places = (low_m + np.array(_QUARTERS) * (high_m - low_m)).tolist()
    return [{"position_m": tuple(place), "bandwidth_hz": _BANDWIDTH_HZ} for place in places]


_QUARTERS = ((0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75))


def _fields(
    scenario: Scenario, path: Path, tracks: Tracks, num_present: int, num_clients: int | None, start_s: float | None
) -> dict[str, Any]:
    fields = scenario.model_dump()
    low_m, high_m = tracks.points_m.min(0), tracks.points_m.max(0)
    side_m = max(_LEAST_SIDE_M, float((high_m - low_m).max()))
    alone = num_present < _FEWEST_TO_SENSE
    places = (np.array(_QUARTERS) * (high_m - low_m)).tolist()
    edges = [edge | {"position_m": place} for edge, place in zip(fields["edges"], places, strict=False)]
    changed: dict[str, Any] = {"side_m": side_m, "edges": edges}
    changed["clients"] = fields["clients"] | {"num_clients": num_clients or num_present}
    changed["mobility"] = {
        "kind": "roads", "path": path, "origin_m": tuple(low_m.tolist()), "beside": alone, "start_s": start_s,
    }  # fmt: skip
    if bool(np.isfinite(tracks.snr_db).any()):
        changed["radio"] = fields["radio"] | {"measured": True}
    return {**fields, **changed}
