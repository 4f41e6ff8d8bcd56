"""Kinds of pictures: a mixture of Gaussians that says what a component is when little of it arrived."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gainnet.codecs.seed_codec.trunk import zero_out


class Mixture(nn.Module):
    r"""Posterior mean of whitened components under a mixture of Gaussians with diagonal covariances.

    A component c with prior $N(m_k, s_k)$ in kind k, of which the receiver holds a statistic t with
    $t \sim N(q c, q)$ (matched filter, precision q), has

    $\mathrm{E}[c \mid t, k] = \frac{m_k + s_k t}{1 + s_k q}$, and
    $\log p(t \mid k) = \tfrac12 \sum_j \left[ \frac{s t^2 + 2 m t - q m^2}{1 + s q} - \log(1 + s q) \right]$ + const.

    A new one has all means 0 and variances 1, where both are LMMSE; `fit` sets them, training goes on from there.

    Args:
        num_kinds: Gaussians.
        num_components: strongest components that they cover.
        prompt_width: of the vector that a prompt becomes; it shifts the weights of the kinds, at first by nothing.
    """

    def __init__(self, num_kinds: int, num_components: int, prompt_width: int) -> None:
        super().__init__()
        self.means = nn.Parameter(torch.zeros(num_kinds, num_components))
        self.log_variances = nn.Parameter(torch.zeros(num_kinds, num_components))
        self.log_weights = nn.Parameter(torch.zeros(num_kinds))
        self.prompt = zero_out(nn.Linear(prompt_width, num_kinds))

    def forward(self, statistic: Tensor, precision: Tensor, prompt: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior means [n, num_components] and weights of the kinds [n, num_kinds].

        Args:
            statistic: [n, num_components], t.
            precision: [n, num_components], q >= 0.
            prompt: [n, prompt_width].
        """
        t, q = statistic[:, None], precision[:, None]
        means, variances = self.means, self.log_variances.exp()
        # Share of a kind's variance that the channel leaves; 1 where nothing was received.
        kept = 1 / (1 + variances * q)
        pulled = means + variances * t
        # The exponent of log p(t | k) without the terms that all kinds share.
        fit = ((pulled + means) * t - q * means.square()) * kept + kept.log()
        weights = (fit.sum(-1) / 2 + self.log_weights + self.prompt(prompt)).softmax(-1)
        return (weights[:, None] @ (pulled * kept))[:, 0], weights

    @torch.no_grad()
    def fit(self, samples: Tensor, importance: Tensor, random_seed: int, num_rounds: int = 25) -> None:
        """Sets the mixture to whitened samples [n, num_components] by k-means, then expectation-maximisation.

        Args:
            samples: of mean 0 and variance 1.
            importance: [num_components], weight of a component's squared distance in k-means.
            random_seed: of the first centres.
            num_rounds: of expectation and maximisation.
        """
        # k-means first: expectation-maximisation from random centres ends in poor optima.
        kinds = _nearest_kinds(samples * importance.sqrt(), len(self.means), random_seed)
        shares = nn.functional.one_hot(kinds, len(self.means)).to(samples)
        for _ in range(num_rounds):
            self._maximise(samples, shares)
            shares = self._expect(samples)

    def _maximise(self, samples: Tensor, shares: Tensor) -> None:
        counts = shares.sum(0)[:, None] + 1e-3
        means = shares.T @ samples / counts
        spread = shares.T @ samples.square() - counts * means.square()
        # A prior of some samples of variance 1, against kinds that collapse onto few samples.
        variances = (spread.clamp_min(0) + PRIOR_COUNT) / (counts + PRIOR_COUNT)
        self.means.copy_(means)
        self.log_variances.copy_(variances.clamp_min(SMALLEST_VARIANCE).log())
        self.log_weights.copy_((counts[:, 0] / len(samples)).log())

    def _expect(self, samples: Tensor) -> Tensor:
        precision = (-self.log_variances).exp()
        distance = samples.square() @ precision.T - 2 * samples @ (self.means * precision).T
        constant = (self.means.square() * precision + self.log_variances).sum(1)
        return (self.log_weights - (distance + constant) / 2).softmax(1)


PRIOR_COUNT = 8.0
"""Samples of variance 1 that every kind is given on top of its own, against kinds of a few samples."""

SMALLEST_VARIANCE = 0.02


def _nearest_kinds(samples: Tensor, num_kinds: int, random_seed: int, num_rounds: int = 15) -> Tensor:
    """[n], index of the nearest of `num_kinds` centres after Lloyd's iterations."""
    generator = torch.Generator().manual_seed(random_seed)
    centres = samples[torch.randint(len(samples), (num_kinds,), generator=generator)]
    for _ in range(num_rounds):
        nearest = torch.cdist(samples, centres).argmin(1)
        sums = torch.zeros_like(centres).index_add(0, nearest, samples)
        counts = torch.bincount(nearest, minlength=num_kinds)[:, None]
        # A centre without samples stays where it is.
        centres = torch.where(counts > 0, sums / counts.clamp_min(1), centres)
    return torch.cdist(samples, centres).argmin(1)
