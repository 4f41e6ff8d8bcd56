"""Mobility models: random waypoints or streets of a grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError, check_range
from gainnet.core.randomness import Random

_LEGS_AT_ONCE = 8
_DIRECTIONS = torch.tensor([[1, 0], [0, 1], [-1, 0], [0, -1]])


class Mobility(Protocol):
    """Positions of vehicles over time."""

    def positions(self, num_vehicles: int, times_s: Tensor, random: Random) -> Tensor:
        """Position of every vehicle at given times.

        Args:
            num_vehicles: how many.
            times_s: [num_times], increasing, the first >= 0.
            random: one stream per scenario.

        Returns:
            [*batch, num_times, num_vehicles, 2], metres, float64.
        """


@final
@dataclass(frozen=True)
class RandomWaypoint:
    """Straight to a random point at a random speed, then to the next one (Johnson and Maltz 1996).

    Vehicles start uniformly in the square, so that the first minutes are not yet the stationary distribution, which
    prefers the middle (Bettstetter et al. 2003).

    Args:
        side_m: side of the square > 0.
        least_speed_m_per_s: > 0, since with 0 the mean speed decays for ever (Yoon et al. 2003).
        most_speed_m_per_s: at least that.

    Raises:
        ConfigError: a field is out of range.
    """

    side_m: float
    least_speed_m_per_s: float
    most_speed_m_per_s: float

    def __post_init__(self) -> None:
        _check(self.side_m, self.least_speed_m_per_s, self.most_speed_m_per_s)

    def positions(self, num_vehicles: int, times_s: Tensor, random: Random) -> Tensor:
        """As `Mobility.positions`."""
        # Legs are drawn in groups with streams of their own, so that a longer scenario begins as a shorter one does.
        points = random.uniform((num_vehicles, 1, 2), "start").double() * self.side_m
        arrivals = torch.zeros_like(points[..., 0])
        number = 0
        while bool((arrivals[..., -1] < times_s[-1]).any()):
            drawn = random.uniform((num_vehicles, _LEGS_AT_ONCE, 3), "legs", number).double()
            more = drawn[..., :2] * self.side_m
            speed = self.least_speed_m_per_s + drawn[..., 2] * (self.most_speed_m_per_s - self.least_speed_m_per_s)
            length_m = (more - torch.cat([points[..., -1:, :], more[..., :-1, :]], -2)).norm(dim=-1)
            arrivals = torch.cat([arrivals, arrivals[..., -1:] + (length_m / speed).cumsum(-1)], -1)
            points, number = torch.cat([points, more], -2), number + 1
        return _between(points, arrivals, times_s)


@final
@dataclass(frozen=True)
class Manhattan:
    """Along the streets of a grid; straight on with probability 1/2, else left or right (ETSI TR 101 112, B.1.4.1.2).

    A turn that would leave the grid is taken the other way, and a vehicle that cannot go on turns, too. Every vehicle
    keeps its speed (assumed).

    Args:
        side_m: side of the square > 0.
        num_blocks: blocks per side >= 1; streets run around each of them.
        least_speed_m_per_s: > 0.
        most_speed_m_per_s: at least that.

    Raises:
        ConfigError: a field is out of range.
    """

    side_m: float
    num_blocks: int
    least_speed_m_per_s: float
    most_speed_m_per_s: float

    def __post_init__(self) -> None:
        _check(self.side_m, self.least_speed_m_per_s, self.most_speed_m_per_s)
        check_range(self.num_blocks >= 1, "mobility.num_blocks", self.num_blocks, "1 or more")

    def positions(self, num_vehicles: int, times_s: Tensor, random: Random) -> Tensor:
        """As `Mobility.positions`."""
        block_m = self.side_m / self.num_blocks
        num_legs = int(float(times_s[-1]) * self.most_speed_m_per_s / block_m) + 2
        start = random.uniform((num_vehicles, 5), "start").double()
        crossing = (start[..., :2] * (self.num_blocks + 1)).long()
        heading = (start[..., 2] * 4).long()
        corners = [crossing]
        for leg in range(num_legs):
            if leg % _LEGS_AT_ONCE == 0:
                turns = random.uniform((num_vehicles, _LEGS_AT_ONCE), "turns", leg)
            heading = self._heading(crossing, heading, turns[..., leg % _LEGS_AT_ONCE])
            crossing = crossing + _DIRECTIONS[heading]
            corners.append(crossing)
        speed = self.least_speed_m_per_s + start[..., 3] * (self.most_speed_m_per_s - self.least_speed_m_per_s)
        # Vehicles do not start at crossings: a part of the first block lies behind them.
        legs = torch.arange(num_legs + 1, dtype=torch.float64) - start[..., 4:]
        return _between(torch.stack(corners, -2).double() * block_m, legs * block_m / speed[..., None], times_s)

    def _heading(self, crossing: Tensor, heading: Tensor, turn: Tensor) -> Tensor:
        """The first of the wished, the other and the third direction that stays on the grid; never back."""
        left, right = (heading + 1) % 4, (heading + 3) % 4
        side, other = torch.where(turn < 0.75, left, right), torch.where(turn < 0.75, right, left)
        wishes = (torch.where(turn < 0.5, heading, side), torch.where(turn < 0.5, side, other), other, heading)
        chosen = (heading + 2) % 4
        # Backwards, so that the first wish that stays on the grid is written last.
        for wish in reversed(wishes):
            target = crossing + _DIRECTIONS[wish]
            stays = ((target >= 0) & (target <= self.num_blocks)).all(-1)
            chosen = torch.where(stays, wish, chosen)
        return chosen


def _between(points: Tensor, arrivals_s: Tensor, times_s: Tensor) -> Tensor:
    """[*batch, num_times, num_vehicles, 2] on straight legs through points [*batch, num_vehicles, num_points, 2]."""
    times = times_s.double().expand(*arrivals_s.shape[:-1], len(times_s)).contiguous()
    # A time at the very end belongs to the last leg; a leg without length, where arrivals coincide, has share 0.
    after = torch.searchsorted(arrivals_s.contiguous(), times).clamp(1, arrivals_s.shape[-1] - 1)
    begin, end = arrivals_s.gather(-1, after - 1), arrivals_s.gather(-1, after)
    share = torch.where(end > begin, (times - begin) / (end - begin), 0.0).clamp(0.0, 1.0)
    index = after[..., None].expand(*after.shape, 2)
    source, target = points.gather(-2, index - 1), points.gather(-2, index)
    return (source + share[..., None] * (target - source)).transpose(-2, -3)


def _check(side_m: float, least_speed: float, most_speed: float) -> None:
    check_range(0 < side_m < float("inf"), "mobility.side_m", side_m, "a positive number of m")
    if not 0 < least_speed <= most_speed < float("inf"):
        raise ConfigError(f"mobility: speeds {least_speed} to {most_speed} m/s do not fit; must be 0 < least <= most")
