"""The synthesis of a learned seed for graphs equals the one that torch computes."""

import pytest
import torch

from gainnet.codecs.seed_codec.picture_basis import PictureBasis
from gainnet.codecs.seed_codec.weights import SeedWeights
from gainnet.core.randomness import Random
from gainnet.service.inverse import IteratedInverse, synthesis_of


@pytest.mark.slow
def test_the_iterated_inverse_is_the_inverse() -> None:
    basis = SeedWeights.load("scenes").basis
    inverse = synthesis_of(basis)
    assert isinstance(inverse, IteratedInverse)
    components = Random.of([1, 2]).normal((basis.num_components,), "components") * basis.variances.sqrt()
    wanted = basis.synthesise(components)
    torch.testing.assert_close(inverse(components), wanted, rtol=0, atol=2e-6 * float(wanted.abs().max()))


def test_a_basis_that_is_badly_conditioned_keeps_its_exact_inverse() -> None:
    turned = torch.linalg.qr(torch.randn(16, 16, generator=torch.Generator().manual_seed(0))).Q
    basis = PictureBasis(torch.zeros(16), torch.logspace(0, -4, 16) * turned, torch.ones(16))
    inverse = synthesis_of(basis)
    assert not isinstance(inverse, IteratedInverse)
    components = torch.ones(1, 16)
    torch.testing.assert_close(inverse(components), basis.synthesise(components))
