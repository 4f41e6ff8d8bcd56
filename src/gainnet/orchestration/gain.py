"""The worth of a client's samples to a model: how related their data are, and how the worth saturates."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from gainnet.core.errors import check_range


def smooth(weights: Tensor, smoothing: float) -> Tensor:
    r"""A distribution with some of its mass spread evenly, so that no domain is impossible.

    $(1 - s)\, w / \sum w + s / D$   (assumed; the note's smoothing of 0.05)

    Args:
        weights: [..., num_domains] >= 0; all 0 gives the even distribution.
        smoothing: $s$ in (0, 1).

    >>> smooth(torch.tensor([1.0, 0.0]), 0.5)
    tensor([0.7500, 0.2500])
    """
    total = weights.sum(-1, keepdim=True)
    share = torch.where(total > 0, weights / total, 1.0 / weights.shape[-1])
    return (1 - smoothing) * share + smoothing / weights.shape[-1]


def divergence(p: Tensor, q: Tensor) -> Tensor:
    r"""[...], Kullback-Leibler divergence $\sum_d p_d \ln(p_d / q_d)$ of positive distributions [..., num_domains]."""
    return (p * (p.log() - q.log())).sum(-1)


def relative_entropy(p: Tensor, q: Tensor) -> Tensor:
    r"""[...] of distributions [..., num_domains], $e^{-\mathrm{KL}(p \| q)}$; the paper's relative entropy.

    >>> same, other = torch.tensor([0.5, 0.5]), torch.tensor([0.9, 0.1])
    >>> relative_entropy(same, same), relative_entropy(same, other).round(decimals=3)
    (tensor(1.), tensor(0.6000))
    """
    return torch.exp(-divergence(p, q))


def jensen_shannon(p: Tensor, q: Tensor) -> Tensor:
    r"""[...] of distributions [..., num_domains], $1 - \mathrm{JS}(p, q) / \ln 2$.

    $\mathrm{JS}$ is the mean divergence of both from the middle (Lin 1991).

    >>> jensen_shannon(torch.tensor([1.0, 1e-9]), torch.tensor([1e-9, 1.0])).round(decimals=3).abs()
    tensor(0.)
    """
    middle = (p + q) / 2
    return 1 - (divergence(p, middle) + divergence(q, middle)) / (2 * torch.log(torch.tensor(2.0)).item())


def squared_distance(p: Tensor, q: Tensor) -> Tensor:
    r"""[...] of distributions [..., num_domains], $1 - \frac12 \sum_d (p_d - q_d)^2$, scaled to [0, 1] (assumed)."""
    return 1 - (p - q).square().sum(-1) / 2


CORRELATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "kl": relative_entropy,
    "jensen_shannon": jensen_shannon,
    "variance": squared_distance,
}
"""Similarities by the name that a scenario takes."""


@final
@dataclass(frozen=True)
class Correlation:
    """How related what is sensed and what a model knows are: the similarity of both distributions, smoothed.

    Args:
        similarity: in [0, 1] of two distributions over domains, 1 where they are equal; a value of `CORRELATIONS`.
        smoothing: mass that is spread evenly, in (0, 1).

    >>> one = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> Correlation(relative_entropy, 0.05)(one, one[0]).round(decimals=3)
    tensor([1.0000, 0.0310])
    """

    similarity: Callable[[Tensor, Tensor], Tensor]
    smoothing: float = 0.05

    def __post_init__(self) -> None:
        check_range(0 < self.smoothing < 1, "gain.smoothing", self.smoothing, "a share in (0, 1), such as 0.05")

    def __call__(self, sensed: Tensor, known: Tensor) -> Tensor:
        """[...] in [0, 1] of what is sensed [..., num_domains] and a model's domains [..., num_domains]."""
        return self.similarity(smooth(sensed, self.smoothing), smooth(known, self.smoothing))


def saturation(x: Tensor) -> Tensor:
    r"""[...] of [...] >= 0, $1 - e^{-x}$.

    >>> saturation(torch.tensor([0.0, 1.0, 50.0])).round(decimals=2)
    tensor([0.0000, 0.6300, 1.0000])
    """
    return -torch.expm1(-x)


GAIN_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {"log": torch.log1p, "saturating": saturation}
"""Curves by the name that a scenario takes: 0 at 0, increasing, concave."""


@final
@dataclass(frozen=True)
class GainFunction:
    """How the worth of samples saturates: $f(x / x_0)$.

    Args:
        curve: $f$, a value of `GAIN_FUNCTIONS`.
        scale_samples: $x_0$ > 0, samples at which the curve bends.

    >>> log = GainFunction(torch.log1p, scale_samples=100.0)
    >>> log(torch.tensor([0.0, 100.0, 200.0])).round(decimals=3)  # twice the samples, not twice the worth
    tensor([0.0000, 0.6930, 1.0990])
    >>> GainFunction(torch.log1p, scale_samples=0.0)
    Traceback (most recent call last):
    gainnet.core.errors.ConfigError: gain.scale_samples: 0.0 is out of range; must be a positive number
    """

    curve: Callable[[Tensor], Tensor]
    scale_samples: float

    def __post_init__(self) -> None:
        check_range(0 < self.scale_samples < math.inf, "gain.scale_samples", self.scale_samples, "a positive number")

    def __call__(self, samples: Tensor) -> Tensor:
        """[...] of samples [...] >= 0."""
        return self.curve(samples / self.scale_samples)
