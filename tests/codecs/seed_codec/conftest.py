"""Small weights: fresh ones, which code as the linear optimum does, and stirred ones, which do not."""

import pytest
import torch
from torch import Tensor

from gainnet.codecs import SeedBasis
from gainnet.codecs.seed_codec import Architecture, PictureBasis, SeedNetwork, SeedWeights, Vocabulary
from gainnet.codecs.seed_codec.weights import grid_levels_db, grid_sizes

SHAPE = (4, 4, 4)
NUM_VALUES = 64
SMALL = Architecture(24, 8, 16, 1, 16, 1, 8, 3, 12, 8, 1)
VOCABULARY = Vocabulary.of(["a red star above a blue house", "a moon"])


@pytest.fixture(scope="session")
def mean() -> Tensor:
    return torch.linspace(-1, 1, NUM_VALUES)


@pytest.fixture(scope="session")
def spread() -> Tensor:
    """[64, 64], a covariance of quickly falling variances."""
    turn, _ = torch.linalg.qr(torch.randn(NUM_VALUES, NUM_VALUES, generator=torch.Generator().manual_seed(1)).double())
    return turn @ torch.diag(4 * 2.0 ** -torch.linspace(0, 9, NUM_VALUES).double()) @ turn.T


@pytest.fixture(scope="session")
def seeds(mean: Tensor, spread: Tensor) -> Tensor:
    """[400, 4, 4, 4], Gaussian."""
    white = torch.randn(400, NUM_VALUES, generator=torch.Generator().manual_seed(2)).double()
    return (mean + white @ torch.linalg.cholesky(spread).T).float().reshape(-1, *SHAPE)


def network_for(basis: PictureBasis) -> SeedNetwork:
    torch.manual_seed(3)
    return SeedNetwork(basis, SHAPE, SMALL, (VOCABULARY.num_indices, VOCABULARY.max_words))


def weights_of(network: SeedNetwork, basis: PictureBasis, log_powers: Tensor | None = None) -> SeedWeights:
    if log_powers is None:
        log_powers = torch.zeros(2, len(grid_sizes(NUM_VALUES)), len(grid_levels_db()))
    return SeedWeights(network.eval().requires_grad_(False), basis, VOCABULARY, log_powers, SHAPE, "a" * 64)


@pytest.fixture(scope="session")
def plain_basis(mean: Tensor, spread: Tensor) -> PictureBasis:
    """In the metric of the latent itself: up to a factor, principal components."""
    return PictureBasis.of_moments(mean, spread, torch.eye(NUM_VALUES))


@pytest.fixture(scope="session")
def linear_basis(mean: Tensor, spread: Tensor) -> SeedBasis:
    return SeedBasis.of_moments(mean, spread, "a" * 64)


@pytest.fixture(scope="session")
def fresh(plain_basis: PictureBasis) -> SeedWeights:
    return weights_of(network_for(plain_basis), plain_basis)


@pytest.fixture(scope="session")
def stirred(plain_basis: PictureBasis) -> SeedWeights:
    """As if trained: no weight is zero any more."""
    network = network_for(plain_basis)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=generator))
    return weights_of(network, plain_basis)
