"""How received pictures are quality: per picture, against the same generation without a channel."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from gainnet.codecs.components import Components
from gainnet.core.units import psnr_db_of_mse
from gainnet.generation.quality import mean_fidelity
from gainnet.models.attributes import AttributeClassifier
from gainnet.studies.study import Value

WINDOW, SIGMA = 11, 1.5
STABLE_MEAN, STABLE_VARIANCE = 0.01**2, 0.03**2


def quality(images: Tensor, references: Tensor) -> dict[str, Value]:
    """PSNR of the mean squared error, and PSNR of every picture.

    Args:
        images: [num_images, 3, side, side], in [0, 1], as received.
        references: the same without a channel.
    """
    errors = (images - references).double().square().flatten(1).mean(1)
    # Tables have tens of thousands of rows; more digits than these cannot be seen.
    of_images = psnr_db_of_mse(errors.clamp_min(1e-12))
    return {
        "psnr_db": round(float(psnr_db_of_mse(errors.mean().clamp_min(1e-12))), 4),
        "mse": float(f"{float(errors.mean()):.6g}"),
        "psnr_db_of_images": " ".join(f"{float(x):.2f}" for x in of_images),
    }


def mean_ssim(images: Tensor, references: Tensor) -> float:
    """Mean structural similarity; arguments as `fast_ssim`."""
    return round(float(fast_ssim(images, references).mean()), 5)


def fidelity(classifier: AttributeClassifier, images: Tensor, prompts: tuple[str, ...]) -> float | None:
    """Mean share of the attributes named in the prompts that a classifier finds; `None` when no prompt can be quality.

    Args:
        classifier: the judge.
        images: [num_images, 3, 128, 128], in [0, 1].
        prompts: one per picture.
    """
    share = mean_fidelity(images, prompts, classifier)
    return None if share is None else round(share, 5)


def latent_nmse(received: Tensor, sent: Tensor, basis: Components) -> float:
    r"""Error of latents over their variance, $\sum |\hat z - z|^2 / \sum |z - \mu|^2$: 1 for the mean latent.

    Args:
        received: [num_images, *latent].
        sent: the same without a channel.
        basis: gives the mean $\mu$.
    """
    error = (received - sent).double().square().sum()
    variance = (sent.flatten(1) - basis.mean).double().square().sum()
    return float(f"{float(error / variance):.6g}")


def fast_ssim(images: Tensor, references: Tensor) -> Tensor:
    r"""[num_images], structural similarity with a Gaussian window of 11 pixels, values in [0, 1].

    The blur is separable, so two matrix products $B X B^T$ with mirrored edges do what a convolution does, in a third
    of its time; a study judges ten thousands of pictures. Equal to `generation.quality.ssim` (Wang et al. 2004).

    Args:
        images: [num_images, num_channels, side, side].
        references: the same shape.

    >>> x = torch.linspace(0, 1, 48).reshape(1, 3, 4, 4).repeat_interleave(8, -1).repeat_interleave(8, -2)
    >>> round(float(fast_ssim(x, x)), 5)
    1.0
    """
    blur = _blur(images.shape[-1])
    moments = torch.stack([images, references, images**2, references**2, images * references])
    mean, other, square, other_square, product = blur @ moments @ blur.T
    variance = (square - mean**2).clamp_min(0) + (other_square - other**2).clamp_min(0)
    structure = (2 * (product - mean * other) + STABLE_VARIANCE) / (variance + STABLE_VARIANCE)
    similarity = structure * (2 * mean * other + STABLE_MEAN) / (mean**2 + other**2 + STABLE_MEAN)
    of_images: Tensor = similarity.flatten(1).mean(1)
    return of_images


@lru_cache(maxsize=4)
def _blur(side: int) -> Tensor:
    """[side, side], Gaussian weights of the neighbours of every pixel, edges mirrored."""
    reach = WINDOW // 2
    weights = torch.exp(-((torch.arange(WINDOW) - reach) ** 2) / (2 * SIGMA**2))
    weights = weights / weights.sum()
    banded = torch.stack([functional.pad(weights, (i, side - 1 - i)) for i in range(side)])
    mirrored = functional.pad(torch.eye(side)[None, None], (0, 0, reach, reach), mode="reflect")[0, 0]
    return banded @ mirrored


def frechet_distance(features: Tensor, references: Tensor) -> float:
    r"""Distance between two Gaussians that have the moments of two sets of features.

    $|\mu_1 - \mu_2|^2 + \mathrm{tr}(\Sigma_1 + \Sigma_2 - 2 (\Sigma_1 \Sigma_2)^{1/2})$   (Dowson and Landau 1982)

    With rows $A$, $B$ centred and divided by $\sqrt{n}$, the trace of the root is the sum of the singular values of
    $A B^T$, which needs no root of a singular matrix when there are fewer samples than features.

    Args:
        features: [num_samples, num_features].
        references: [num_references, num_features].

    >>> x = torch.tensor([[0.0], [2.0]])
    >>> frechet_distance(3 * x + 4, x)
    40.0
    """
    first, second = features.double(), references.double()
    shift = (first.mean(0) - second.mean(0)).square().sum()
    a, b = ((x - x.mean(0)) / len(x) ** 0.5 for x in (first, second))
    cross = torch.linalg.svdvals(a @ b.T).sum()
    return float((shift + a.square().sum() + b.square().sum() - 2 * cross).clamp_min(0))
