"""The resource grid of OFDM: which elements carry content, which carry pilots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError, check_range


@final
@dataclass(frozen=True)
class Grid:
    """Elements of one slot, subcarrier by subcarrier within a symbol, symbol after symbol.

    Pilots stand on every second subcarrier of some symbols, as the type-1 demodulation reference signals of TS 38.211,
    section 7.4.1.1, with one additional position; content takes all other elements.

    Args:
        num_subcarriers: an even number >= 4; 72 at 15 kHz are 1.08 MHz.
        spacing_hz: subcarrier spacing.
        num_symbols: OFDM symbols of a slot.
        pilot_symbols: symbols with pilots, rising.

    Raises:
        ConfigError: a field out of range.

    >>> Grid().slot_length, Grid().num_pilots
    (936, 72)
    """

    num_subcarriers: int = 72
    spacing_hz: float = 15e3
    num_symbols: int = 14
    pilot_symbols: tuple[int, ...] = (2, 11)

    def __post_init__(self) -> None:
        if self.num_subcarriers < 4 or self.num_subcarriers % 2:
            raise ConfigError(f"num_subcarriers: {self.num_subcarriers} does not fit; must be even and 4 or more")
        check_range(self.spacing_hz > 0.0, "spacing_hz", self.spacing_hz, "a positive number of Hz")
        symbols = self.pilot_symbols
        # As a set of allowed numbers in order: this refuses repeated, falling, negative and too large ones at once.
        if not symbols or list(symbols) != sorted(set(symbols) & set(range(self.num_symbols))):
            raise ConfigError(f"pilot_symbols: {symbols} do not fit; must be rising and below {self.num_symbols}")

    @property
    def slot_length(self) -> int:
        """Content elements of a slot."""
        return self.num_symbols * self.num_subcarriers - self.num_pilots

    @property
    def num_pilots(self) -> int:
        """Pilot elements of a slot."""
        return len(self.pilot_symbols) * self.num_subcarriers // 2

    @property
    def symbol_s(self) -> float:
        """Duration of an OFDM symbol with its cyclic prefix; 14 of them take 1 ms at 15 kHz."""
        return 15.0 / 14.0 / self.spacing_hz

    @property
    def slot_s(self) -> float:
        return self.num_symbols * self.symbol_s

    def frequency_hz(self) -> Tensor:
        """[num_subcarriers], from the middle of the band, float64."""
        number = torch.arange(self.num_subcarriers, dtype=torch.float64)
        return (number - (self.num_subcarriers - 1) / 2) * self.spacing_hz

    def time_s(self) -> Tensor:
        """[num_symbols], float64."""
        return torch.arange(self.num_symbols, dtype=torch.float64) * self.symbol_s

    def is_pilot(self) -> Tensor:
        """[num_symbols, num_subcarriers], bool."""
        mask = torch.zeros(self.num_symbols, self.num_subcarriers, dtype=torch.bool)
        mask[torch.tensor(self.pilot_symbols), ::2] = True
        return mask

    def content(self) -> Tensor:
        """[slot_length], index of the content elements in the flattened slot, in the order of channel uses."""
        return (~self.is_pilot()).flatten().nonzero().squeeze(-1)

    def pilots(self) -> Tensor:
        """[num_pilots], index of the pilots in the flattened slot."""
        return self.is_pilot().flatten().nonzero().squeeze(-1)
