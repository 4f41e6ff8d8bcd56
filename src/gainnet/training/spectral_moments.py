"""Second moments by spatial frequency: of latents, and of what an error of theirs costs in the picture."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

from gainnet.codecs.spectral_basis import to_frequencies
from gainnet.models.latent_space import LatentSpace
from gainnet.training.seed_metric import SHRINKAGE, Count

LATENTS_AT_ONCE: Final = 64
COVARIANCE_WIDTH: Final = 0.12
METRIC_WIDTH: Final = 0.25
"""Neighbouring frequencies that are averaged, as a share of the frequency: a decoder is probed far less often than
there are latents. Chosen on photographs; half and twice as much cost less than 0.1 dB."""

LEAST_WIDTH: Final = 0.3


def spectral_covariance(latents: Tensor, shape: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    """Means [channels] and covariance [height * width, channels, channels] of latents [n, num_values], by frequency."""
    channels = shape[0]
    means = latents.unflatten(1, shape).double().mean((0, 2, 3))
    total = torch.zeros(shape[1] * shape[2], channels, channels, dtype=torch.float64)
    for some in latents.split(LATENTS_AT_ONCE):
        found = to_frequencies(some.double() - means.repeat_interleave(shape[1] * shape[2]), shape)
        total += torch.einsum("nfc,nfd->fcd", found, found)
    return means, smoothed(total / len(latents), shape, COVARIANCE_WIDTH)


def spectral_metric(
    space: LatentSpace, latents: Tensor, decode: Callable[[Tensor], Tensor], random_seed: int, progress: Count
) -> Tensor:
    r"""[height * width, channels, channels], $\mathrm{E}[J^T J] / P$ of pictures with P values, by frequency.

    One probe per latent, as in `gainnet.training.seed_metric.picture_metric`; the mean over neighbouring frequencies
    takes the place of probes by the thousand.

    Args:
        space: of the latents.
        latents: [num_probes, num_values].
        decode: latents [n, *shape] to pictures [n, 3, H, W].
        random_seed: of the probes.
        progress: receives (probes made, probes in all).
    """
    shape, generator = space.shape, torch.Generator().manual_seed(random_seed)
    total = torch.zeros(shape[1] * shape[2], shape[0], shape[0], dtype=torch.float64)
    for number, latent in enumerate(latents.split(1), 1):
        some = latent.unflatten(1, shape).to(space.device).requires_grad_()
        pictures = decode(some)
        probe = torch.randn(pictures.shape, generator=generator) / math.sqrt(pictures.numel())
        (turned,) = torch.autograd.grad((pictures * probe.to(pictures)).sum(), some)
        (found,) = to_frequencies(turned.flatten(1).double().cpu(), shape)
        total += torch.einsum("fc,fd->fcd", found, found)
        progress(number, len(latents))
    metric = smoothed(total / len(latents), shape, METRIC_WIDTH)
    level = metric.diagonal(dim1=-2, dim2=-1).mean(-1)[:, None, None]
    return torch.lerp(metric, level * torch.eye(shape[0], dtype=torch.float64), SHRINKAGE)


def smoothed(moments: Tensor, shape: tuple[int, int, int], width: float) -> Tensor:
    """[height * width, channels, channels], moments of the same shape averaged over neighbouring frequencies.

    Args:
        moments: by frequency.
        shape: of a latent.
        width: deviation of the Gaussian window over the frequency, which falls off as spectra do: in octaves.

    >>> flat = torch.ones(6, 1, 1, dtype=torch.float64)
    >>> torch.allclose(smoothed(flat, (1, 2, 3), 0.5), flat)
    True
    """
    down, across = (_window(side, width) for side in shape[1:])
    grid = moments.unflatten(0, shape[1:])
    return torch.einsum("ua,vb,abcd->uvcd", down, across, grid).flatten(0, 1)


def _window(side: int, width: float) -> Tensor:
    """[side, side], rows of weights of sum 1."""
    places = torch.arange(side, dtype=torch.float64)
    spread = LEAST_WIDTH + width * places[:, None]
    weights = torch.exp(-(((places[:, None] - places) / spread) ** 2) / 2)
    return weights / weights.sum(1, keepdim=True)
