"""Where base stations stand, and what SNR their terminals see: a hexagonal grid, or any given sites."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.radio.macro import scenario

THERMAL_DBM_PER_HZ = -174.0
"""Noise of a receiver at 290 K."""


def hexagonal_sites(num_rings: int, distance_m: float) -> Tensor:
    r"""[num_sites, 2], metres: a site in the middle and rings around it, neighbours at equal distance.

    $1 + 3 n (n + 1)$ sites for $n$ rings.

    Args:
        num_rings: rings around the middle, 0 to 20.
        distance_m: between neighbouring sites, > 0.

    Raises:
        ConfigError: an argument out of range.

    >>> hexagonal_sites(2, 500.0).shape
    torch.Size([19, 2])
    """
    if not 0 <= num_rings <= 20:
        raise ConfigError(f"num_rings: {num_rings} is outside 0 to 20")
    if not 0.0 < distance_m < math.inf:
        raise ConfigError(f"distance_m: {distance_m} is no distance; give a positive number of metres")
    steps = range(-num_rings, num_rings + 1)
    cells = [(q, r) for q in steps for r in steps if abs(q + r) <= num_rings]
    cells.sort(key=lambda cell: (max(abs(cell[0]), abs(cell[1]), abs(sum(cell))), cell))
    places = torch.tensor(cells, dtype=torch.float64)
    x = places[:, 0] + places[:, 1] / 2
    return distance_m * torch.stack([x, places[:, 1] * math.sqrt(3) / 2], -1)


@final
@dataclass(frozen=True)
class Drop:
    """Terminals in a layout, and how well they hear every site.

    Args:
        points_m: [*batch, num_terminals, 2].
        in_sight: [*batch, num_terminals, num_sites], bool.
        gain_db: [*batch, num_terminals, num_sites], path gain with shadowing, float64.
    """

    points_m: Tensor
    in_sight: Tensor
    gain_db: Tensor

    @property
    def serving(self) -> Tensor:
        """[*batch, num_terminals], the site that is heard best."""
        return self.gain_db.argmax(-1)


@final
@dataclass(frozen=True)
class Layout:
    r"""Sites of one scenario and carrier.

    $\gamma = P_t - L - X - N_0 - 10 \log_{10} B - F$ in dB, shadowing $X$ normal and independent per pair

    Args:
        sites_m: [num_sites, 2], e.g. `hexagonal_sites`, or any other.
        propagation: umi, uma or rma of TR 38.901.
        carrier_ghz: 0.5 to 100 GHz.
        tx_power_dbm: of a site, antenna gain included.
        noise_figure_db: of a terminal.
        terminal_height_m: 1.5 to 13 m.

    Raises:
        ConfigError: a field out of range.

    >>> layout = Layout(hexagonal_sites(1, 200.0))
    >>> drop = layout.drop(torch.zeros(1, 2), Random.of(0))
    >>> layout.snr_db(drop, 1e6).shape
    torch.Size([1])
    """

    sites_m: Tensor
    propagation: str = "umi"
    carrier_ghz: float = 3.5
    tx_power_dbm: float = 30.0
    noise_figure_db: float = 7.0
    terminal_height_m: float = 1.5

    def __post_init__(self) -> None:
        scenario(self.propagation)
        if self.sites_m.dim() != 2 or self.sites_m.shape[-1] != 2 or not len(self.sites_m):
            raise ConfigError("sites_m: give points [num_sites, 2] in metres, at least one")
        if not 0.5 <= self.carrier_ghz <= 100.0:
            raise ConfigError(f"carrier_ghz: {self.carrier_ghz} is outside 0.5 to 100 GHz")
        if not 1.5 <= self.terminal_height_m <= 13.0:
            raise ConfigError(f"terminal_height_m: {self.terminal_height_m} is outside 1.5 to 13 m")

    def uniform_points(self, num_terminals: int, radius_m: float, random: Random) -> Tensor:
        """[*batch, num_terminals, 2], uniform in a disc around the first site."""
        drawn = random.uniform((num_terminals, 2), "points").double()
        turn, away = 2 * math.pi * drawn[..., 0], radius_m * drawn[..., 1].sqrt()
        return self.sites_m[0] + torch.stack([away * torch.cos(turn), away * torch.sin(turn)], -1)

    def drop(self, points_m: Tensor, random: Random) -> Drop:
        """Lines of sight, path loss and shadowing for terminals.

        Args:
            points_m: [*batch, num_terminals, 2].
            random: streams of the drop, [*batch].
        """
        air = scenario(self.propagation)
        distance_m = (points_m.double().unsqueeze(-2) - self.sites_m.double()).norm(dim=-1)
        shape = distance_m.shape[len(random.batch) :]
        in_sight = random.uniform(shape, "sight") < air.sight_probability(distance_m)
        heights = air.base_height_m, self.terminal_height_m
        loss_db = air.loss_db(distance_m, in_sight, self.carrier_ghz, *heights)
        shadowing_db = air.deviation_db(in_sight) * random.normal(shape, "shadowing").double()
        return Drop(points_m, in_sight, -(loss_db + shadowing_db))

    def snr_db(self, drop: Drop, bandwidth_hz: float) -> Tensor:
        """[*batch, num_terminals], mean SNR to the serving site without interference."""
        noise_dbm = THERMAL_DBM_PER_HZ + 10 * math.log10(bandwidth_hz) + self.noise_figure_db
        return self.tx_power_dbm + drop.gain_db.amax(-1) - noise_dbm

    def sinr_db(self, drop: Drop, bandwidth_hz: float, load: float = 1.0) -> Tensor:
        """[*batch, num_terminals], with the other sites as interference.

        Args:
            drop: the terminals.
            bandwidth_hz: of the link.
            load: share of the time in which another site sends, 0 to 1.
        """
        noise_dbm = THERMAL_DBM_PER_HZ + 10 * math.log10(bandwidth_hz) + self.noise_figure_db
        received = 10 ** ((self.tx_power_dbm + drop.gain_db) / 10)
        wanted = received.amax(-1)
        disturbing = load * (received.sum(-1) - wanted) + 10 ** (noise_dbm / 10)
        return 10 * (wanted / disturbing).log10()
