"""Path loss over the roofs: urban and rural macro cells, and what shadowing adds in every scenario."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.radio.pathloss import (
    LOS_SHADOWING_DB,
    LOS_SHADOWING_M,
    NLOS_SHADOWING_DB,
    NLOS_SHADOWING_M,
    line_of_sight_probability,
    path_loss_db,
)

_LIGHT_M_PER_S: Final = 3e8
_LEAST_DISTANCE_M: Final = 10.0
_BUILDINGS_M, _STREET_M = 5.0, 20.0


def uma_sight_probability(distance_m: Tensor) -> Tensor:
    r"""Probability of a line of sight to a base station above the roofs of a city, terminals up to 13 m high.

    1 up to 18 m, then $18/d + e^{-d/63} (1 - 18/d)$   (3GPP TR 38.901, Table 7.4.2-1, UMa)

    Args:
        distance_m: [...], horizontal distance $d$ >= 0.

    >>> round(float(uma_sight_probability(torch.tensor(100.0))), 3)
    0.348
    """
    near = 18.0 / distance_m.clamp_min(18.0)
    return near + torch.exp(-distance_m / 63.0) * (1.0 - near)


def rma_sight_probability(distance_m: Tensor) -> Tensor:
    r"""Probability of a line of sight in the country: $e^{-(d - 10)/1000}$ beyond 10 m   (Table 7.4.2-1, RMa).

    Args:
        distance_m: [...], horizontal distance $d$ >= 0.

    >>> round(float(rma_sight_probability(torch.tensor(1010.0))), 3)
    0.368
    """
    return torch.exp(-(distance_m - 10.0).clamp_min(0.0) / 1000.0)


def uma_loss_db(
    distance_m: Tensor, in_sight: Tensor, carrier_ghz: float, base_height_m: float, terminal_height_m: float
) -> Tensor:
    r"""Median loss to a base station above the roofs of a city; arguments as `pathloss.path_loss_db`.

    In sight $28 + 22 \log_{10} d_{3D} + 20 \log_{10} f$ up to the break point $4 h_B' h_T' f / c$, beyond it
    $28 + 40 \log_{10} d_{3D} + 20 \log_{10} f - 9 \log_{10}(d_{BP}'^2 + (h_B - h_T)^2)$; out of sight at least that
    and $13.54 + 39.08 \log_{10} d_{3D} + 20 \log_{10} f - 0.6 (h_T - 1.5)$
    (Table 7.4.1-1, UMa; heights $h'$ are 1 m less, as for terminals below 13 m)

    >>> round(float(uma_loss_db(torch.tensor(300.0), torch.tensor(False), 3.5, 25.0, 1.5)), 1)
    121.3
    """
    flat_m, spatial_m = _distances(distance_m, base_height_m - terminal_height_m)
    log_distance, log_carrier = spatial_m.log10(), math.log10(carrier_ghz)
    break_m = 4 * (base_height_m - 1) * (terminal_height_m - 1) * carrier_ghz * 1e9 / _LIGHT_M_PER_S
    near = 28 + 22 * log_distance + 20 * log_carrier
    step_m = base_height_m - terminal_height_m
    far = 28 + 40 * log_distance + 20 * log_carrier - 9 * math.log10(break_m**2 + step_m**2)
    sight = torch.where(flat_m <= break_m, near, far)
    blocked = 13.54 + 39.08 * log_distance + 20 * log_carrier - 0.6 * (terminal_height_m - 1.5)
    return torch.where(in_sight, sight, torch.maximum(sight, blocked))


def rma_loss_db(
    distance_m: Tensor, in_sight: Tensor, carrier_ghz: float, base_height_m: float, terminal_height_m: float
) -> Tensor:
    r"""Median loss in the country, buildings 5 m high and streets 20 m wide; arguments as `pathloss.path_loss_db`.

    (Table 7.4.1-1, RMa; two slopes with the break point $2\pi h_B h_T f / c$ in sight)

    >>> round(float(rma_loss_db(torch.tensor(1000.0), torch.tensor(True), 0.7, 35.0, 1.5)), 1)
    93.4
    """
    flat_m, spatial_m = _distances(distance_m, base_height_m - terminal_height_m)
    break_m = 2 * math.pi * base_height_m * terminal_height_m * carrier_ghz * 1e9 / _LIGHT_M_PER_S
    at_break_m = torch.tensor(math.hypot(break_m, base_height_m - terminal_height_m))
    far = _rma_near_db(at_break_m, carrier_ghz) + 40 * torch.log10(spatial_m / at_break_m)
    sight = torch.where(flat_m <= break_m, _rma_near_db(spatial_m, carrier_ghz), far)
    base = 24.37 - 3.7 * (_BUILDINGS_M / base_height_m) ** 2
    blocked = (
        161.04
        - 7.1 * math.log10(_STREET_M)
        + 7.5 * math.log10(_BUILDINGS_M)
        - base * math.log10(base_height_m)
        + (43.42 - 3.1 * math.log10(base_height_m)) * (spatial_m.log10() - 3)
        + 20 * math.log10(carrier_ghz)
        - (3.2 * math.log10(11.75 * terminal_height_m) ** 2 - 4.97)
    )
    return torch.where(in_sight, sight, torch.maximum(sight, blocked))


@final
@dataclass(frozen=True)
class Scenario:
    """Large-scale propagation of TR 38.901 by name.

    Args:
        loss_db: median loss from distance, sight, carrier in GHz, heights of base station and terminal in m.
        sight_probability: of a line of sight, from the distance.
        shadowing_db: standard deviations in and out of sight (Table 7.4.1-1).
        shadowing_m: correlation distances in and out of sight (Table 7.5-6).
        base_height_m: usual height of base stations.
    """

    loss_db: Callable[[Tensor, Tensor, float, float, float], Tensor]
    sight_probability: Callable[[Tensor], Tensor]
    shadowing_db: tuple[float, float]
    shadowing_m: tuple[float, float]
    base_height_m: float

    def deviation_db(self, in_sight: Tensor) -> Tensor:
        """[...], standard deviation of the shadowing."""
        seen, blocked = (torch.tensor(x, dtype=torch.float64) for x in self.shadowing_db)
        return torch.where(in_sight, seen, blocked)


SCENARIOS: Final[dict[str, Scenario]] = {
    "umi": Scenario(
        path_loss_db,
        line_of_sight_probability,
        (LOS_SHADOWING_DB, NLOS_SHADOWING_DB),
        (LOS_SHADOWING_M, NLOS_SHADOWING_M),
        10.0,
    ),
    "uma": Scenario(uma_loss_db, uma_sight_probability, (4.0, 6.0), (37.0, 50.0), 25.0),
    "rma": Scenario(rma_loss_db, rma_sight_probability, (4.0, 8.0), (37.0, 120.0), 35.0),
}
"""Street canyon, urban macro, rural macro (where 4 dB in sight hold up to the break point, and are used beyond it)."""


def scenario(name: str) -> Scenario:
    """The scenario of a name.

    Raises:
        ConfigError: there is none.
    """
    if name not in SCENARIOS:
        raise ConfigError(f"scenario: {name!r} is unknown; choose one of {', '.join(SCENARIOS)}")
    return SCENARIOS[name]


def _distances(distance_m: Tensor, step_m: float) -> tuple[Tensor, Tensor]:
    flat_m = distance_m.clamp_min(_LEAST_DISTANCE_M)
    return flat_m, torch.hypot(flat_m, torch.full_like(flat_m, step_m))


def _rma_near_db(spatial_m: Tensor, carrier_ghz: float) -> Tensor:
    height = _BUILDINGS_M**1.72
    loss_db: Tensor = (
        20 * torch.log10(40 * math.pi * spatial_m * carrier_ghz / 3)
        + min(0.03 * height, 10.0) * spatial_m.log10()
        - min(0.044 * height, 14.77)
        + 0.002 * math.log10(_BUILDINGS_M) * spatial_m
    )
    return loss_db
