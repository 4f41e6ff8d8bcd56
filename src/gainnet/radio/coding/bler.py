"""Block error rates of every scheme: tables that were measured once."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError, system_reason
from gainnet.radio.coding.mcs import LADDER

TABLE_PATH: Final = Path(__file__).parent / "tables" / "bler.json"


@final
@dataclass(frozen=True)
class BlerPoint:
    """One measured point of a curve over SNR.

    Args:
        num_trials: codewords sent.
        num_errors: codewords whose CRC failed.
    """

    num_trials: int
    num_errors: int

    def wilson(self, z: float = 1.96) -> tuple[float, float]:
        """Confidence interval of the block error rate (Wilson 1927); 95 % at the default `z`.

        >>> low, high = BlerPoint(100, 0).wilson()
        >>> low, round(high, 3)
        (0.0, 0.037)
        """
        n, p = self.num_trials, self.num_errors / self.num_trials
        centre, spread = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        scale = 1 + z * z / n
        return max(0.0, (centre - spread) / scale) if self.num_errors else 0.0, min(1.0, (centre + spread) / scale)


@final
@dataclass(frozen=True)
class BlerTables:
    r"""Block error rate over SNR of every scheme of the ladder and of some code lengths.

    $\mathrm{BLER} = Q\left((\gamma_\mathrm{dB} - \mu) / \sigma\right)$: a straight line in probit over dB, the
    shape that the normal approximation gives (Polyanskiy, Poor and Verdú 2010), fitted to the points by maximum
    likelihood; it falls monotonically and extends beyond the measured points. Between lengths $\mu$ and $\sigma$ are
    linear in $1/\sqrt{k}$.

    Args:
        lengths: [num_lengths], information bits k of the measured codes, rising.
        median_snr_db: [num_mcs, num_lengths], $\mu$, where half of the codewords fail.
        spread_db: [num_mcs, num_lengths], $\sigma$ > 0.
    """

    lengths: tuple[int, ...]
    median_snr_db: Tensor
    spread_db: Tensor

    def bler(self, mcs_index: Tensor, num_information_bits: Tensor, snr_db: Tensor) -> Tensor:
        """[...], block error rate; all arguments [...] and broadcast together.

        >>> tables = load_bler_tables()
        >>> scheme, length = torch.tensor(8), torch.tensor(1024)
        >>> tables.bler(scheme, length, torch.tensor([-9.0, 9.0])).round().tolist()
        [1.0, 0.0]
        """
        median = self._at(self.median_snr_db, mcs_index, num_information_bits)
        spread = self._at(self.spread_db, mcs_index, num_information_bits)
        probit = (snr_db.double() - median) / spread
        bler: Tensor = torch.special.ndtr(-probit)
        return bler

    def required_snr_db(self, mcs_index: Tensor, num_information_bits: Tensor, target_bler: float) -> Tensor:
        """[...], SNR at which the block error rate is `target_bler`, in dB."""
        probit: Tensor = -torch.special.ndtri(torch.tensor(target_bler, dtype=torch.float64))
        median = self._at(self.median_snr_db, mcs_index, num_information_bits)
        return median + probit * self._at(self.spread_db, mcs_index, num_information_bits)

    def _at(self, values: Tensor, mcs_index: Tensor, num_information_bits: Tensor) -> Tensor:
        # In 1 / sqrt(k) the normal approximation is a straight line; flipped, so that the grid rises.
        grid = torch.tensor(self.lengths, dtype=torch.float64).rsqrt().flip(0)
        x = num_information_bits.double().rsqrt().clamp(float(grid[0]), float(grid[-1]))
        right = torch.searchsorted(grid, x).clamp(1, len(grid) - 1)
        weight = (x - grid[right - 1]) / (grid[right] - grid[right - 1])
        rows = values.flip(-1)
        return (1 - weight) * rows[mcs_index, right - 1] + weight * rows[mcs_index, right]


@lru_cache(maxsize=4)
def load_bler_tables(path: Path = TABLE_PATH) -> BlerTables:
    """The tables of a JSON file that `make_bler_tables` wrote; by default the shipped ones.

    Raises:
        ConfigError: the file is missing, is no JSON or does not cover the ladder.

    >>> tables = load_bler_tables()
    >>> tables.lengths
    (64, 128, 256, 512, 1024)
    >>> slowest, fast = tables.required_snr_db(torch.tensor([0, 20]), torch.tensor([1024, 1024]), 1e-2).tolist()
    >>> slowest < -10.0 < 10.0 < fast
    True
    """
    try:
        curves = json.loads(path.read_text())["curves"]
        lengths = tuple(sorted({c["num_information_bits"] for c in curves}))
        return BlerTables(lengths, *(_grid(curves, lengths, key) for key in ("median_snr_db", "spread_db")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"bler table: {path} cannot be read ({system_reason(error)}); make it anew with make_bler_tables"
        ) from error


def _grid(curves: list[dict[str, Any]], lengths: tuple[int, ...], key: str) -> Tensor:
    by_place = {(c["mcs_index"], c["num_information_bits"]): float(c[key]) for c in curves}
    rows = [[by_place[i, k] for k in lengths] for i in range(len(LADDER))]
    return torch.tensor(rows, dtype=torch.float64)
