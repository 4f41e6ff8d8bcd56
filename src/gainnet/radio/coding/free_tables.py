"""Block error rates of codewords of any length: curves over SNR that were measured once, and what lies between."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.core.units import db_to_linear, linear_to_db
from gainnet.radio.coding.information import bit_information, interpolated_all, snr_db_of_information

FREE_TABLE_PATH: Final = Path(__file__).parent / "tables" / "free.json"
POLAR_TABLE_PATH: Final = FREE_TABLE_PATH.with_name("polar.json")

RATES: Final = {
    2: (0.2, 0.3, 0.42, 0.55, 0.7, 0.85),
    # One more between the two lowest, where the straight line between them promised 20 % too few errors.
    4: (0.3, 0.36, 0.42, 0.55, 0.7, 0.85),
    6: (0.42, 0.55, 0.7, 0.85),
    8: (0.55, 0.7, 0.85),
}
"""Code rates that were measured, by bits per symbol; lower rates are for lower modulations."""

FREE_LENGTHS: Final = (64, 176, 472)
"""Information bits that were measured: payloads of 6, 20 and 57 bytes with their CRC.

Longer codewords do a little better than the longest of them, which stands in for them.
"""

POLAR_RATES: Final = {2: (0.2, 0.3, 0.42, 0.55, 0.7, 0.85), 4: (0.3, 0.42, 0.55, 0.7, 0.85), 6: (0.42, 0.55, 0.7, 0.85)}
POLAR_LENGTHS: Final = (59, 171)
"""Information bits of polar codes that were measured: payloads of 6 and 20 bytes with their CRC of 11 bits."""

HIGHEST_RATE: Final = 0.9
LOWEST_RATE: Final = 0.2
"""Below it coded bits repeat."""


@final
@dataclass(frozen=True)
class Curves:
    """Curves of one modulation.

    Args:
        log_rate: [num_lengths, num_rates], rising along a row; rates differ by length, since uses are whole.
        overhead: [num_lengths, num_rates], information per coded bit over the code rate where half of the blocks fail.
        spread_db: [num_lengths, num_rates], from there to where a sixth fails.
    """

    log_rate: Tensor
    overhead: Tensor
    spread_db: Tensor


@final
@dataclass(frozen=True)
class Waterfall:
    """Signal-to-noise ratios at which codewords begin to arrive.

    Args:
        needed_db: [...], Es/N0 in dB at which half of the blocks fail.
        spread_db: [...], from there to where a sixth fails.
        too_fast: [...], code rates that are never sent.
    """

    needed_db: Tensor
    spread_db: Tensor
    too_fast: Tensor

    def bler(self, received_db: Tensor) -> Tensor:
        """[...], block error rate, float64, at Es/N0 `received_db` [...] in dB."""
        bler: Tensor = torch.special.ndtr(-(received_db - self.needed_db) / self.spread_db)
        return bler.masked_fill(self.too_fast, 1.0)


@final
@dataclass(frozen=True)
class FreeTables:
    r"""Block error rate of the second LDPC graph over SNR, at any length, rate and modulation.

    $\mathrm{BLER} = Q((\gamma_\mathrm{dB} - \mu) / \sigma)$ with $J(\mu) = r\, o(r, k)$: per coded bit a decoder needs
    the code rate $r$ and some overhead $o$, which is smooth in $\ln r$ and $1/\sqrt k$ and therefore interpolated.

    Args:
        lengths: [num_lengths], information bits, rising.
        curves: by bits per symbol.
    """

    lengths: tuple[int, ...]
    curves: dict[int, Curves]

    def bler(self, bits_per_symbol: int, num_information_bits: int, num_bits: Tensor, snr_db: Tensor) -> Tensor:
        """[...], block error rate, float64.

        Args:
            bits_per_symbol: 2, 4, 6 or 8.
            num_information_bits: CRC included.
            num_bits: [...], coded bits that arrived; beyond five times the information bits they repeat.
            snr_db: [...], Es/N0 of equal mutual information, in dB.
        """
        rate = num_information_bits / num_bits.double()
        received_db = snr_db + repetition_db(rate)
        return self.waterfall(bits_per_symbol, num_information_bits, rate.clamp_min(LOWEST_RATE)).bler(received_db)

    def waterfall(self, bits_per_symbol: int, num_information_bits: int, rate: Tensor) -> Waterfall:
        """Needs of codewords of code rates `rate` [...], each at least 1/5; other arguments as in `bler`."""
        overhead, spread_db = self._at(self.curves[bits_per_symbol], num_information_bits, rate)
        needed_db = snr_db_of_information(bits_per_symbol, (rate * overhead).clamp_max(1.0 - 1e-6))
        return Waterfall(needed_db, spread_db, rate > HIGHEST_RATE)

    def combined_bler(
        self, bits_per_symbol: int, num_information_bits: int, information: Tensor, num_bits: Tensor
    ) -> Tensor:
        """[...], block error rate of attempts that are decoded together.

        Args:
            bits_per_symbol: of the first attempt.
            num_information_bits: CRC included.
            information: [...], bits that all attempts carry, see `bit_information`.
            num_bits: [...], their coded bits.
        """
        snr_db = snr_db_of_information(bits_per_symbol, information / num_bits)
        return self.bler(bits_per_symbol, num_information_bits, num_bits, snr_db)

    def _at(self, curves: Curves, num_information_bits: int, rate: Tensor) -> tuple[Tensor, Tensor]:
        """[...] each, overhead and spread of curves at a length and rates [...]."""
        grid = [length**-0.5 for length in self.lengths]
        x = min(max(num_information_bits**-0.5, grid[-1]), grid[0])
        right = max(1, min(sum(y > x for y in grid), len(grid) - 1))
        weight = (x - grid[right]) / (grid[right - 1] - grid[right])
        log_rate = rate.log()
        # One look at the points of a length for both: plans ask here thousands of times.
        shorter, longer = (
            interpolated_all(log_rate, curves.log_rate[i], (curves.overhead[i], curves.spread_db[i]))
            for i in (right - 1, right)
        )
        overhead, spread_db = (weight * one + (1 - weight) * other for one, other in zip(shorter, longer, strict=True))
        return overhead, spread_db


@lru_cache(maxsize=4)
def load_free_tables(path: Path = FREE_TABLE_PATH) -> FreeTables:
    """The tables of a JSON file that `make_free_tables` wrote; by default the shipped ones of LDPC codes.

    Raises:
        ConfigError: the file is missing, is no JSON or lacks a curve.

    >>> tables = load_free_tables()
    >>> tables.bler(4, 472, torch.tensor([1000, 1400]), torch.tensor(5.0)).round().tolist()
    [1.0, 0.0]
    """
    try:
        rows = json.loads(path.read_text())["curves"]
        lengths = tuple(sorted({row["num_information_bits"] for row in rows}))
        return FreeTables(lengths, {order: _curves(rows, lengths, order) for order in _orders(rows)})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"free table: {path} cannot be read ({error}); make it anew with make_free_tables") from error


def _orders(rows: list[dict[str, Any]]) -> list[int]:
    return sorted({row["bits_per_symbol"] for row in rows})


def _curves(rows: list[dict[str, Any]], lengths: tuple[int, ...], order: int) -> Curves:
    own = {(r["num_information_bits"], r["rate"]): r for r in rows if r["bits_per_symbol"] == order}
    rates = sorted({rate for _, rate in own})

    def grid(key: str) -> Tensor:
        return torch.tensor([[own[k, rate][key] for rate in rates] for k in lengths], dtype=torch.float64)

    rate = torch.tensor(lengths, dtype=torch.float64)[:, None] / (order * grid("num_channel_uses"))
    needed = bit_information(order, db_to_linear(grid("median_snr_db")))
    return Curves(rate.log(), needed / rate, grid("spread_db"))


def num_uses_at(num_information_bits: int, bits_per_symbol: int, rate: float) -> int:
    """Channel uses of a codeword of about that code rate, not below 1/5."""
    return math.floor(num_information_bits / rate / bits_per_symbol + 1e-9)


def repetition_db(rate: Tensor) -> Tensor:
    """[...], gain in dB of code rates `rate` [...]; below 1/5 bits repeat, which adds signal-to-noise ratio alone."""
    return linear_to_db((LOWEST_RATE / rate).clamp_min(1.0))
