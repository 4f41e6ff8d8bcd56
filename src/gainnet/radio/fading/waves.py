"""Plane waves with delays and Doppler shifts: the frequency response of a channel at any frequency and time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, final

import torch
from torch import Tensor

from gainnet.core.randomness import Random


@final
@dataclass(frozen=True)
class Waves:
    r"""Waves by path: all waves of a path arrive together.

    $h(f, t) = \sum_l e^{-j 2\pi f \tau_l} \sum_n a_{l,n} e^{j 2\pi \nu_{l,n} t}$

    Args:
        delay_s: [num_paths], $\tau$.
        amplitude: [*batch, num_paths, num_waves], complex $a$.
        doppler_hz: [*batch, num_paths, num_waves], $\nu$.
    """

    delay_s: Tensor
    amplitude: Tensor
    doppler_hz: Tensor

    def response(self, frequency_hz: Tensor, time_s: Tensor) -> Tensor:
        """[*batch, num_times, num_frequencies], complex64, on a grid.

        Args:
            frequency_hz: [num_frequencies], from the middle of the band.
            time_s: [num_times].
        """
        # Waves of a path are summed over time before frequencies come in: a product of matrices, not of all with all.
        taps = (self.amplitude.unsqueeze(-1) * rotation(self.doppler_hz.double().unsqueeze(-1) * time_s.double())).sum(
            -2
        )
        return torch.matmul(taps.transpose(-1, -2), rotation(-self.delay_s.double()[:, None] * frequency_hz.double()))


class Profile(Protocol):
    """A model of delays, powers and angles, which waves are drawn from."""

    def waves(self, random: Random) -> Waves:
        """Waves of every item [*batch], sum of E|a|^2 = 1."""

    def correlation(self, frequency_hz: Tensor, time_s: Tensor) -> Tensor:
        r"""[...], complex128, $E[h(f_0 + f, t_0 + t) h(f_0, t_0)^*]$; both arguments [...] and broadcast together."""


def phasor(magnitude: float, phase: Tensor) -> Tensor:
    """[...], complex numbers of one magnitude with phases [...] in rad."""
    return torch.polar(torch.full_like(phase, magnitude), phase)


def rotation(cycles: Tensor) -> Tensor:
    """[...], complex64, $e^{j 2 pi c}$ of cycles [...]."""
    # Whole turns are taken off in double precision, in which late times keep their phase; the rest is fast in single.
    return phasor(1.0, (2 * math.pi * (cycles - cycles.round())).float())


def sector_angles(random: Random, shape: tuple[int, ...]) -> Tensor:
    """[*batch, *shape], float64 angles of arrival in rad, one uniform in each of as many sectors as the last dimension.

    One in each sector: the correlation over time is then that of waves from everywhere, exactly in the mean.
    """
    sector = torch.arange(shape[-1]) + random.uniform(shape, "angles").double()
    return 2 * math.pi / shape[-1] * sector
