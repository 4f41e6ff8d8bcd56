"""The metric of latents: the mean squared Jacobian of a decoder, and errors of pictures through it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gainnet.core.precision import half_precision
from gainnet.models.latent_space import LatentSpace

PROBES_AT_ONCE = 40
SHRINKAGE = 0.2
"""Share of the identity in the metric, as few probes leave its weakest directions uncertain; .1 to .4 were as good on
independent probes."""

Count = Callable[[int, int], None]
"""Receives (how many are made, how many in all)."""


def picture_of(space: LatentSpace, latents: Tensor) -> Tensor:
    """[n, 3, H, W] in [0, 1], differentiable, of latents [n, num_values]."""
    return space.decode(latents.reshape(-1, *space.latent.shape)).clamp(0.0, 1.0)


def quick_picture_of(space: LatentSpace, latents: Tensor) -> Tensor:
    """[n, 3, H, W], in [0, 1] or about, differentiable, of latents [n, channels, height, width] or squares of them.

    In half precision where the device has it, for training.
    """
    with half_precision(space.device):
        return space.decode(latents.to(space.device)).float()


def picture_metric(space: LatentSpace, latents: Tensor, random_seed: int, progress: Count) -> Tensor:
    r"""[num_values, num_values], $M = \mathrm{E}[J^T J] / P$ of pictures with P values, from one probe per latent.

    For $v \sim N(0, I)$ is $\mathrm{E}[(J^T v)(J^T v)^T] = J^T J$ (Hutchinson 1990), and one backward pass gives
    $J^T v$. The estimate is shrunk towards a multiple of the identity (Ledoit and Wolf 2004).

    Args:
        space: whose decoder.
        latents: [num_probes, num_values].
        random_seed: of the probes.
        progress: receives (probes made, probes in all).
    """
    generator = torch.Generator().manual_seed(random_seed)
    total = torch.zeros(latents.shape[1], latents.shape[1], dtype=torch.float64)
    for start in range(0, len(latents), PROBES_AT_ONCE):
        some = latents[start : start + PROBES_AT_ONCE].clone().to(space.device).requires_grad_()
        pictures = picture_of(space, some)
        # Divided by the root of the number of pixel values, so that the metric gives mean squared errors.
        probe = torch.randn(pictures.shape, generator=generator) / pictures[0].numel() ** 0.5
        # One backward pass per probe; the Jacobian itself would take one per pixel.
        (turned,) = torch.autograd.grad((pictures * probe.to(pictures)).sum(), some)
        wide = turned.cpu().double()
        total += wide.T @ wide
        progress(start + len(some), len(latents))
    metric = total / len(latents)
    return torch.lerp(metric, metric.diag().mean() * torch.eye(len(metric), dtype=torch.float64), SHRINKAGE)
