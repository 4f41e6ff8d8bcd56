"""The only place where decibels become numbers."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def db_to_linear(x_db: float) -> float:
    r"""Linear ratio of a value in decibels, $10^{x/10}$.

    Args:
        x_db: value in dB; `inf` gives `inf`.

    >>> db_to_linear(10.0)
    10.0
    """
    return float(10.0 ** (x_db / 10.0))


def linear_to_db(x: float) -> float:
    r"""Decibels of a linear ratio, $10 \log_{10} x$.

    Args:
        x: ratio >= 0; 0 gives `-inf`.

    >>> linear_to_db(100.0)
    20.0
    """
    if x == 0.0:
        return -math.inf
    return math.inf if math.isinf(x) else 10.0 * math.log10(x)


def psnr_db_of_mse(mse: Tensor) -> Tensor:
    r"""Peak signal-to-noise ratio of values in [0, 1], $-10 \log_{10} \mathrm{MSE}$.

    Args:
        mse: [...], mean squared error; 0 gives `inf`.

    >>> float(psnr_db_of_mse(torch.tensor(0.01)))
    20.0
    """
    return -10.0 * torch.log10(mse)
