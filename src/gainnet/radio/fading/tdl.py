"""Tapped delay lines of TR 38.901: Rayleigh taps from waves of all sides, some with a path in sight."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.radio.fading.waves import Waves

NUM_WAVES: Final = 16
SIGHT_DOPPLER: Final = 0.7
"""Doppler shift of a path in sight over the largest one (TR 38.901, section 7.7.2)."""


@final
@dataclass(frozen=True)
class Tdl:
    r"""Delays and powers of TR 38.901, Tables 7.7.2-1 to -5, as in Sionna; a tap is a Jakes process.

    $a_{l,n} \sim \mathcal{CN}(0, P_l / N)$, $\nu_{l,n} = \nu \cos\alpha_{l,n}$, one angle in each of $N$ sectors

    Args:
        name: A, B, C (no path in sight), D or E.
        delay_spread_s: RMS delay spread that the table is scaled by; 300 ns is the table's "long" at 3.5 GHz (7.7.3-1).
        doppler_hz: largest Doppler shift $\nu$; 97 Hz is 30 km/h at 3.5 GHz.

    Raises:
        ConfigError: a field out of range.

    >>> Tdl("A").waves(Random.of([0])).amplitude.shape
    torch.Size([1, 23, 16])
    """

    name: str = "C"
    delay_spread_s: float = 300e-9
    doppler_hz: float = 97.0

    def __post_init__(self) -> None:
        if self.name not in ("A", "B", "C", "D", "E"):
            raise ConfigError(f"name: there is no TDL-{self.name}; choose A, B, C, D or E")
        check_motion(self.delay_spread_s, self.doppler_hz)

    def waves(self, random: Random) -> Waves:
        """As `Profile.waves`."""
        delay_s, power, sight = _table(self.name, self.delay_spread_s)
        amplitude = (
            random.complex_normal((len(power), NUM_WAVES), "waves") * (power / NUM_WAVES).sqrt().float()[:, None]
        )
        sector = torch.arange(NUM_WAVES) + random.uniform((len(power), NUM_WAVES), "angles").double()
        doppler_hz = self.doppler_hz * torch.cos(2 * math.pi / NUM_WAVES * sector)
        if sight == 0:
            return Waves(delay_s, amplitude, doppler_hz)
        phase = 2 * math.pi * random.uniform((), "phase")
        return _with_sight(Waves(delay_s, amplitude, doppler_hz), sight, SIGHT_DOPPLER * self.doppler_hz, phase)

    def correlation(self, frequency_hz: Tensor, time_s: Tensor) -> Tensor:
        """As `Profile.correlation`."""
        delay_s, power, sight = _table(self.name, self.delay_spread_s)
        delays = (power * torch.exp(-2j * math.pi * frequency_hz.double().unsqueeze(-1) * delay_s)).sum(-1)
        scattered = torch.special.bessel_j0(2 * math.pi * self.doppler_hz * time_s.double())
        seen = sight * torch.exp(2j * math.pi * SIGHT_DOPPLER * self.doppler_hz * time_s.double())
        correlation: Tensor = delays * scattered + seen
        return correlation


def check_motion(delay_spread_s: float, doppler_hz: float) -> None:
    """Raises `ConfigError` for a delay spread or a Doppler shift that no such channel has."""
    if not 0.0 <= delay_spread_s <= 1e-5:
        raise ConfigError(f"delay_spread_s: {delay_spread_s} is out of range; give 0 to 1e-5 s")
    if not 0.0 <= doppler_hz <= 1e4:
        raise ConfigError(f"doppler_hz: {doppler_hz} is out of range; give 0 to 1e4 Hz")


def _with_sight(waves: Waves, power: float, doppler_hz: float, phase: Tensor) -> Waves:
    """The waves and one more on the first path."""
    extra = torch.zeros(*phase.shape, waves.amplitude.shape[-2], 1, dtype=waves.amplitude.dtype)
    extra[..., 0, 0] = torch.polar(torch.full_like(phase, math.sqrt(power)), phase)
    shift = torch.full(extra.shape, doppler_hz, dtype=waves.doppler_hz.dtype)
    return Waves(waves.delay_s, torch.cat([waves.amplitude, extra], -1), torch.cat([waves.doppler_hz, shift], -1))


@lru_cache(maxsize=32)
def _table(name: str, delay_spread_s: float) -> tuple[Tensor, Tensor, float]:
    """[num_taps] delays, [num_taps] powers of the scattered waves, power of the path in sight; float64, sum 1."""
    from sionna.phy.channel.tr38901 import TDL

    model: Any = TDL(name, delay_spread=1.0, carrier_frequency=3.5e9)
    power, sight = model.mean_powers.double().clone(), 0.0
    if model.los:
        sight = float(model.mean_power_los)
        power[0] -= sight
    scale = float(power.sum()) + sight
    return model.delays.double() * delay_spread_s, power / scale, sight / scale
