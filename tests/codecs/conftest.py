"""A small basis and latents that follow it."""

import pytest
import torch
from torch import Tensor

from gainnet.codecs import SeedBasis
from gainnet.models.scenes import draw_scenes, render, stream

NUM_VALUES = 24


@pytest.fixture(scope="session")
def covariance() -> Tensor:
    mix = torch.randn(NUM_VALUES, NUM_VALUES, generator=torch.Generator().manual_seed(1))
    spectrum = 2.0 ** -torch.arange(0, 12, 12 / NUM_VALUES)
    turn, _ = torch.linalg.qr(mix)
    return turn @ torch.diag(3 * spectrum) @ turn.T


@pytest.fixture(scope="session")
def basis(covariance: Tensor) -> SeedBasis:
    return SeedBasis.of_moments(torch.linspace(-1, 1, NUM_VALUES), covariance, "a" * 64)


@pytest.fixture(scope="session")
def latents(basis: SeedBasis) -> Tensor:
    """[2000, 2, 12], Gaussian with the mean and covariance of the basis."""
    components = torch.randn(2000, NUM_VALUES, generator=torch.Generator().manual_seed(2)) * basis.variances.sqrt()
    return (basis.mean + components @ basis.basis.T).reshape(2000, 2, 12)


@pytest.fixture(scope="session")
def pictures() -> Tensor:
    """[4, 3, 128, 128], renders of scenes."""
    return render(draw_scenes(4, stream(5, "codec tests", 0)))
