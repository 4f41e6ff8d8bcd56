"""The linear code against numerical optimisation, and its error against the closed form."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor

from gainnet.codecs import LinearCode, SeedBasis, linear_mse, linear_powers
from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.types import Spec, Symbols

SPEC = Spec((2, 12))


def receive(sent: Symbols, gain: Tensor, snr: float, random_seed: int = 0) -> Symbols:
    noise = torch.randn(sent.values.shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(random_seed))
    values = gain * sent.values + noise / math.sqrt(snr)
    return Symbols(values, gain.expand_as(values), torch.full(values.shape, 1 / snr), sent.reported_snr)


def squared_error(x: Tensor, y: Tensor) -> float:
    return float((x - y).square().sum() / len(x))


@pytest.mark.parametrize("num_channel_uses", [1, 2, 5, 12])
@pytest.mark.parametrize("snr", [0.05, 1.0, 30.0])
def test_powers_are_those_of_a_numerical_optimum(basis: SeedBasis, num_channel_uses: int, snr: float) -> None:
    variances = basis.variances.double().numpy()[: 2 * num_channel_uses]

    def error(powers: np.ndarray) -> float:
        return float((variances / (1 + 2 * snr * powers)).sum())

    start = np.full(len(variances), num_channel_uses / len(variances))
    budget = {"type": "eq", "fun": lambda p: p.sum() - num_channel_uses}
    bounds = [(0, None)] * len(start)
    options = {"ftol": 1e-14, "maxiter": 2000}
    found = minimize(error, start, bounds=bounds, constraints=[budget], method="SLSQP", options=options)
    powers = linear_powers(basis.variances, num_channel_uses, torch.tensor(snr))
    assert float(powers.sum()) == pytest.approx(num_channel_uses)
    assert error(powers.numpy()) <= found.fun + 1e-9
    assert error(powers.numpy()) == pytest.approx(found.fun, rel=1e-5)


def test_no_linear_code_of_any_matrix_is_better(basis: SeedBasis) -> None:
    """Encoding matrices of any form, optimised by gradient from random starts, do not beat the closed form."""
    variances, snr, num_channel_uses = basis.variances.double()[:6], 2.0, 2
    best = math.inf
    for start in range(3):
        matrix = torch.randn(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(start))
        matrix.requires_grad_()
        optimizer = torch.optim.LBFGS([matrix], max_iter=300, line_search_fn="strong_wolfe")

        def error(matrix: Tensor = matrix) -> Tensor:
            scale = num_channel_uses / (matrix.square() * variances).sum()
            gram = 2 * snr * scale * matrix.T @ matrix
            return torch.linalg.inv(torch.diag(1 / variances) + gram).trace()

        def step(optimizer: torch.optim.Optimizer = optimizer, matrix: Tensor = matrix) -> Tensor:
            optimizer.zero_grad()
            loss = error(matrix)
            loss.backward()
            return loss

        optimizer.step(step)
        best = min(best, float(error().detach()))
    closed = float(linear_mse(variances, num_channel_uses, torch.tensor(snr)))
    assert closed <= best + 1e-9
    assert closed == pytest.approx(best, rel=1e-3)


@pytest.mark.parametrize("num_channel_uses", [1, 3, 7, 12, 13, 31, 48])
@pytest.mark.parametrize("snr", [0.3, 10.0])
def test_measured_error_is_the_closed_form(
    basis: SeedBasis, latents: Tensor, num_channel_uses: int, snr: float
) -> None:
    codec, reported = LinearCode(num_channel_uses, basis), torch.full((len(latents),), snr)
    sent = codec.encode(latents, reported)
    assert codec.size(SPEC).upper == sent.num_symbols == num_channel_uses
    assert float(sent.values.abs().square().mean()) == pytest.approx(1, rel=0.05)
    received = receive(sent, torch.ones(1, dtype=torch.complex64), snr)
    expected = float(linear_mse(basis.variances, num_channel_uses, torch.tensor(snr)))
    assert squared_error(latents, codec.decode(received, SPEC)) == pytest.approx(expected, rel=0.06)


def test_a_strong_link_gives_the_latents_back(basis: SeedBasis, latents: Tensor) -> None:
    few = latents[:3]
    for uses in (12, 40):
        codec = LinearCode(uses, basis)
        back = codec.decode(codec.encode(few, torch.full((3,), math.inf)), SPEC)
        torch.testing.assert_close(back, few, rtol=0, atol=5e-3)


def test_under_fading_the_receiver_uses_the_gain_of_every_use(basis: SeedBasis, latents: Tensor) -> None:
    """Error per component equals lambda / (1 + p |h|^2 2 snr), and phases change nothing."""
    snr, codec = 4.0, LinearCode(12, basis)
    gain = torch.polar(torch.linspace(0.1, 2, 12), torch.linspace(0, 6, 12))
    received = receive(codec.encode(latents, torch.full((len(latents),), snr)), gain, snr)
    powers = linear_powers(basis.variances, 12, torch.tensor(snr))
    strength = gain.abs().square().repeat_interleave(2)
    expected = float((basis.variances / (1 + 2 * snr * powers * strength)).sum())
    assert squared_error(latents, codec.decode(received, SPEC)) == pytest.approx(expected, rel=0.06)


def test_without_a_report_the_first_block_tells_the_powers(basis: SeedBasis, latents: Tensor) -> None:
    codec, few = LinearCode(6, basis), latents[:4]
    received = receive(codec.encode(few, torch.full((4,), 2.0)), torch.ones(1, dtype=torch.complex64), 2.0)
    torch.testing.assert_close(
        codec.decode(received, SPEC), codec.decode(replace(received, reported_snr=None), SPEC), rtol=1e-4, atol=1e-4
    )


def test_gradients_are_those_of_finite_differences(basis: SeedBasis, latents: Tensor) -> None:
    codec, reported = LinearCode(4, basis), torch.full((1,), 3.0)
    x = latents[:1].clone().requires_grad_()
    direction = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))

    def through(x: Tensor) -> Tensor:
        return codec.decode(receive(codec.encode(x, reported), torch.ones(1, dtype=torch.complex64), 3.0), SPEC)

    (slope,) = torch.autograd.grad(through(x).square().sum(), x)
    step = 0.05 * direction
    difference = (through(x + step).square().sum() - through(x - step).square().sum()) / 0.1
    assert float((slope * direction).sum()) == pytest.approx(float(difference.detach()), rel=1e-2)


@pytest.mark.parametrize("num_channel_uses", [9, 30])
def test_what_did_not_come_is_as_if_it_were_not_sent(basis: SeedBasis, latents: Tensor, num_channel_uses: int) -> None:
    codec = LinearCode(num_channel_uses, basis)
    sent = receive(codec.encode(latents[:4], torch.full((4,), 9.0)), torch.ones(1, dtype=torch.complex64), 9.0)
    count = num_channel_uses // 3
    gain = torch.where(torch.arange(num_channel_uses) < count, sent.gain, 0.0)
    expected = codec.decode(replace(sent, gain=gain, values=gain * sent.values), SPEC)
    torch.testing.assert_close(codec.decode(sent.first(count), SPEC), expected)


def test_a_wrong_shape_and_no_use_at_all_are_refused(basis: SeedBasis) -> None:
    with pytest.raises(ConfigError, match="24 values"):
        LinearCode(4, basis).size(Spec((5,)))
    with pytest.raises(ConfigError, match="num_channel_uses"):
        LinearCode(0, basis)


def test_a_back_off_lowers_the_power_that_both_ends_know() -> None:
    latents = Random.of(range(64)).normal((1024,), "back off") * SeedBasis.load().variances.sqrt()
    latents = SeedBasis.load().synthesise(latents, Spec((4, 16, 16)))
    snr = torch.full((64,), 10.0)
    plain, lower = (LinearCode(256, SeedBasis.load(), back_off_db) for back_off_db in (0.0, 3.0))
    powers = [code.encode(latents, snr).values.abs().square().mean() for code in (plain, lower)]
    assert float(powers[1] / powers[0]) == pytest.approx(0.5, abs=0.03)
    # Without noise nothing but the components left out is lost.
    error = (lower.decode(lower.encode(latents, snr), Spec((4, 16, 16))) - latents).square().mean()
    assert error < 0.3 * latents.square().mean()
    with pytest.raises(ConfigError, match="back_off_db"):
        LinearCode(back_off_db=-1.0)
