"""Recorded ways of vehicles that come and go."""

from __future__ import annotations

import math
import warnings
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random

EARTH_M = 6_371_008.8
"""Mean radius of the Earth (IUGG)."""

FASTEST_M_PER_S = 70.0
"""Speed above which a step of a vehicle counts as a jump."""

GAP_S, GAP_STEPS = 30.0, 5.0
"""A vehicle that is not seen for longer, and for so many of its usual steps, was away in the meantime (assumed)."""

_FEW_DEGREES = 0.01


class Sample(NamedTuple):
    """A place of a vehicle at a time, as it stands in a file; numbers in m, or degrees east and north."""

    time_s: float
    vehicle: str
    x: float
    y: float
    line: int
    speed_m_per_s: float = math.nan
    snr_db: float = math.nan


@final
@dataclass(frozen=True)
class Tracks:
    """Positions of vehicles, straight between samples; nobody is anywhere before the first or after the last of them.

    Args:
        name: file that they come from.
        vehicles: names.
        first: [num_vehicles + 1], int64, where the samples of each vehicle begin; the last is their number.
        times_s: [num_samples], increasing within a vehicle.
        points_m: [num_samples, 2], metres.
        snr_db: [num_samples], measured signal-to-noise ratio in dB, NaN where there is none.

    >>> rows = [Sample(0, "a", 0, 0, 1), Sample(1, "b", 5, 5, 2), Sample(2, "a", 10, 0, 3), Sample(3, "b", 5, 5, 4)]
    >>> tracks_of("rows", rows).at(torch.tensor([0.0, 1.0, 3.0]))[..., 0]
    tensor([[0., nan],
            [5., 5.],
            [nan, 5.]], dtype=torch.float64)
    """

    name: str
    vehicles: tuple[str, ...]
    first: NDArray[np.int64]
    times_s: NDArray[np.float64]
    points_m: NDArray[np.float64]
    snr_db: NDArray[np.float64]

    @cached_property
    def span_s(self) -> tuple[float, float]:
        """First and last time of anybody."""
        return float(self.times_s.min()), float(self.times_s.max())

    def at(self, times_s: Tensor) -> Tensor:
        """[num_times, num_vehicles, 2] in m at given times [num_times] of the file; NaN where a vehicle is away."""
        return torch.stack([self._between(self.points_m[:, axis], times_s) for axis in (0, 1)], -1)

    def snr_at(self, times_s: Tensor) -> Tensor:
        """[num_times, num_vehicles], measured signal-to-noise ratio in dB at times [num_times]; NaN without one."""
        return self._between(self.snr_db, times_s)

    def only(self, chosen: Tensor) -> Tracks:
        """The tracks of some vehicles, by index [num_chosen], int64."""
        parts = [slice(self.first[n], self.first[n + 1]) for n in chosen.tolist()]
        index = np.concatenate([np.arange(part.start, part.stop) for part in parts])
        first = np.cumsum([0, *(part.stop - part.start for part in parts)])
        names = tuple(self.vehicles[n] for n in chosen.tolist())
        return Tracks(self.name, names, first, self.times_s[index], self.points_m[index], self.snr_db[index])

    def moved(self, origin_m: tuple[float, float]) -> Tracks:
        """The same tracks seen from another origin, in m."""
        return replace(self, points_m=self.points_m - np.array(origin_m))

    def positions(self, num_vehicles: int, times_s: Tensor, random: Random) -> Tensor:
        """As `Mobility.positions`, of the first `num_vehicles`, the same for every scenario; NaN where one is away.

        Raises:
            ConfigError: there are fewer vehicles, or they are recorded for a shorter time.
        """
        if num_vehicles > len(self.vehicles):
            raise ConfigError(f"mobility.path: the trace has {len(self.vehicles)} vehicles, not {num_vehicles}")
        start_s, end_s = self.span_s
        if float(times_s[-1] - times_s[0]) > end_s - start_s + 1e-9:
            raise ConfigError(f"mobility.path: the trace lasts less than {float(times_s[-1] - times_s[0]):g} s")
        found = self.at(times_s.double() - times_s[0] + start_s)[:, :num_vehicles]
        return found.expand(*random.batch, *found.shape)

    def _between(self, values: NDArray[np.float64], times_s: Tensor) -> Tensor:
        when = times_s.double().numpy()
        found = np.full((len(when), len(self.vehicles)), np.nan)
        for n, (start, end) in enumerate(zip(self.first[:-1], self.first[1:], strict=True)):
            own = self.times_s[start:end]
            after = np.searchsorted(own, when).clip(1, max(1, len(own) - 1))
            here = (when >= own[0]) & (when <= own[-1])
            if len(own) > 1:
                gap_s = max(GAP_S, GAP_STEPS * float(np.median(np.diff(own))))
                here &= own[after] - own[after - 1] <= gap_s
            found[here, n] = np.interp(when[here], own, values[start:end])
        return torch.from_numpy(found)


