"""Channel estimation at the receiver: perfect knowledge, or an estimate from pilots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, final

import torch
from torch import Tensor

from gainnet.radio.fading.grid import Grid
from gainnet.radio.fading.waves import Profile

_LEAST_NOISE = 1e-9
"""Keeps a noiseless LMMSE solvable."""


@final
@dataclass(frozen=True)
class Filter:
    """A linear estimate of all content elements of a slot from its pilots.

    Args:
        weights: [slot_length, num_pilots], complex64; estimate = weights @ received pilots.
        error_variance: [slot_length], mean squared error of the estimate, float32.
    """

    weights: Tensor
    error_variance: Tensor


class Estimator(Protocol):
    """A way to estimate a channel."""

    def design(self, profile: Profile, grid: Grid, noise_variance: float) -> Filter | None:
        """The filter for a profile, pilots and N0 / Es; `None` for a receiver that knows the channel."""


@final
@dataclass(frozen=True)
class Known:
    """Perfect channel knowledge, which no receiver has."""

    def design(self, profile: Profile, grid: Grid, noise_variance: float) -> None:
        """Nothing to estimate."""


@final
@dataclass(frozen=True)
class LeastSquares:
    r"""Pilots divided by what was sent, straight lines between them; held beyond the outermost.

    Over frequency first, then over time, as Sionna's `LSChannelEstimator` with `interpolation_type="lin"` between the
    pilots; Sionna goes on along the last line beyond them, which amplifies noise, and this holds the last value.
    """

    def design(self, profile: Profile, grid: Grid, noise_variance: float) -> Filter:
        """As `Estimator.design`; the error is $R_{cc} - 2\\Re(W R_{pc}) + W (R_{pp} + \\sigma^2 I) W^H$."""
        # Lines over frequency, then over time, are one linear map of all pilots: a Kronecker product.
        across = _lines(torch.arange(0, grid.num_subcarriers, 2), grid.num_subcarriers)
        along = _lines(torch.tensor(grid.pilot_symbols), grid.num_symbols)
        weights = torch.kron(along, across)[grid.content()].to(torch.complex128)
        between, among = _correlations(profile, grid)
        noisy = among + noise_variance * torch.eye(len(among), dtype=among.dtype)
        power = _power(profile)
        error = power - 2 * (weights * between.conj()).sum(-1).real + ((weights @ noisy) * weights.conj()).sum(-1).real
        return Filter(weights.to(torch.complex64), error.clamp_min(0.0).float())


@final
@dataclass(frozen=True)
class Lmmse:
    r"""Best linear estimate for a receiver that knows delays, powers and Doppler shift, but no realisation.

    $\hat h = R_{cp} (R_{pp} + \sigma^2 I)^{-1} y_p$, error $R_{cc} - R_{cp} (R_{pp} + \sigma^2 I)^{-1} R_{pc}$
    (Kay 1993, section 12; van de Beek et al. 1995)

    >>> from gainnet.radio.fading.tdl import Tdl
    >>> profile, grid = Tdl("C"), Grid(num_subcarriers=12)
    >>> Known().design(profile, grid, noise_variance=0.1) is None
    True
    >>> found = Lmmse().design(profile, grid, noise_variance=0.1)
    >>> lines = LeastSquares().design(profile, grid, noise_variance=0.1)
    >>> found.weights.shape == lines.weights.shape  # every content element from every pilot
    True
    >>> bool(found.error_variance.mean() < lines.error_variance.mean())
    True
    """

    def design(self, profile: Profile, grid: Grid, noise_variance: float) -> Filter:
        """As `Estimator.design`."""
        between, among = _correlations(profile, grid)
        noisy = among + max(noise_variance, _LEAST_NOISE) * torch.eye(len(among), dtype=among.dtype)
        weights = torch.linalg.solve(noisy, between.mH).mH
        error = _power(profile) - (weights * between.conj()).sum(-1).real
        return Filter(weights.to(torch.complex64), error.clamp_min(0.0).float())


def _power(profile: Profile) -> float:
    zero = torch.zeros(())
    return float(profile.correlation(zero, zero).real)


def _correlations(profile: Profile, grid: Grid) -> tuple[Tensor, Tensor]:
    """[slot_length, num_pilots] between content and pilots, [num_pilots, num_pilots] among pilots."""
    # The process is stationary, so that only differences of frequency and time matter, and there are few of them.
    subcarriers, symbols = torch.arange(1 - grid.num_subcarriers, grid.num_subcarriers), grid.num_symbols
    steps_s = torch.arange(1 - symbols, symbols).double()[:, None] * grid.symbol_s
    table = profile.correlation(subcarriers.double() * grid.spacing_hz, steps_s)
    content, pilots = grid.content(), grid.pilots()

    def of(rows: Tensor) -> Tensor:
        time, subcarrier = rows // grid.num_subcarriers, rows % grid.num_subcarriers
        step = time[:, None] - pilots // grid.num_subcarriers + symbols - 1
        return table[step, subcarrier[:, None] - pilots % grid.num_subcarriers + grid.num_subcarriers - 1]

    return of(content), of(pilots)


def _lines(at: Tensor, num: int) -> Tensor:
    """[num, len(at)], float64: linear interpolation between given places, constant beyond them."""
    place = torch.arange(num, dtype=torch.float64).clamp(float(at[0]), float(at[-1]))
    if len(at) == 1:
        return torch.ones(num, 1, dtype=torch.float64)
    right = torch.searchsorted(at.double(), place).clamp(1, len(at) - 1)
    share = (place - at[right - 1]) / (at[right] - at[right - 1])
    rows = torch.arange(num)
    weights = torch.zeros(num, len(at), dtype=torch.float64)
    weights[rows, right - 1] = 1 - share
    weights[rows, right] = share
    return weights
