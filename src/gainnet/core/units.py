"""The only place where decibels become numbers, and numbers decibels."""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
from torch import Tensor

X = TypeVar("X", float, Tensor)
T = TypeVar("T", float, Tensor, np.ndarray)


def db_to_linear(x_db: T) -> T:
    r"""Linear ratio of a value in decibels, $10^{x/10}$.

    Args:
        x_db: [...], value in dB; `inf` gives `inf`.

    >>> db_to_linear(10.0)
    10.0
    """
    ratio: T = 10.0 ** (x_db / 10.0)
    return ratio


def linear_to_db(x: X) -> X:
    r"""Decibels of a linear ratio, $10 \log_{10} x$.

    Args:
        x: [...], ratio >= 0; 0 gives `-inf`.

    >>> linear_to_db(100.0)
    20.0
    """
    if isinstance(x, Tensor):
        return 10 * x.log10()
    # torch gives -inf for the logarithm of 0, math.log10 raises.
    if x == 0.0:
        return -math.inf
    return math.inf if math.isinf(x) else 10.0 * math.log10(x)


def log_normal(deviation_db: float, standard_normal: Tensor) -> Tensor:
    r"""Linear factor whose decibels are Gaussian, $10^{\sigma z / 10}$.

    Args:
        deviation_db: standard deviation $\sigma$ in dB, >= 0.
        standard_normal: [...], draws $z$.

    Returns:
        [...], linear.

    >>> import torch
    >>> log_normal(3.0, torch.tensor([-1.0, 0.0, 1.0])).round(decimals=3)
    tensor([0.5010, 1.0000, 1.9950])
    """
    factor: Tensor = 10 ** (deviation_db / 10 * standard_normal)
    return factor


def psnr_db_of_mse(mse: Tensor) -> Tensor:
    r"""Peak signal-to-noise ratio of values in [0, 1], $-10 \log_{10} \mathrm{MSE}$.

    Args:
        mse: [...], mean squared error; 0 gives `inf`.

    >>> import torch
    >>> float(psnr_db_of_mse(torch.tensor(0.01)))
    20.0
    """
    return -linear_to_db(mse)
