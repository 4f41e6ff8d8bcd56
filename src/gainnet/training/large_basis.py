"""Components of latents too large for a covariance: by spatial frequency, or the strongest directions of samples."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from gainnet.codecs.basis import SMALLEST_VARIANCE, SeedBasis, scale_classes_of
from gainnet.codecs.components import Components
from gainnet.codecs.linear import LinearCode
from gainnet.codecs.spectral_basis import SpectralBasis
from gainnet.core.randomness import Random
from gainnet.core.types import Spec
from gainnet.models.latent_space import LatentSpace
from gainnet.radio import AWGN
from gainnet.training.range_finder import principal_directions
from gainnet.training.seed_metric import Count, picture_of, quick_picture_of
from gainnet.training.spectral_moments import spectral_covariance, spectral_metric

MOST_DENSE: Final = 4096
"""Entries of a latent up to which all principal components are computed; their matrix then takes 32 MB in fp16."""

MOST_COMPONENTS: Final = 8192
MOST_DIRECTIONS: Final = 1024
MOST_SPECTRAL_PROBES: Final = 32
NUM_PARTS: Final = 4
NUM_COMPARED: Final = 8


def large_basis(
    space: LatentSpace, seen: Tensor, unseen: Tensor, num_probes: int, random_seed: int, progress: Count
) -> Components:
    """The better of both kinds of components, by pictures of held-out latents over a linear code.

    Components by frequency need little to be learned from and fit pictures whose things lie anywhere; directions of
    samples fit latents whose parts have their place. A quarter of the raw uses at 0 dB decides.

    Args:
        space: of the latents.
        seen: [n, num_values], to learn from.
        unseen: [m, num_values], to compare on.
        num_probes: of the decoder's metric.
        random_seed: of probes, directions and noise.
        progress: receives (probes made, probes in all).
    """
    by_frequency = spectral_basis(space, seen, num_probes, random_seed, progress)
    found: tuple[Components, ...] = (by_frequency, directional_basis(space, seen, random_seed))
    some = unseen[:NUM_COMPARED].unflatten(1, space.shape)
    with torch.no_grad():
        wanted = picture_of(space, some.to(space.device)).cpu()
        errors = [
            float((picture_of(space, _over_air(basis, some).to(space.device)).cpu() - wanted).square().mean())
            for basis in found
        ]
    return found[errors.index(min(errors))]


def spectral_basis(
    space: LatentSpace, latents: Tensor, num_probes: int, random_seed: int, progress: Count
) -> SpectralBasis:
    """Components by spatial frequency in the metric of the decoder.

    Args:
        space: of the latents.
        latents: [n, num_values].
        num_probes: of the metric, at most 32 are made.
        random_seed: of the probes.
        progress: receives (probes made, probes in all).
    """
    means, covariance = spectral_covariance(latents, space.shape)
    probed = latents[:: max(1, len(latents) // num_probes)][: min(num_probes, MOST_SPECTRAL_PROBES)]
    metric = spectral_metric(
        space, probed, lambda some: quick_picture_of(space, some).clamp(0, 1), random_seed, progress
    )  # fmt: skip
    num_components = min(MOST_COMPONENTS, space.latent.num_values)
    return SpectralBasis.of_moments(means, covariance, metric, space.shape, num_components, space.sha256)


def directional_basis(space: LatentSpace, latents: Tensor, random_seed: int) -> SeedBasis:
    """The strongest principal directions of latents [n, num_values], with variances of latents that they do not fit.

    Directions fit the samples that they were learned from: each of four parts is measured along those of the others.
    """
    mean, num_kept = latents.mean(0), min(MOST_DIRECTIONS, latents.shape[1], len(latents) // 2)
    centred = latents - mean
    part = torch.arange(len(latents)) % NUM_PARTS
    measured = torch.zeros(num_kept, dtype=torch.float64)
    for held_out in range(NUM_PARTS):
        found = principal_directions(centred[part != held_out], num_kept, random_seed)
        measured += (centred[part == held_out] @ found).double().square().mean(0) / NUM_PARTS
    # As stored: sender and receiver load half-precision directions.
    directions = principal_directions(centred, num_kept, random_seed).half().float()
    variances, order = measured.clamp_min(SMALLEST_VARIANCE).float().sort(descending=True)
    # Summed in float64, but not from a copy of all latents in it.
    outside = max(0.0, float(centred.square().sum(1).double().mean() - variances.double().sum()))
    return SeedBasis(mean, directions[:, order], variances, scale_classes_of(variances), space.sha256, outside)


def _over_air(basis: Components, latents: Tensor) -> Tensor:
    """Latents [n, c, h, w] as a linear code with a quarter of the raw uses delivers them at 0 dB."""
    spec = Spec(tuple(latents.shape[1:]))
    code, snr = LinearCode(max(1, basis.num_values // 8), basis), torch.ones(len(latents))
    sent, random = code.encode(latents, snr), Random.of(range(len(latents)))
    return code.decode(AWGN().transmit(sent.values, snr, snr.to(torch.complex64), random), spec)
