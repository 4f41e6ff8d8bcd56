"""The synthesis of a learned seed for graphs: iterated, where a stored inverse would be most of a device's files."""

from __future__ import annotations

import math
from typing import Final, final

import torch
from torch import Tensor, nn

from gainnet.codecs.seed_codec.picture_basis import CodedBasis, PictureBasis

LARGEST_ERROR: Final = 1e-7
"""Of latents, relative: below the rounding of single precision."""
MOST_ROUNDS: Final = 120
"""Above it the iteration would take more products than the inverse is worth."""


def synthesis_of(basis: CodedBasis) -> nn.Module:
    """Latents [n, num_values] from components [n, num_components] as a module that is small as a graph.

    Args:
        basis: of the components.
    """
    # By spatial frequency the inverses are blocks of a few entries, small as they are.
    if not isinstance(basis, PictureBasis):
        return _Plain(basis)
    iterated = IteratedInverse(basis)
    return iterated if iterated.num_rounds <= MOST_ROUNDS else _Plain(basis)


@final
class IteratedInverse(nn.Module):
    r"""Solves $A z = c$ by the Chebyshev iteration on $A^T A z = A^T c$; A lies beside the graph already.

    The eigenvalues of $A^T A$ lie between the squares of the outermost singular values of A, and the error falls by
    $(\kappa - 1) / (\kappa + 1)$ a round with the condition $\kappa$ of A (Saad, Iterative Methods for Sparse Linear
    Systems, Algorithm 12.1): 54 rounds for the 6.5 of the shipped codec, 0.2 GFLOP.

    Args:
        basis: with its rows A [num_components, num_values], square.

    >>> turned = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(0))).Q
    >>> inverse = IteratedInverse(PictureBasis(torch.ones(8), turned, torch.ones(8)))
    >>> torch.allclose(inverse(turned.sum(1)[None]), torch.full((1, 8), 2.0), atol=1e-6)
    True
    """

    mean: Tensor

    def __init__(self, basis: PictureBasis) -> None:
        super().__init__()
        # Of the same name as in the file of weights, to which the graph refers.
        self.analysis = nn.Parameter(basis.analysis, requires_grad=False)
        self.register_buffer("mean", basis.mean)
        values = torch.linalg.svdvals(basis.analysis.double()).square()
        # A little wider than measured, as the iteration amplifies outside of its bounds, and in three digits, as a
        # graph must not depend on the last ones, which differ between processors.
        largest, smallest = float(f"{1.01 * float(values[0]):.3g}"), float(f"{0.99 * float(values[-1]):.3g}")
        self._middle, self._radius = (largest + smallest) / 2, (largest - smallest) / 2
        condition = math.sqrt(largest / smallest)
        self.num_rounds = math.ceil(math.log(LARGEST_ERROR / 2) / math.log((condition - 1) / (condition + 1)))

    def forward(self, components: Tensor) -> Tensor:
        """[n, num_values], latents of components [n, num_components]."""
        ratio = self._middle / self._radius
        damping = 1 / ratio
        step = components @ self.analysis / self._middle
        found = step
        for _ in range(self.num_rounds - 1):
            # The residual is computed afresh: one that is only updated keeps the rounding of every round.
            left = (components - found @ self.analysis.T) @ self.analysis
            before, damping = damping, 1 / (2 * ratio - damping)
            step = damping * before * step + 2 * damping / self._radius * left
            found = found + step
        return self.mean + found


@final
class _Plain(nn.Module):
    """The synthesis of a basis as it is."""

    def __init__(self, basis: CodedBasis) -> None:
        super().__init__()
        self.basis = basis

    def forward(self, components: Tensor) -> Tensor:
        """[n, num_values], latents of components [n, num_components]."""
        return self.basis.synthesise(components)
