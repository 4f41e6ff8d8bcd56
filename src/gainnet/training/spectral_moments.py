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
LARGEST_PROBED: Final = 32
"""Entries along the sides of a latent up to which all of it is decoded for the metric."""


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
    takes the place of probes by the thousand. Of a large latent the middle is decoded, whose frequencies stand for
    those next to them: a decoder is convolutional, and that of Stable Diffusion takes a minute for a whole picture.

    Args:
        space: of the latents.
        latents: [num_probes, num_values].
        decode: latents [n, *shape] to pictures [n, 3, H, W].
        random_seed: of the probes.
        progress: receives (probes made, probes in all).
    """
    generator = torch.Generator().manual_seed(random_seed)
    shape = (space.shape[0], min(LARGEST_PROBED, space.shape[1]), min(LARGEST_PROBED, space.shape[2]))
    top, left = ((whole - part) // 2 for whole, part in zip(space.shape[1:], shape[1:], strict=True))
    total = torch.zeros(shape[1] * shape[2], shape[0], shape[0], dtype=torch.float64)
    for number, latent in enumerate(latents.split(1), 1):
        whole = latent.unflatten(1, space.shape)
        some = whole[..., top : top + shape[1], left : left + shape[2]].to(space.device).requires_grad_()
        pictures = decode(some)
        probe = torch.randn(pictures.shape, generator=generator) / math.sqrt(pictures.numel())
        (turned,) = torch.autograd.grad((pictures * probe.to(pictures)).sum(), some)
        (found,) = to_frequencies(turned.flatten(1).double().cpu(), shape)
        total += torch.einsum("fc,fd->fcd", found, found)
        progress(number, len(latents))
    metric = _at_frequencies(smoothed(total / len(latents), shape, METRIC_WIDTH), shape, space.shape)
    level = metric.diagonal(dim1=-2, dim2=-1).mean(-1)[:, None, None]
    return torch.lerp(metric, level * torch.eye(shape[0], dtype=torch.float64), SHRINKAGE)


def _at_frequencies(metric: Tensor, shape: tuple[int, int, int], whole: tuple[int, int, int]) -> Tensor:
    """The metric of a part of a latent at the nearest frequencies of a whole one."""
    rows, columns = (
        ((torch.arange(side) + 0.5) * part / side).long() for part, side in zip(shape[1:], whole[1:], strict=True)
    )
    found: Tensor = metric.unflatten(0, shape[1:])[rows][:, columns]
    return found.flatten(0, 1)


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
