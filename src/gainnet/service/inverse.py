"""The synthesis of a learned seed for graphs: an inverse in 8 bits that is refined, a quarter of an exact one."""

from __future__ import annotations

import math
from typing import Final, final

import torch
from torch import Tensor, nn

from gainnet.codecs.seed_codec.picture_basis import CodedBasis, PictureBasis
from gainnet.codecs.seed_codec.weights import LARGEST_INTEGER

LARGEST_ERROR: Final = 1e-7
"""Of latents, relative: below the rounding of single precision."""
SLOWEST: Final = 0.9
"""Factor on the error in a round above which refining would take more products than it is worth."""


def synthesis_of(basis: CodedBasis) -> nn.Module:
    """Latents [n, num_values] from components [n, num_components] as a module that is small as a graph.

    Args:
        basis: of the components.
    """
    # By spatial frequency the inverses are blocks of a few entries, small as they are.
    if not isinstance(basis, PictureBasis):
        return _Plain(basis)
    refined = RefinedInverse(basis)
    return refined if refined.factor <= SLOWEST else _Plain(basis)


@final
class RefinedInverse(nn.Module):
    r"""Solves $A z = c$ by iterative refinement with an inverse B of 8 bits, $z \leftarrow z + B (c - A z)$.

    An error shrinks by $\lVert I - B A\rVert$ in every round (Golub and Van Loan, Matrix Computations, 3.5.3): 0.06 for
    the shipped codec. A is stored beside the graph already, so that only B comes on top.

    Args:
        basis: with its rows A [num_components, num_values], square.

    >>> turned = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(0))).Q
    >>> inverse = RefinedInverse(PictureBasis(torch.ones(8), turned, torch.ones(8)))
    >>> torch.allclose(inverse(turned.sum(1)[None]), torch.full((1, 8), 2.0), atol=1e-6)
    True
    """

    coarse: Tensor
    scale: Tensor
    mean: Tensor

    def __init__(self, basis: PictureBasis) -> None:
        super().__init__()
        matrix = basis.analysis.double()
        exact = torch.linalg.inv(matrix)
        scale = exact.abs().amax(0) / LARGEST_INTEGER
        coarse = (exact / scale).round()
        left = torch.eye(len(exact), dtype=torch.float64) - (coarse * scale) @ matrix
        self.factor = float(torch.linalg.matrix_norm(left, 2))
        self.num_rounds = math.ceil(math.log(LARGEST_ERROR) / math.log(min(self.factor, SLOWEST)))
        # Of the same name as in the file of weights, to which the graph refers.
        self.analysis = nn.Parameter(basis.analysis, requires_grad=False)
        self.register_buffer("coarse", coarse.to(torch.int8))
        self.register_buffer("scale", scale.float())
        self.register_buffer("mean", basis.mean)

    def forward(self, components: Tensor) -> Tensor:
        """[n, num_values], latents of components [n, num_components]."""
        found = self._roughly(components)
        for _ in range(self.num_rounds):
            found = found + self._roughly(components - found @ self.analysis.T)
        return self.mean + found

    def _roughly(self, components: Tensor) -> Tensor:
        return (components * self.scale) @ self.coarse.to(components).T


@final
class _Plain(nn.Module):
    """The synthesis of a basis as it is."""

    def __init__(self, basis: CodedBasis) -> None:
        super().__init__()
        self.basis = basis

    def forward(self, components: Tensor) -> Tensor:
        """[n, num_values], latents of components [n, num_components]."""
        return self.basis.synthesise(components)
