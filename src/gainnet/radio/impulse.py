"""Power gains from a file of impulse responses, as ray tracers give them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gainnet.core.errors import ConfigError, system_reason

_MOST_PAIRS = 1 << 22


@final
@dataclass(frozen=True)
class ImpulseResponses:
    r"""Paths between places of terminals and base stations.

    The mean power gain over a band B is $\sum_{i,j} a_i a_j^* \operatorname{sinc}(B (\tau_i - \tau_j))$: paths that
    arrive closer than 1 / B interfere, the others add their powers.

    Args:
        a: [num_places, num_bases, num_paths], complex amplitude of each path; antennas are averaged.
        tau_s: [num_places, num_bases, num_paths], delay in s.
        place_m: [num_places, 2].

    >>> one = torch.ones(1, 1, 2, dtype=torch.complex128)
    >>> far = ImpulseResponses(one, torch.tensor([[[0.0, 1.0]]]).double(), torch.zeros(1, 2).double())
    >>> round(float(far.gain(torch.zeros(1, 2).double(), torch.tensor([1e6]).double())), 6)
    2.0
    """

    a: Tensor
    tau_s: Tensor
    place_m: Tensor

    @staticmethod
    def read(path: Path) -> ImpulseResponses:
        """The responses of an npz file with `a`, `tau` and `positions`.

        `a` is [num_places, num_bases, num_paths], or with antennas and times as Sionna RT's `paths.cir()` gives it,
        [num_places, num_rx_ant, num_bases, num_tx_ant, num_paths, num_times], of which the first time is taken; `tau`
        [num_places, num_bases, num_paths], or with the antennas between; a `tau` below 0 is no path. `positions`
        [num_places, 2 or 3] in m.

        Raises:
            ConfigError: the file cannot be read, an array is missing, or shapes do not fit.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in ("a", "tau", "positions") if name in file}
        except (OSError, ValueError, EOFError) as error:
            raise ConfigError(
                f"channel.path: {path} cannot be read ({system_reason(error)}); give an npz file"
            ) from None
        if missing := [name for name in ("a", "tau", "positions") if name not in arrays]:
            raise ConfigError(f"channel.path: {path} has no {missing[0]!r}; give a, tau and positions")
        a, tau, positions = arrays["a"], arrays["tau"], arrays["positions"]
        a, tau = _without_antennas(a, tau)
        if a.shape != tau.shape or a.ndim != 3 or positions.shape[:1] != a.shape[:1] or positions.ndim != 2:
            raise ConfigError(
                f"channel.path: a {a.shape}, tau {tau.shape} and positions {positions.shape} do not fit; give "
                "[places, bases, paths], the same, and [places, 2]"
            )
        if not (np.isfinite(a).all() and np.isfinite(positions).all()):
            raise ConfigError(f"channel.path: {path} has values that are not finite; mend it")
        there = np.where(np.isfinite(tau) & (tau >= 0), a, 0)
        return ImpulseResponses(
            torch.from_numpy(there.astype(np.complex128)),
            torch.from_numpy(np.where(np.isfinite(tau), tau, 0).clip(0).astype(np.float64)),
            torch.from_numpy(positions[:, :2].astype(np.float64)),
        )

    @property
    def num_bases(self) -> int:
        """Base stations."""
        return self.a.shape[1]

    def gain(self, terminal_m: Tensor, band_hz: Tensor) -> Tensor:
        """[num_terminals, num_bases], mean power gain over a band, at the nearest place.

        Args:
            terminal_m: [num_terminals, 2], positions in m.
            band_hz: [num_terminals], bandwidth B.
        """
        from scipy.spatial import cKDTree

        nearest = torch.from_numpy(cKDTree(self.place_m.numpy()).query(terminal_m.numpy())[1])
        rows = max(1, _MOST_PAIRS // (self.a.shape[1] * self.a.shape[2] ** 2))
        parts = zip(nearest.split(rows), band_hz.split(rows), strict=True)
        return torch.cat([self._gain(index, band) for index, band in parts])

    def _gain(self, index: Tensor, band_hz: Tensor) -> Tensor:
        a, tau = self.a[index], self.tau_s[index]
        apart = torch.sinc(band_hz[:, None, None, None] * (tau.unsqueeze(-1) - tau.unsqueeze(-2)))
        power = (a.unsqueeze(-1) * a.unsqueeze(-2).conj()).real
        # A mean of powers; rounding may leave a little less than nothing.
        return (power * apart).sum((-1, -2)).clamp_min(0.0)


def _without_antennas(
    a: NDArray[np.complex128], tau: NDArray[np.float64]
) -> tuple[NDArray[np.complex128], NDArray[np.float64]]:
    """[num_places, num_bases, num_paths] each; a pair of antennas becomes paths of its own with its share of power."""
    if a.ndim != 6:
        return a, tau
    a = a[..., 0]
    places, receiving, bases, sending, paths = a.shape
    if tau.ndim == 3:
        tau = np.broadcast_to(tau[:, None, :, None, :], a.shape)
    if tau.shape != a.shape:
        return a, tau
    # Antennas are not combined here: the mean of their powers, with paths of different pairs far apart in delay.
    pairs = receiving * sending
    flat = a.transpose(0, 2, 1, 3, 4).reshape(places, bases, pairs, paths) / np.sqrt(pairs)
    late = tau.transpose(0, 2, 1, 3, 4).reshape(places, bases, pairs, paths) + np.arange(pairs)[:, None]
    late = np.where(tau.transpose(0, 2, 1, 3, 4).reshape(late.shape) < 0, -1.0, late)
    return flat.reshape(places, bases, -1), late.reshape(places, bases, -1)
