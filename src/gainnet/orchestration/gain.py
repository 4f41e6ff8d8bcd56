"""What a client's samples are worth to a model: how related their data are, and how the worth saturates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError


class Correlation(Protocol):
    """How related two distributions over domains are."""

    def __call__(self, sensed: Tensor, known: Tensor) -> Tensor:
        """[...] in [0, 1] of what is sensed [..., num_domains] and a model's domains; 1 where they are equal."""
        ...


class GainFunction(Protocol):
    """How the worth of samples saturates: 0 at 0, increasing, concave."""

    @property
    def scale_samples(self) -> float:
        """Samples at which it bends."""
        ...

    def __call__(self, samples: Tensor) -> Tensor:
        """[...] of samples [...] >= 0."""
        ...


def smoothed(weights: Tensor, smoothing: float) -> Tensor:
    r"""A distribution with some of its mass spread evenly, so that no domain is impossible.

    $(1 - s)\, w / \sum w + s / D$   (assumed; the note's smoothing of 0.05)

    Args:
        weights: [..., num_domains] >= 0; all 0 gives the even distribution.
        smoothing: $s$ in (0, 1).

    >>> smoothed(torch.tensor([1.0, 0.0]), 0.5)
    tensor([0.7500, 0.2500])
    """
    total = weights.sum(-1, keepdim=True)
    share = torch.where(total > 0, weights / total, 1.0 / weights.shape[-1])
    return (1 - smoothing) * share + smoothing / weights.shape[-1]


def divergence(p: Tensor, q: Tensor) -> Tensor:
    r"""[...], Kullback-Leibler divergence $\sum_d p_d \ln(p_d / q_d)$ of positive distributions [..., num_domains]."""
    return (p * (p.log() - q.log())).sum(-1)


@final
@dataclass(frozen=True)
class KullbackLeibler:
    r"""$\omega = e^{-\mathrm{KL}(p_n \| p_m)}$, both smoothed; the paper's relative entropy.

    Args:
        smoothing: mass that is spread evenly, in (0, 1).

    >>> one = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> KullbackLeibler(0.05)(one, one[0]).round(decimals=3)
    tensor([1.0000, 0.0310])
    """

    smoothing: float = 0.05

    def __post_init__(self) -> None:
        _check_share(self.smoothing)

    def __call__(self, sensed: Tensor, known: Tensor) -> Tensor:
        return torch.exp(-divergence(smoothed(sensed, self.smoothing), smoothed(known, self.smoothing)))


@final
@dataclass(frozen=True)
class JensenShannon:
    r"""$\omega = 1 - \mathrm{JS}(p_n, p_m) / \ln 2$ with $\mathrm{JS}$ the mean divergence from the middle (Lin 1991).

    Args:
        smoothing: mass that is spread evenly, in (0, 1).
    """

    smoothing: float = 0.05

    def __post_init__(self) -> None:
        _check_share(self.smoothing)

    def __call__(self, sensed: Tensor, known: Tensor) -> Tensor:
        p, q = smoothed(sensed, self.smoothing), smoothed(known, self.smoothing)
        middle = (p + q) / 2
        return 1 - (divergence(p, middle) + divergence(q, middle)) / (2 * torch.log(torch.tensor(2.0)).item())


@final
@dataclass(frozen=True)
class Variance:
    r"""$\omega = 1 - \frac12 \sum_d (p_{n,d} - p_{m,d})^2$: the squared distance, scaled to [0, 1] (assumed).

    Args:
        smoothing: mass that is spread evenly, in (0, 1).
    """

    smoothing: float = 0.05

    def __post_init__(self) -> None:
        _check_share(self.smoothing)

    def __call__(self, sensed: Tensor, known: Tensor) -> Tensor:
        apart = smoothed(sensed, self.smoothing) - smoothed(known, self.smoothing)
        return 1 - apart.square().sum(-1) / 2


@final
@dataclass(frozen=True)
class LogGain:
    r"""$f(x) = \ln(1 + x / x_0)$.

    Args:
        scale_samples: $x_0$ > 0.
    """

    scale_samples: float

    def __post_init__(self) -> None:
        _check_scale(self.scale_samples)

    def __call__(self, samples: Tensor) -> Tensor:
        return torch.log1p(samples / self.scale_samples)


@final
@dataclass(frozen=True)
class SaturatingGain:
    r"""$f(x) = 1 - e^{-x / x_0}$.

    Args:
        scale_samples: $x_0$ > 0.
    """

    scale_samples: float

    def __post_init__(self) -> None:
        _check_scale(self.scale_samples)

    def __call__(self, samples: Tensor) -> Tensor:
        return -torch.expm1(-samples / self.scale_samples)


CORRELATIONS: dict[str, type[KullbackLeibler] | type[JensenShannon] | type[Variance]] = {
    "kl": KullbackLeibler,
    "jensen_shannon": JensenShannon,
    "variance": Variance,
}
"""Correlations by the name that a scenario takes."""

GAIN_FUNCTIONS: dict[str, type[LogGain] | type[SaturatingGain]] = {"log": LogGain, "saturating": SaturatingGain}
"""Gain functions by the name that a scenario takes."""


def _check_share(smoothing: float) -> None:
    if not 0 < smoothing < 1:
        raise ConfigError(f"gain.smoothing: {smoothing} is outside (0, 1); give a share like 0.05")


def _check_scale(scale_samples: float) -> None:
    if not 0 < scale_samples < float("inf"):
        raise ConfigError(f"gain.scale_samples: {scale_samples} is not a positive number; give one > 0")
