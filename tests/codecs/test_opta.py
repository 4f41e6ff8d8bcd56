"""Reverse water-filling against numerical optimisation, and the test channel against its own distortion."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor

from gainnet.codecs import SeedBasis, backward_test_channel, gaussian_opta, linear_mse, reverse_water_filling
from gainnet.core.randomness import Random
from gainnet.core.types import Spec


@pytest.mark.parametrize("rate_bits", [0.0, 0.5, 3.0, 20.0, 90.0])
def test_distortion_is_that_of_a_numerical_optimum(basis: SeedBasis, rate_bits: float) -> None:
    """Least sum of lambda_i 2^(-2 r_i) over rates r_i >= 0 that sum to R."""
    variances = basis.variances.double().numpy()

    def distortion(rates: np.ndarray) -> float:
        return float((variances * 4.0**-rates).sum())

    start = np.full(len(variances), rate_bits / len(variances))
    budget = {"type": "eq", "fun": lambda r: r.sum() - rate_bits}
    options = {"ftol": 1e-15, "maxiter": 3000}
    bounds = [(0, rate_bits + 1)] * len(start)
    found = minimize(distortion, start, bounds=bounds, constraints=[budget], method="SLSQP", options=options)
    closed = float(reverse_water_filling(basis.variances, torch.tensor(rate_bits)).sum())
    assert closed == pytest.approx(found.fun, rel=1e-4)


def test_rates_of_the_distortions_sum_to_the_rate(basis: SeedBasis) -> None:
    rates = torch.tensor([0.1, 2.0, 33.0, 400.0])
    distortion = reverse_water_filling(basis.variances, rates)
    spent = (0.5 * (basis.variances.double() / distortion).log2()).sum(-1)
    torch.testing.assert_close(spent, rates.double())


def test_no_linear_code_passes_it(basis: SeedBasis) -> None:
    snrs = torch.tensor([0.1, 1.0, 10.0, 100.0])
    for uses in (1, 4, 12):
        limit = gaussian_opta(basis.variances, uses, snrs) * basis.num_values
        assert bool((limit <= linear_mse(basis.variances, uses, snrs) + 1e-9).all())


def test_backward_channel_has_the_distortion_of_the_limit(basis: SeedBasis, latents: Tensor) -> None:
    snr, random = torch.full((len(latents),), 3.0), Random.of(range(len(latents)))
    drawn = backward_test_channel(latents, basis, 5, snr, Spec((2, 12)), random)
    expected = float(gaussian_opta(basis.variances, 5, torch.tensor(3.0)))
    assert float((drawn - latents).square().mean()) == pytest.approx(expected, rel=0.03)
    alone = backward_test_channel(latents[3], basis, 5, snr[3], Spec((2, 12)), Random.of(3))
    torch.testing.assert_close(alone, drawn[3])
