"""Mutual information of coded bits, which adds up over the attempts of a codeword."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, final

import numpy as np
import torch
from torch import Tensor

from gainnet.core.units import db_to_linear, linear_to_db
from gainnet.radio.coding.bler import BlerTables
from gainnet.radio.coding.mcs import LADDER

_GRID_DB: Final = (-40.0, 50.0, 226)
_NUM_NODES: Final = 48


def bit_information(bits_per_symbol: int, snr: Tensor) -> Tensor:
    r"""Mutual information of one coded bit of Gray-mapped QAM with bit-wise demapping.

    $J = 1 - E \log_2(1 + e^{-(1 - 2b) L})$, $L$ the log-likelihood ratio of the bit (Caire, Taricco and Biglieri 1998)

    Args:
        bits_per_symbol: 2, 4, 6 or 8.
        snr: [...], Es/N0, linear.

    Returns:
        [...], bits in [0, 1], float64.

    >>> bit_information(2, torch.tensor([0.0, 1.0, 100.0])).round(decimals=3).tolist()
    [0.0, 0.486, 1.0]
    """
    # Below the grid the information of a bit is proportional to the SNR.
    grid, information = _curve(bits_per_symbol)
    snr_db = linear_to_db(snr.double().clamp_min(1e-30))
    below = information[0] * db_to_linear(snr_db - grid[0])
    return torch.where(snr_db < grid[0], below, interpolated(snr_db, grid, information))


def snr_db_of_information(bits_per_symbol: int, information: Tensor) -> Tensor:
    """[...], Es/N0 in dB at which a coded bit carries `information` [...] bits; the inverse of `bit_information`.

    >>> round(snr_db_of_information(4, bit_information(4, torch.tensor([2.0]))).item(), 2)
    3.01
    """
    grid, curve = _curve(bits_per_symbol)
    # Where the curve has reached 1 it is flat, and has no inverse.
    rising = int((curve < 1 - 1e-9).sum()) + 1
    below = grid[0] + linear_to_db(information.double().clamp_min(1e-30) / curve[0])
    return torch.where(information < curve[0], below, interpolated(information.double(), curve[:rising], grid[:rising]))


@final
@dataclass(frozen=True)
class Accumulated:
    r"""Information that a receiver has of codewords, over all attempts.

    Args:
        information: [num_codewords], $\sum_i E_i J(\gamma_i)$ over attempts of $E_i$ coded bits each, in bits.
        num_bits: [num_codewords], $\sum_i E_i$.
    """

    information: Tensor
    num_bits: Tensor

    def bler(self, tables: BlerTables, mcs_index: int, num_information_bits: int) -> Tensor:
        r"""[num_codewords], block error rate of the combined codeword.

        The mean information per bit $\bar J$ is as good as one transmission at rate $k / \sum E_i$ and the SNR
        $J^{-1}(\bar J)$ (Wan, Tsai and Almgren 2006; Brueninghaus et al. 2005); median and spread at that rate are
        interpolated between the schemes of the table, at equal information per bit.
        """
        code = _code(tables, mcs_index, num_information_bits)
        rate = num_information_bits / self.num_bits
        bits_per_symbol = LADDER[mcs_index].bits_per_symbol
        overhead, spread = interpolated_all(rate.log(), code.log_rate, (code.overhead, code.spread_db))
        needed = rate * overhead
        received_db = snr_db_of_information(bits_per_symbol, self.information / self.num_bits)
        margin_db = received_db - snr_db_of_information(bits_per_symbol, needed.clamp_max(1 - 1e-6))
        bler: Tensor = torch.special.ndtr(-margin_db / spread)
        return bler


def highest_scheme(bits_per_symbol: int) -> int:
    """Index of the fastest scheme of a modulation; stands for all rates of it in `Accumulated.bler`.

    >>> highest_scheme(2)
    10
    """
    return max(i for i, mcs in enumerate(LADDER) if mcs.bits_per_symbol == bits_per_symbol)


@final
@dataclass(frozen=True)
class _Code:
    """One code length over rates [num_points]: information per bit over rate at the median, and spread in dB."""

    log_rate: Tensor
    overhead: Tensor
    spread_db: Tensor


# One per format of a codeword; a transfer asks for the same few again and again.
@lru_cache(maxsize=4096)
def _code(tables: BlerTables, mcs_index: int, num_information_bits: int) -> _Code:
    """Schemes of the codeword's modulation, and below their rates those of lower modulations."""
    # From the fastest scheme down, keeping those that lower the rate: at equal rate the higher modulation comes first.
    order, lowest, chosen = LADDER[mcs_index].bits_per_symbol, math.inf, []
    for index in range(len(LADDER) - 1, -1, -1):
        mcs = LADDER[index]
        if mcs.bits_per_symbol <= order and mcs.code_rate < lowest:
            chosen.append(index)
            lowest = mcs.code_rate
    schemes, length = torch.tensor(chosen[::-1]), torch.tensor(num_information_bits)
    rate = torch.tensor([LADDER[i].code_rate for i in schemes.tolist()], dtype=torch.float64)
    median = tables.required_snr_db(schemes, length, 0.5)
    spread = tables.required_snr_db(schemes, length, float(torch.special.ndtr(torch.tensor(-1.0)))) - median
    orders = (LADDER[i].bits_per_symbol for i in schemes.tolist())
    at_median = [bit_information(n, db_to_linear(m)) for n, m in zip(orders, median, strict=True)]
    return _Code(rate.log(), torch.stack(at_median) / rate, spread)