def tracks_of(name: str, samples: Iterable[Sample], degrees: bool | None = False) -> Tracks:
    """The tracks of samples, vehicles in the order of their names.

    A step faster than 70 m/s is reported as a warning, with its time and vehicle, and kept.

    Args:
        name: file that they come from.
        samples: in order of time within a vehicle.
        degrees: whether x and y are degrees east and north; `None` finds out from what speeds say.

    Raises:
        ConfigError: no sample, or a vehicle goes back in time or is twice at one; the line is named.
    """
    columns: dict[str, _Column] = {}
    for sample in samples:
        column = columns.setdefault(sample.vehicle, _Column())
        if column.times_s and sample.time_s <= (last := column.times_s[-1]):
            what = "is there twice at" if sample.time_s == last else f"goes back from {last:.12g} s to"
            raise ConfigError(f"mobility: {name}, line {sample.line}: {sample.vehicle} {what} {sample.time_s:.12g} s")
        column.append(sample)
    if not columns:
        raise ConfigError(f"mobility: {name} has no vehicle at any time; give a file with positions")
    names = tuple(sorted(columns))
    x, y, times_s, speeds, snr_db = (
        np.concatenate([np.frombuffer(getattr(columns[vehicle], kind)) for vehicle in names])
        for kind in ("x", "y", "times_s", "speeds", "snr_db")
    )
    first = np.cumsum([0, *(len(columns[vehicle].x) for vehicle in names)])
    points = np.stack([x, y], -1)
    if degrees is None:
        degrees = _are_degrees(points, times_s, speeds, first)
    tracks = Tracks(name, names, first, times_s, _metres(points) if degrees else points, snr_db)
    _tell_jumps(tracks)
    return tracks


@final
@dataclass
class _Column:
    """Samples of a vehicle as flat numbers, 40 bytes each."""

    times_s: array[float] = field(default_factory=lambda: array("d"))
    x: array[float] = field(default_factory=lambda: array("d"))
    y: array[float] = field(default_factory=lambda: array("d"))
    speeds: array[float] = field(default_factory=lambda: array("d"))
    snr_db: array[float] = field(default_factory=lambda: array("d"))

    def append(self, sample: Sample) -> None:
        self.times_s.append(sample.time_s)
        self.x.append(sample.x)
        self.y.append(sample.y)
        self.speeds.append(sample.speed_m_per_s)
        self.snr_db.append(sample.snr_db)


def _metres(degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    """Metres east and north of the middle; a plane that touches the Earth, right to 1e-4 within 100 km."""
    middle = np.radians((degrees.min(0) + degrees.max(0)) / 2)
    apart = np.radians(degrees) - middle
    metres: NDArray[np.float64] = EARTH_M * apart * [math.cos(middle[1]), 1.0]
    return metres


def _are_degrees(
    points: NDArray[np.float64], times_s: NDArray[np.float64], speeds: NDArray[np.float64], first: NDArray[np.int64]
) -> bool:
    """Whether x and y can be degrees, and vehicles move hundreds of times less in them than their speeds say."""
    if (np.abs(points) > [180.0, 90.0]).any():
        return False
    own = _steps(first, len(points))
    moved = np.linalg.norm(np.diff(points, axis=0), axis=-1)[own].sum()
    said = np.nansum((speeds[1:] * np.diff(times_s))[own])
    # A metre is about 1e-5 degrees.
    return bool(moved < _FEW_DEGREES * said)


def _steps(first: NDArray[np.int64], num_samples: int) -> NDArray[np.bool_]:
    """[num_samples - 1], steps from one sample to the next that are of one vehicle."""
    own = np.ones(max(num_samples - 1, 0), dtype=bool)
    own[first[1:-1] - 1] = False
    return own


def _tell_jumps(tracks: Tracks) -> None:
    step_s = np.diff(tracks.times_s)
    speed = np.linalg.norm(np.diff(tracks.points_m, axis=0), axis=-1) / np.where(step_s > 0, step_s, np.inf)
    jumps = np.flatnonzero((speed > FASTEST_M_PER_S) & _steps(tracks.first, len(tracks.times_s)))
    for k in jumps:
        vehicle = tracks.vehicles[int(np.searchsorted(tracks.first, k, side="right")) - 1]
        warnings.warn(
            f"mobility: {tracks.name}: {vehicle} jumps at {tracks.times_s[k + 1]:.12g} s with {speed[k]:.0f} m/s; kept",
            stacklevel=3,
        )
