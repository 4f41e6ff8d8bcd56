"""Where clients and targets are in every round, and which of them are sensed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.network.mobility import Manhattan, Mobility, RandomWaypoint
from gainnet.network.track_files import read_tracks
from gainnet.network.tracks import Tracks
from gainnet.orchestration.scenario import ManhattanNumbers, RoadNumbers, Scenario, TraceNumbers
from gainnet.orchestration.surroundings import hidden, in_view

_LOOK_S = 0.5
"""Between two positions that make a heading (assumed)."""


@final
@dataclass(frozen=True)
class Places:
    """Positions in every CR.

    Args:
        client_m: [*batch, num_crs, num_clients, 2]; NaN where a client is away.
        target_m: [*batch, num_crs, num_targets, 2]; NaN where a target is away.
        ahead_m: [*batch, num_crs, num_clients, 2], a step along the way ahead; `None` where no camera needs it.
        num_own: how many of the first targets are the clients themselves, in the same order.
        snr_db: [*batch, num_crs, num_clients], that the tracks were recorded with, in dB; `None` without.
    """

    client_m: Tensor
    target_m: Tensor
    ahead_m: Tensor | None
    num_own: int = 0
    snr_db: Tensor | None = None


def mobility_of(scenario: Scenario) -> Mobility:
    """The way in which vehicles of a scenario move."""
    numbers = scenario.mobility
    if isinstance(numbers, TraceNumbers):
        return tracks_once(Path(numbers.path))
    if isinstance(numbers, RoadNumbers):
        return tracks_once(Path(numbers.path), numbers.start_s, duration_of(scenario))
    speeds = numbers.least_speed_m_per_s, numbers.most_speed_m_per_s
    if isinstance(numbers, ManhattanNumbers):
        return Manhattan(scenario.side_m, numbers.num_blocks, *speeds)
    return RandomWaypoint(scenario.side_m, *speeds)


def tracks_once(path: Path, start_s: float | None = None, longest_s: float = math.inf) -> Tracks:
    """As `read_tracks`, but a file that has not changed is read, and its jumps are reported, once in a process.

    An environment is reset thousands of times, and each reset asks for the tracks.
    """
    # A scenario of SUMO is several files; any of the folder may be one of them.
    files = sorted(path.parent.iterdir()) if path.suffix == ".sumocfg" and path.parent.is_dir() else [path]
    stamps = tuple((one.name, one.stat().st_mtime_ns, one.stat().st_size) for one in files if one.is_file())
    return _tracks(path.absolute(), start_s, longest_s, stamps)


@lru_cache(maxsize=2)
def _tracks(path: Path, start_s: float | None, longest_s: float, stamps: tuple[tuple[str, int, int], ...]) -> Tracks:
    return read_tracks(path, start_s, longest_s)


def duration_of(scenario: Scenario) -> float:
    """Time in s from the beginning of the first CR to that of the last, which only consumes."""
    return scenario.rounds.num_rounds * scenario.rounds.duration_s


def places_of(scenario: Scenario, times_s: Tensor, random: Random) -> Places:
    """The places of all vehicles at times [num_crs] in s.

    Raises:
        ConfigError: a file of tracks cannot be read, or has other vehicles than the scenario.
    """
    num_clients, num_targets = scenario.clients.num_clients, scenario.targets.num_targets
    mobility = mobility_of(scenario)
    if isinstance(scenario.mobility, RoadNumbers):
        assert isinstance(mobility, Tracks)
        return _on_roads(scenario, scenario.mobility, mobility, times_s, random)
    if isinstance(mobility, Tracks):
        together = mobility.positions(num_clients + num_targets, times_s, random)
        ahead = _ahead(scenario, lambda t: mobility.positions(num_clients, t, random), times_s)
        return Places(together[..., :num_clients, :], together[..., num_clients:, :], ahead)
    # Streams of their own: more targets leave the clients where they are.
    clients = random.child("clients")
    client_m = mobility.positions(num_clients, times_s, clients)
    ahead = _ahead(scenario, lambda t: mobility.positions(num_clients, t, clients), times_s)
    return Places(client_m, mobility.positions(num_targets, times_s, random.child("targets")), ahead)


def sensed(scenario: Scenario, places: Places) -> tuple[Tensor, Tensor]:
    """Whether each client senses each target by radio and by camera, [*batch, num_crs, num_clients, num_targets]."""
    numbers = scenario.sensing
    distance_m = torch.cdist(places.client_m, places.target_m)
    if places.num_own:
        # Nobody is a target of its own.
        own = torch.arange(places.num_own)
        distance_m[..., own, own] = torch.inf
    wireless, visual = (distance_m <= range_m for range_m in (numbers.wireless_range_m, numbers.visual_range_m))
    if (camera := numbers.camera) is not None:
        assert places.ahead_m is not None
        visual &= in_view(places.client_m, places.ahead_m, places.target_m, camera.field_of_view_deg)
        visual &= ~hidden(places.client_m, places.target_m, numbers.visual_range_m, camera.vehicle_width_m)
    return wireless, visual


def _ahead(scenario: Scenario, at: Callable[[Tensor], Tensor], times_s: Tensor) -> Tensor | None:
    """[*batch, num_times, num_clients, 2], from where one is to where one is a moment later."""
    if scenario.sensing.camera is None:
        return None
    return at(times_s + _LOOK_S) - at(times_s)


def present_vehicles(tracks: Tracks, times_s: Tensor) -> Tensor:
    """[num_present], int64, vehicles that are there at one of the times [num_times] of the file, at least."""
    return (~tracks.at(times_s).isnan().any(-1)).any(0).nonzero().squeeze(-1)


def file_times_s(numbers: RoadNumbers, tracks: Tracks, times_s: Tensor) -> Tensor:
    """[num_times], times of the file at times [num_times] of the scenario."""
    return times_s.double() + (tracks.span_s[0] if numbers.start_s is None else numbers.start_s)


def ways_of(scenario: Scenario, times_s: Tensor, finer_s: Tensor, random: Random) -> tuple[Tensor, Tensor]:
    """Ways of the clients and targets that `places_of` has at some times, at other times in between.

    Args:
        scenario: numbers of the square.
        times_s: [num_crs] in s.
        finer_s: [num_times] in s, ending with the same time: how far ways are drawn depends on it.
        random: as for `places_of`.

    Returns:
        [*batch, num_times, num_clients, 2] and [*batch, num_times, num_targets, 2] in m; NaN where one is away.
    """
    if not isinstance(scenario.mobility, RoadNumbers):
        found = places_of(scenario, finer_s, random)
        return found.client_m, found.target_m
    numbers, tracks = scenario.mobility, mobility_of(scenario)
    assert isinstance(tracks, Tracks)
    # Who is there in no CR is no client, even if it is there in between.
    present = present_vehicles(tracks, file_times_s(numbers, tracks, times_s))
    seen = tracks.only(present).moved(numbers.origin_m)
    vehicle_m = seen.at(file_times_s(numbers, tracks, finer_s)).expand(*random.batch, -1, -1, -1)
    clients, others = vehicle_m.tensor_split([scenario.clients.num_clients], -2)
    if numbers.beside:
        stand_m = _beside(seen, scenario.targets.num_targets, random).unsqueeze(-3)
        others = torch.cat([others, stand_m.expand(*others.shape[:-2], *stand_m.shape[-2:])], -2)
    return clients, others


def _on_roads(scenario: Scenario, numbers: RoadNumbers, tracks: Tracks, times_s: Tensor, random: Random) -> Places:
    when_s = file_times_s(numbers, tracks, times_s)
    present = present_vehicles(tracks, when_s)
    num_clients = scenario.clients.num_clients
    if num_clients > len(present):
        raise ConfigError(
            f"clients.num_clients: {tracks.name} has {len(present)} vehicles in these rounds, not {num_clients}"
        )
    seen = tracks.only(present).moved(numbers.origin_m)
    vehicle_m = seen.at(when_s)
    batch = random.batch
    target_m = vehicle_m.expand(*batch, *vehicle_m.shape)
    if numbers.beside:
        stand_m = _beside(seen, scenario.targets.num_targets, random).unsqueeze(-3)
        target_m = torch.cat([target_m, stand_m.expand(*batch, len(when_s), *stand_m.shape[-2:])], -2)
    client_m = target_m[..., :num_clients, :]
    ahead = None
    if scenario.sensing.camera is not None:
        # Who leaves within the moment has come from somewhere; who does neither stands.
        here, later, before = vehicle_m, seen.at(when_s + _LOOK_S), seen.at(when_s - _LOOK_S)
        ahead = torch.where(later.isnan(), here - before, later - here)[:, :num_clients]
        ahead = ahead.nan_to_num(0.0).expand(client_m.shape)
    snr_db = None
    if scenario.radio.measured:
        snr_db = seen.snr_at(when_s)[:, :num_clients].expand(client_m.shape[:-1])
        if bool(snr_db.isnan().all()):
            raise ConfigError(f"radio.measured: {tracks.name} has no measured signal-to-noise ratio; use false")
    return Places(client_m, target_m, ahead, num_clients, snr_db)


def _beside(tracks: Tracks, num_targets: int, random: Random) -> Tensor:
    """[*batch, num_targets, 2], places where somebody passed."""
    points = torch.from_numpy(tracks.points_m)
    return points[(random.uniform((num_targets,), "beside").double() * len(points)).long()]
