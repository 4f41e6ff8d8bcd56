"""The strongest principal directions of samples too long for a covariance: a randomised range finder."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

OVERSAMPLING: Final = 16
"""Directions beyond those that are asked for; with them the last of these come out as well as the first."""


def principal_directions(centred: Tensor, num_directions: int, random_seed: int, passes: int = 3) -> Tensor:
    r"""[num_values, num_directions], orthonormal, the strongest first.

    Subspace iteration from a random start, $Q \leftarrow \mathrm{orth}(X^T (X Q))$, then the eigenvectors of
    $(X Q)^T (X Q)$ (Halko, Martinsson and Tropp 2011, algorithms 4.4 and 5.3). It takes num_samples * num_values *
    num_directions products per pass and no matrix of num_values squared.

    Args:
        centred: [num_samples, num_values], X, of mean zero.
        num_directions: at most num_samples and num_values.
        random_seed: of the start.
        passes: over the samples; each lets weak directions fall by the square of their variance.

    >>> x = torch.randn(200, 30, generator=torch.Generator().manual_seed(0)) * torch.linspace(3, 0.1, 30)
    >>> found = principal_directions(x, 4, 0)
    >>> bool(torch.allclose(found.T @ found, torch.eye(4), atol=1e-4))
    True
    """
    num_kept = min(num_directions + OVERSAMPLING, *centred.shape)
    generator = torch.Generator().manual_seed(random_seed)
    start = torch.randn(centred.shape[1], num_kept, generator=generator, dtype=centred.dtype)
    found, _ = torch.linalg.qr(start)
    for _ in range(passes):
        # Orthonormal again after every pass: otherwise all columns turn towards the strongest direction.
        found, _ = torch.linalg.qr(centred.T @ (centred @ found))
    inside = centred @ found
    _, vectors = torch.linalg.eigh((inside.T @ inside).double())
    directions: Tensor = found @ vectors.flip(1)[:, :num_directions].to(found)
    return directions