# One curve per modulation; the quadrature takes a second.
@lru_cache(maxsize=4)
def _curve(bits_per_symbol: int) -> tuple[Tensor, Tensor]:
    """SNR grid in dB and information per bit, by Gauss-Hermite quadrature over one real dimension."""
    snr_db = np.linspace(*_GRID_DB)
    levels, labels = _gray_levels(bits_per_symbol // 2)
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NUM_NODES)
    weights = weights / weights.sum()
    found = []
    # Square QAM is two independent real dimensions, each with half of the bits.
    for snr in db_to_linear(snr_db):
        # Per real dimension: y = level + noise of variance 1 / (2 snr).
        received = levels[:, None] + nodes / math.sqrt(2 * snr)
        metric = -snr * (received[..., None] - levels) ** 2
        found.append(np.mean([_information_of_bit(metric, labels[:, b], weights) for b in range(labels.shape[1])]))
    # Quadrature leaves ripples of 1e-12 near 1; an inverse needs a curve that does not fall.
    information = np.maximum.accumulate(np.array(found))
    return torch.from_numpy(snr_db), torch.from_numpy(information)


def _information_of_bit(metric: np.ndarray, label: np.ndarray, weights: np.ndarray) -> float:
    one, zero = (np.logaddexp.reduce(metric[..., label == value], axis=-1) for value in (1, 0))
    wrong = np.where(label[:, None] == 1, zero - one, one - zero)
    return 1.0 - float((np.logaddexp(0.0, wrong) @ weights).mean()) / math.log(2)


def _gray_levels(num_bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Amplitudes of Gray-labelled PAM with power 1/2, and their labels [num_levels, num_bits]."""
    num = 2**num_bits
    code = np.arange(num) ^ (np.arange(num) >> 1)
    amplitude = 2.0 * np.arange(num) - (num - 1)
    labels = (code[:, None] >> np.arange(num_bits)) & 1
    return amplitude * math.sqrt(0.5 / np.mean(amplitude**2)), labels


def interpolated(x: Tensor, at: Tensor, values: Tensor) -> Tensor:
    """[...], linear between points and constant beyond them; `at` rises."""
    (found,) = interpolated_all(x, at, (values,))
    return found


def interpolated_all(x: Tensor, at: Tensor, values: Sequence[Tensor]) -> list[Tensor]:
    """[...] each, as `interpolated`, of several values at the same points, whose neighbours are looked up once."""
    clamped = x.clamp(float(at[0]), float(at[-1]))
    right = torch.searchsorted(at, clamped).clamp(1, len(at) - 1)
    step = (at[right] - at[right - 1]).clamp_min(1e-300)
    share = (clamped - at[right - 1]) / step
    return [each[right - 1] + share * (each[right] - each[right - 1]) for each in values]
