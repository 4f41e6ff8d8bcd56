"""Clustered delay lines of TR 38.901: rays with angles, seen by a moving receiver with one antenna."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, final

import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.radio.fading.tdl import check_profile
from gainnet.radio.fading.waves import Waves

NUM_RAYS: Final = 20


@final
@dataclass(frozen=True)
class Cdl:
    r"""Clusters of TR 38.901, Tables 7.7.1-1 to 7.7.1-5, as Sionna holds them, between single vertical antennas.

    $a_{l,m} = \sqrt{P_l / 20}\, e^{j\Phi_{l,m}}$, $\nu_{l,m} = \nu \sin\theta_{l,m} \cos(\phi_{l,m} - \phi_v)$

    with ray angles of arrival from eq. (7.7-0a), azimuths and zeniths coupled at random, uniform phases, and a receiver
    that moves horizontally in a uniform direction $\phi_v$. Antennas are omnidirectional and vertical, so that
    departures and cross-polarisation drop out of the coefficients of eq. (7.5-22).

    Args:
        name: A, B, C (no line of sight), D or E.
        delay_spread_s: RMS delay spread that the table is scaled by.
        doppler_hz: largest Doppler shift $\nu$; 97 Hz is 30 km/h at 3.5 GHz.

    Raises:
        ConfigError: a field is out of range.

    >>> Cdl("A").waves(Random.of([0])).amplitude.abs().square().sum().round().item()
    1.0
    """

    name: str = "C"
    delay_spread_s: float = 300e-9
    doppler_hz: float = 97.0

    def __post_init__(self) -> None:
        check_profile("CDL", self.name, self.delay_spread_s, self.doppler_hz)

    def waves(self, random: Random) -> Waves:
        """As `Profile.waves`; the line of sight is a cluster of one ray."""
        rays = _table(self.name)
        phase = 2 * math.pi * random.uniform(rays.power.shape, "phases")
        amplitude = torch.polar(rays.power.sqrt().float().expand(phase.shape), phase)
        # Azimuths in a random order: every zenith of a cluster meets one azimuth (TR 38.901, step 8 of section 7.5).
        order = random.uniform(rays.power.shape, "coupling").argsort(-1)
        azimuth = rays.azimuth.expand(phase.shape).gather(-1, order)
        heading = 2 * math.pi * random.uniform((), "heading").double()[..., None, None]
        doppler_hz = self.doppler_hz * torch.sin(rays.zenith) * torch.cos(azimuth - heading)
        return Waves(rays.delay * self.delay_spread_s, amplitude, doppler_hz)

    def correlation(self, frequency_hz: Tensor, time_s: Tensor) -> Tensor:
        """As `Profile.correlation`."""
        rays = _table(self.name)
        delay_s = rays.delay * self.delay_spread_s
        # The direction of movement is uniform, so that the rotation of a ray has a Bessel function as its mean.
        turn = 2 * math.pi * self.doppler_hz * time_s.double()[..., None, None] * torch.sin(rays.zenith)
        taps = (rays.power * torch.special.bessel_j0(turn)).sum(-1)
        correlation: Tensor = (taps * torch.exp(-2j * math.pi * frequency_hz.double().unsqueeze(-1) * delay_s)).sum(-1)
        return correlation


@final
@dataclass(frozen=True)
class _Rays:
    """Normalised delays [num_clusters]; powers, azimuths and zeniths of arrival [num_clusters, NUM_RAYS]."""

    delay: Tensor
    power: Tensor
    azimuth: Tensor
    zenith: Tensor


# Sionna draws nothing here, but building its model takes longer than drawing the waves.
@lru_cache(maxsize=8)
def _table(name: str) -> _Rays:
    from sionna.phy.channel.tr38901 import CDL, PanelArray

    antenna = PanelArray(
        num_rows_per_panel=1,
        num_cols_per_panel=1,
        polarization="single",
        polarization_type="V",
        antenna_pattern="omni",
        carrier_frequency=3.5e9,
    )
    model: Any = CDL(name, 1.0, 3.5e9, antenna, antenna, "downlink")
    # Private fields, since Sionna shows no angles of single rays; the test against its channel would notice a change.
    power = (model._powers.double() / NUM_RAYS)[:, None].repeat(1, NUM_RAYS)
    rays = _Rays(model._delays.double(), power, model._aoa.double(), model._zoa.double())
    return _with_sight(model, rays) if model._has_los else rays


def _with_sight(model: Any, rays: _Rays) -> _Rays:
    """The rays, and before them a cluster whose first ray is the line of sight and whose others have no power."""
    k_factor = float(model._k_factor)
    sight = torch.zeros(1, NUM_RAYS, dtype=torch.float64)
    sight[0, 0] = k_factor / (k_factor + 1)
    return _Rays(
        torch.cat([rays.delay[:1] * 0, rays.delay]),
        torch.cat([sight, rays.power / (k_factor + 1)]),
        torch.cat([torch.full_like(sight, float(model._los_aoa)), rays.azimuth]),
        torch.cat([torch.full_like(sight, float(model._los_zoa)), rays.zenith]),
    )
