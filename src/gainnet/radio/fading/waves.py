"""Many plane waves with delays and Doppler shifts: the frequency response of a channel, anywhere and at any time."""

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
        cycles = self.doppler_hz.double().unsqueeze(-1) * time_s.double()
        taps = (self.amplitude.unsqueeze(-1) * turned(cycles)).sum(-2)
        return torch.matmul(taps.transpose(-1, -2), turned(-self.delay_s.double()[:, None] * frequency_hz.double()))


class Profile(Protocol):
    """A model of delays, powers and angles: what waves are drawn from, and their correlation."""

    def waves(self, random: Random) -> Waves:
        """Waves of every item, sum of E|a|^2 = 1."""

    def correlation(self, frequency_hz: Tensor, time_s: Tensor) -> Tensor:
        r"""[...], complex128, $E[h(f_0 + f, t_0 + t) h(f_0, t_0)^*]$; both arguments [...] and broadcast together."""


def turned(cycles: Tensor) -> Tensor:
    """[...], complex64, $e^{j 2 pi c}$ of cycles in double precision; whole turns are taken off first."""
    phase = (2 * math.pi * (cycles - cycles.round())).float()
    return torch.polar(torch.ones_like(phase), phase)
