"""Decibels and back."""

from __future__ import annotations

import math

import pytest
import torch

from gainnet.core.units import db_to_linear, linear_to_db, psnr_db_of_mse


@pytest.mark.parametrize(
    ("x_db", "x"), [(0, 1), (10, 10), (-10, 0.1), (30, 1000), (math.inf, math.inf), (-math.inf, 0)]
)
def test_known_ratios(x_db: float, x: float) -> None:
    assert db_to_linear(x_db) == pytest.approx(x)
    assert linear_to_db(x) == pytest.approx(x_db)


@pytest.mark.parametrize("x_db", [-37.5, -3.0, 0.25, 17.0])
def test_there_and_back(x_db: float) -> None:
    assert linear_to_db(db_to_linear(x_db)) == pytest.approx(x_db)


def test_psnr_of_torchmetrics() -> None:
    from torchmetrics.functional.image import peak_signal_noise_ratio

    torch.manual_seed(0)
    a, b = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
    ours = psnr_db_of_mse((a - b).square().mean())
    assert float(ours) == pytest.approx(float(peak_signal_noise_ratio(a, b, data_range=1.0)), abs=1e-4)
    assert math.isinf(float(psnr_db_of_mse(torch.zeros(()))))
