"""Tapped delay lines of TR 38.901: Rayleigh taps from waves of all directions, some with a line of sight."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError, check_range
from gainnet.core.randomness import Random
from gainnet.radio.fading.waves import Waves, phasor, sector_angles

NUM_WAVES: Final = 16
SIGHT_DOPPLER: Final = 0.7
"""Doppler shift of the line of sight over the largest one (TR 38.901, section 7.7.2)."""


@final
@dataclass(frozen=True)
class Tdl:
    r"""Delays and powers of TR 38.901, Tables 7.7.2-1 to -5, as in Sionna; each tap is a Jakes process.

    $a_{l,n} \sim \mathcal{CN}(0, P_l / N)$, $\nu_{l,n} = \nu \cos\alpha_{l,n}$, one angle in each of $N$ sectors

    Args:
        name: A, B, C (no line of sight), D or E.
        delay_spread_s: RMS delay spread that the table is scaled by; 300 ns is the table's "long" at 3.5 GHz (7.7.3-1).
        doppler_hz: largest Doppler shift $\nu$; 97 Hz is 30 km/h at 3.5 GHz.

    Raises:
        ConfigError: a field is out of range.

    >>> Tdl("A").waves(Random.of([0])).amplitude.shape
    torch.Size([1, 23, 16])
    """

    name: str = "C"
    delay_spread_s: float = 300e-9
    doppler_hz: float = 97.0

    def __post_init__(self) -> None:
        check_profile("TDL", self.name, self.delay_spread_s, self.doppler_hz)

    def waves(self, random: Random) -> Waves:
        """As `Profile.waves`."""
        delay_s, power, sight = _table(self.name, self.delay_spread_s)
        shape = len(power), NUM_WAVES
        amplitude = random.complex_normal(shape, "waves") * (power / NUM_WAVES).sqrt().float()[:, None]
        doppler_hz = self.doppler_hz * torch.cos(sector_angles(random, shape))
        if sight == 0:
            return Waves(delay_s, amplitude, doppler_hz)
        # The line of sight is one more wave of the first tap; the other taps get one without power.
        phase = 2 * math.pi * random.uniform((), "phase")
        extra = torch.zeros(*phase.shape, len(power), 1, dtype=amplitude.dtype)
        extra[..., 0, 0] = phasor(math.sqrt(sight), phase)
        shift = torch.full(extra.shape, SIGHT_DOPPLER * self.doppler_hz, dtype=doppler_hz.dtype)
        return Waves(delay_s, torch.cat([amplitude, extra], -1), torch.cat([doppler_hz, shift], -1))

    def correlation(self, frequency_hz: Tensor, time_s: Tensor) -> Tensor:
        """As `Profile.correlation`."""
        delay_s, power, sight = _table(self.name, self.delay_spread_s)
        delays = (power * torch.exp(-2j * math.pi * frequency_hz.double().unsqueeze(-1) * delay_s)).sum(-1)
        # All taps have the same Doppler spectrum, so that the correlation is a product of one over delays and one over
        # time; the line of sight has no delay.
        scattered = torch.special.bessel_j0(2 * math.pi * self.doppler_hz * time_s.double())
        seen = sight * torch.exp(2j * math.pi * SIGHT_DOPPLER * self.doppler_hz * time_s.double())
        correlation: Tensor = delays * scattered + seen
        return correlation


def check_profile(kind: str, name: str, delay_spread_s: float, doppler_hz: float) -> None:
    """Raises `ConfigError` for a name, delay spread or Doppler shift that no profile of TR 38.901 has."""
    if name not in ("A", "B", "C", "D", "E"):
        raise ConfigError(f"name: there is no {kind}-{name}; must be A, B, C, D or E")
    check_range(0.0 <= delay_spread_s <= 1e-5, "delay_spread_s", delay_spread_s, "0 to 1e-5 s")
    check_range(0.0 <= doppler_hz <= 1e4, "doppler_hz", doppler_hz, "0 to 1e4 Hz")


# Sionna reads its tables from a file, which takes longer than drawing the waves.
@lru_cache(maxsize=32)
def _table(name: str, delay_spread_s: float) -> tuple[Tensor, Tensor, float]:
    """[num_taps] delays in s, [num_taps] powers of the scattered waves, power of the line of sight; float64, sum 1."""
    from sionna.phy.channel.tr38901 import TDL

    model: Any = TDL(name, delay_spread=1.0, carrier_frequency=3.5e9)
    power, sight = model.mean_powers.double().clone(), 0.0
    if model.los:
        # Sionna's power of the first tap includes the line of sight.
        sight = float(model.mean_power_los)
        power[0] -= sight
    scale = float(power.sum()) + sight
    return model.delays.double() * delay_spread_s, power / scale, sight / scale
