"""Components by spatial frequency: against the exact basis of a stationary field, stored, and in codes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from gainnet.codecs import Content, LinearCode, QuantizedSeed, SeedBasis, linear_mse
from gainnet.codecs.basis import FORMAT
from gainnet.codecs.components import components_of, load_components
from gainnet.codecs.spectral_basis import SpectralBasis, cosines, from_frequencies, to_frequencies
from gainnet.core.errors import ConfigError, ModelError
from gainnet.core.types import Spec

SHAPE = (2, 6, 4)
NUM_VALUES = 48


@pytest.fixture(scope="module")
def covariance() -> Tensor:
    """[24, 2, 2], of cosine coefficients, with power that falls with frequency and channels that agree."""
    down, across = torch.meshgrid(torch.arange(6.0), torch.arange(4.0), indexing="ij")
    power = (8 / (1 + down**2 + across**2)).flatten().double()
    return power[:, None, None] * torch.tensor([[1.0, 0.6], [0.6, 0.5]], dtype=torch.float64)


@pytest.fixture(scope="module")
def metric() -> Tensor:
    return torch.tensor([[1.0, 0.2], [0.2, 3.0]], dtype=torch.float64).expand(24, 2, 2)


def dense(by_frequency: Tensor) -> Tensor:
    """[48, 48], a matrix by frequency as one of latents."""
    unit = to_frequencies(torch.eye(NUM_VALUES, dtype=torch.float64), SHAPE)
    return torch.einsum("afc,fcd,bfd->ab", unit, by_frequency, unit)


def basis_of(covariance: Tensor, metric: Tensor, num_components: int = NUM_VALUES) -> SpectralBasis:
    return SpectralBasis.of_moments(torch.tensor([1.0, -2.0]), covariance, metric, SHAPE, num_components, "a" * 64)


def test_frequencies_keep_lengths_and_come_back() -> None:
    x = torch.randn(3, NUM_VALUES, dtype=torch.float64)
    found = to_frequencies(x, SHAPE)
    assert found.shape == (3, 24, 2)
    torch.testing.assert_close(found.square().sum((1, 2)), x.square().sum(1))
    torch.testing.assert_close(from_frequencies(found, SHAPE), x)
    torch.testing.assert_close(cosines(3)[0], torch.full((3,), 3**-0.5, dtype=torch.float64))


def test_of_a_stationary_field_it_is_the_exact_basis(covariance: Tensor) -> None:
    found = basis_of(covariance, torch.eye(2, dtype=torch.float64).expand(24, 2, 2))
    exact = SeedBasis.of_moments(torch.zeros(NUM_VALUES), dense(covariance), "")
    # The metric has a unit of its own, so variances agree but for a factor.
    ratio = found.variances / exact.variances
    torch.testing.assert_close(ratio, ratio[:1].expand(NUM_VALUES), rtol=3e-3, atol=0)
    assert found.root_mean_square == pytest.approx(float((exact.variances.sum() / NUM_VALUES + 2.5).sqrt()), rel=1e-3)


def test_components_are_uncorrelated_and_their_error_is_that_of_the_picture(covariance: Tensor, metric: Tensor) -> None:
    basis = basis_of(covariance, metric)
    rows = basis.turn(torch.eye(NUM_VALUES)).T
    spread = rows @ dense(covariance) @ rows.T
    torch.testing.assert_close(spread, torch.diag(basis.variances.double()), rtol=0, atol=0.02)
    turned = rows.T @ rows / dense(metric).diagonal().mean()
    torch.testing.assert_close(
        turned / turned.diagonal().mean(), dense(metric) / dense(metric).diagonal().mean(), rtol=0, atol=0.01
    )


def test_latents_come_back_and_the_first_components_are_a_prefix(covariance: Tensor, metric: Tensor) -> None:
    basis, x = basis_of(covariance, metric), torch.randn(5, 2, *SHAPE)
    components = basis.analyse(x, (5, 2))
    assert components.shape == (5, 2, NUM_VALUES)
    torch.testing.assert_close(basis.synthesise(components, Spec(SHAPE)), x, rtol=0, atol=1e-4)
    few = basis_of(covariance, metric, 12)
    torch.testing.assert_close(few.analyse(x, (5, 2)), components[..., :12])
    part = basis.synthesise(torch.cat([components[..., :12], torch.zeros(5, 2, 36)], -1), Spec(SHAPE))
    torch.testing.assert_close(few.synthesise(components[..., :12], Spec(SHAPE)), part)
    error = torch.zeros(NUM_VALUES)
    error[7] = 1.0
    moved = basis.synthesise(components[0] + error, Spec(SHAPE)) - basis.synthesise(components[0], Spec(SHAPE))
    assert float(moved.square().sum() / 2) == pytest.approx(float(basis.squared_norms[7]), rel=1e-3)


def test_it_is_stored_found_and_refused(
    covariance: Tensor, metric: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    basis = basis_of(covariance, metric, 20)
    basis.save(tmp_path / "gainnet" / "codecs" / "mine", {})
    loaded = load_components("mine", "a" * 64)
    assert isinstance(loaded, SpectralBasis)
    assert torch.equal(loaded.variances, basis.variances)
    assert loaded.scale_classes == basis.scale_classes
    x = torch.randn(3, *SHAPE)
    assert torch.equal(loaded.analyse(x, (3,)), basis.analyse(x, (3,)))
    content = Content(Spec(SHAPE), model="models/mine", model_sha256="a" * 64)
    assert components_of(content, "linear").num_components == 20
    with pytest.raises(ModelError, match="fits another model"):
        load_components("mine", "b" * 64)
    with pytest.raises(ConfigError, match="48 values"):
        basis.check(Spec((4, 16, 16)), "linear")
    tensors = FORMAT.tensors(tmp_path / "gainnet" / "codecs" / "mine")
    tensors["order"][0] = 48
    FORMAT.save(tmp_path / "x", tensors, {"model_sha256": "a" * 64, "form": "spectral", **basis.config()})
    with pytest.raises(ModelError, match="damaged"):
        load_components(tmp_path / "x")


def test_a_linear_code_has_the_error_of_the_closed_form(covariance: Tensor, metric: Tensor) -> None:
    basis, snr = basis_of(covariance, metric), 2.0
    white = torch.randn(4000, 24, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    draws = torch.einsum("fcd,nfd->nfc", torch.linalg.cholesky(covariance), white)
    x = (from_frequencies(draws, SHAPE) + basis.mean.double()).float().reshape(-1, *SHAPE)
    code = LinearCode(8, basis)
    sent = code.encode(x, torch.full((4000,), snr))
    noise = torch.randn(4000, 8, dtype=torch.complex64, generator=torch.Generator().manual_seed(1)) * snr**-0.5
    received = sent.__class__(
        sent.values + noise, sent.gain, torch.full_like(sent.noise_variance, 1 / snr), sent.reported_snr
    )
    error = basis.turn((code.decode(received, Spec(SHAPE)) - x).flatten(1)).square().sum(1).mean()
    assert float(error) == pytest.approx(float(linear_mse(basis.variances, 8, torch.tensor(snr))), rel=0.05)
    digital = QuantizedSeed(max_bits=400, basis=basis)
    decoded = digital.decode(digital.encode(x[:20], torch.ones(20)), Spec(SHAPE))
    assert float((decoded - x[:20]).square().mean()) < float((x[:20] - basis.mean.reshape(SHAPE)).square().mean()) / 4
