"""OFDM over delay profiles of TR 38.901: a gain for every resource element, and a receiver that estimates it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, final

import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.core.types import Symbols
from gainnet.radio.fading.awgn import add_noise
from gainnet.radio.fading.blocks import Slots
from gainnet.radio.fading.estimation import Estimator, Filter, Lmmse
from gainnet.radio.fading.grid import Grid
from gainnet.radio.fading.tdl import Tdl
from gainnet.radio.fading.waves import Profile, Waves

_REPORT_SYMBOLS = 3
_REPORT_STEP = 6


@final
@dataclass(frozen=True)
class Ofdm:
    r"""Channel uses are the content elements of OFDM slots behind a delay profile.

    content --> grid with pilots --> $y_{k,t} = h_{k,t} s_{k,t} + n_{k,t}$ --> $\hat h$ --> symbols

    Received symbols hold $\hat h$ as gain and $\sigma^2 + E|h - \hat h|^2$ as noise variance: an estimation error is
    noise to symbols of unit power. The cyclic prefix is longer than the delays, and Doppler shifts are small against
    the subcarrier spacing, so elements do not disturb each other. Pilots are not counted as
    channel uses; they are the same for everything that is sent.

    Args:
        profile: delays, powers, angles.
        grid: subcarriers, symbols and pilots.
        estimator: estimates gains from the pilots.

    >>> random = Random.of([3])
    >>> received = Ofdm().transmit(torch.ones(1, 8) + 0j, torch.tensor([100.0]), Ofdm().first_gain(random), random)
    >>> bool((received.noise_variance > 0.01).all())
    True
    """

    profile: Profile = Tdl()
    grid: Grid = Grid()
    estimator: Estimator = Lmmse()

    @property
    def block_length(self) -> int:
        """1: every element has its own gain."""
        return 1

    @property
    def slot_length(self) -> int:
        """Channel uses of a slot, of which one report speaks."""
        return self.grid.slot_length

    @property
    def blocks(self) -> Slots:
        """Slots, each with many gains."""
        return Slots(self.slot_length, self.slot_gains)

    def first_gain(self, random: Random) -> Tensor:
        """[*batch], gain of the first element."""
        time, subcarrier = divmod(int(self.grid.content()[0]), self.grid.num_subcarriers)
        place = self.grid.frequency_hz()[subcarrier, None], self.grid.time_s()[time, None]
        return self.profile.waves(random).response(*place)[..., 0, 0]

    def slot_gains(self, random: Random, slot: int) -> Tensor:
        """[*batch, num_gains], complex gains spread over a slot, which a report of the slot is about.

        Args:
            random: streams of the realisation.
            slot: its number; negative ones were before.
        """
        grid = self.grid
        frequency_hz = grid.frequency_hz()[_REPORT_STEP // 2 :: _REPORT_STEP]
        time_s = grid.slot_s * (slot + (torch.arange(_REPORT_SYMBOLS, dtype=torch.float64) + 0.5) / _REPORT_SYMBOLS)
        return self.profile.waves(random).response(frequency_hz, time_s).flatten(-2)

    def transmit(self, symbols: Tensor, snr: Tensor, gain: Tensor, random: Random) -> Symbols:
        """Symbols behind estimated gains; arguments as in `Channel.transmit`.

        A first gain that is not the realisation's own moves all gains with it, by their correlation with it.
        """
        num, waves = symbols.shape[-1], self.profile.waves(random)
        slots = range(max(1, -(-num // self.slot_length)))
        grids = self._given_first(torch.stack([self._slot(waves, slot) for slot in slots], -2), gain)
        content = grids[..., self.grid.content()]
        received = add_noise(symbols, content.flatten(-2)[..., :num], snr, random)
        known, error = (x.flatten(-2)[..., :num] for x in self._estimate(grids, snr, random, content))
        noise_variance = received.noise_variance + error.to(received.noise_variance.dtype)
        return Symbols(received.values, known.to(symbols.dtype), noise_variance)

    def _slot(self, waves: Waves, slot: int) -> Tensor:
        """[*batch, num_symbols * num_subcarriers], gains of all elements of a slot."""
        return waves.response(self.grid.frequency_hz(), self.grid.time_s() + slot * self.grid.slot_s).flatten(-2)

    def _given_first(self, grids: Tensor, gain: Tensor) -> Tensor:
        """[*batch, num_slots, num_elements], gains given the first one [*batch]."""
        first = int(self.grid.content()[0])
        shift = gain.to(grids.dtype) - grids[..., 0, first]
        if bool((shift.abs() < 1e-6).all()):
            return grids
        # Conditional mean of a Gaussian process: the shift of one gain moves all others by their correlation with it.
        tie = _correlation_with_first(self, grids.shape[-2])
        return grids + tie * shift[..., None, None]

    def _estimate(self, grids: Tensor, snr: Tensor, random: Random, content: Tensor) -> tuple[Tensor, Tensor]:
        """[*batch, num_slots, slot_length], gains as known and the variance of their error."""
        known, error, pilots = content.clone(), torch.zeros(content.shape), grids[..., self.grid.pilots()]
        # A stream of its own, so that an estimator does not change the noise of the content.
        noise = random.complex_normal(pilots.shape[len(random.batch) :], "pilot noise")
        # A filter per SNR: usually there is one for the whole batch.
        for level in snr.unique().tolist():
            if (chosen := _filter(self, 1.0 / level)) is None:
                continue
            rows = snr == level
            received = pilots[rows] + (1.0 / level) ** 0.5 * noise[rows]
            known[rows] = received @ chosen.weights.T
            error[rows] = chosen.error_variance.expand(error[rows].shape)
        return known, error


# A filter costs more than a thousand slots. Keyed by the channel, which is a value; its estimator is any object.
@lru_cache(maxsize=64)
def _filter(channel: Any, noise_variance: float) -> Filter | None:
    design: Filter | None = channel.estimator.design(channel.profile, channel.grid, noise_variance)
    return design


@lru_cache(maxsize=64)
def _correlation_with_first(channel: Any, num_slots: int) -> Tensor:
    """[num_slots, num_elements], complex64, of every element with the first one that carries content."""
    grid: Grid = channel.grid
    frequency = grid.frequency_hz().repeat(grid.num_symbols)
    time = grid.time_s().repeat_interleave(grid.num_subcarriers)
    first = int(grid.content()[0])
    slots = grid.slot_s * torch.arange(num_slots, dtype=torch.float64)[:, None]
    tie: Tensor = channel.profile.correlation(
        (frequency - frequency[first]).expand(num_slots, -1), slots + time - time[first]
    )
    return tie.to(torch.complex64)
