"""Components of latents by what they mean for the picture, not for the latent."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, cast, final

import torch
from torch import Tensor

from gainnet.codecs.spectral_basis import SPECTRAL, SpectralBasis
from gainnet.core.types import Spec

SMALLEST_SHARE = 1e-9


class CodedBasis(Protocol):
    """Components of latents in the metric of the decoder, as the learned seed codec works on them.

    mean: [num_values], of the latents.
    variances: [num_components], > 0, not increasing.
    """

    @property
    def mean(self) -> Tensor: ...

    @property
    def variances(self) -> Tensor: ...

    @property
    def num_values(self) -> int:
        """Entries of a latent."""

    @property
    def num_components(self) -> int:
        """At most `num_values`."""

    @property
    def squared_norms(self) -> Tensor:
        """[num_components], squared error of a latent per squared error of every component."""

    def analyse(self, latents: Tensor) -> Tensor:
        """[n, num_components], components of latents [n, num_values]."""

    def turn(self, differences: Tensor) -> Tensor:
        """[n, num_components], components of differences of latents [n, num_values]."""

    def synthesise(self, components: Tensor) -> Tensor:
        """[n, num_values], latents of components [n, num_components]."""

    def tensors(self) -> dict[str, Tensor]:
        """Tensors that are stored of it, by name."""

    def config(self) -> dict[str, Any]:
        """Plain values that are stored beside the tensors."""


@final
@dataclass(frozen=True)
class PictureBasis:
    r"""Principal components of latents in the metric of the decoder.

    A small error e of a latent costs $e^T M e$ in the picture, $M = \mathrm{E}[J^T J]$ with the decoder's Jacobian J.
    With $W = M^{1/2}$ and the eigenvectors Q of $W C W$ (covariance C), $c = Q^T W (z - \mu)$ has uncorrelated entries,
    and its squared error is that of the picture: a code that is best for c is best for the picture, to first order.

    Args:
        mean: [num_values], float32, $\mu$.
        analysis: [num_values, num_values], float32, $Q^T W$, rows in order of falling variance.
        variances: [num_values], float32, of the components, > 0, not increasing.
    """

    mean: Tensor
    analysis: Tensor
    variances: Tensor

    @staticmethod
    def of_moments(mean: Tensor, covariance: Tensor, metric: Tensor) -> PictureBasis:
        """The basis of a mean [n], a covariance [n, n] and a metric [n, n]; components have mean variance 1.

        >>> two = PictureBasis.of_moments(torch.zeros(2), torch.eye(2), torch.diag(torch.tensor([1.0, 9.0])))
        >>> two.variances
        tensor([1.8004, 0.2000])
        """
        values, vectors = torch.linalg.eigh(metric.double())
        # The symmetric root; directions that the decoder ignores keep a little weight, or the basis had no inverse.
        root = (vectors * values.clamp_min(SMALLEST_SHARE * values.max()).sqrt()) @ vectors.T
        variances, directions = torch.linalg.eigh(root @ covariance.double() @ root)
        # Mean variance 1, so that thresholds and tables do not depend on the units of the metric.
        scale = variances.clamp_min(0).mean().rsqrt()
        return PictureBasis(mean.float(), *_rounded((scale * directions.T @ root).flip(0), covariance))

    def tempered(self, exponent: float, covariance: Tensor) -> PictureBasis:
        r"""The same components in a metric that counts an error of component j $\lambda_j^{-a}$ times.

        The metric of the Jacobian is that of small errors. Large ones cost less than it says, since pictures are
        bounded, and the more so the stronger the component.

        Args:
            exponent: $a$, 0 to 1.
            covariance: [num_values, num_values], of the latents.

        >>> two = PictureBasis.of_moments(torch.zeros(2), torch.eye(2), torch.diag(torch.tensor([1.0, 9.0])))
        >>> two.tempered(0.5, torch.eye(2)).variances
        tensor([1.4997, 0.4999])
        """
        scale = self.variances.double() ** (-exponent / 2)
        scale = scale / (scale.square() * self.variances).mean().sqrt()
        return PictureBasis(self.mean, *_rounded(scale[:, None] * self.analysis, covariance))

    @property
    def num_values(self) -> int:
        return len(self.mean)

    @property
    def num_components(self) -> int:
        return len(self.variances)

    def analyse(self, latents: Tensor) -> Tensor:
        return ((latents.double() - self.mean.double()) @ self.analysis.double().T).float()

    def turn(self, differences: Tensor) -> Tensor:
        return differences @ self.analysis.to(differences).T

    def tensors(self) -> dict[str, Tensor]:
        return {"analysis": self.analysis.half(), "mean": self.mean, "variances": self.variances}

    def config(self) -> dict[str, Any]:
        return {}

    def synthesise(self, components: Tensor) -> Tensor:
        return self.mean.to(components) + components @ self._synthesis.to(components).T

    @cached_property
    def squared_norms(self) -> Tensor:
        return self._synthesis.square().sum(0)

    @cached_property
    def _synthesis(self) -> Tensor:
        return cast(Tensor, torch.linalg.inv(self.analysis.double()).float())


@final
@dataclass(frozen=True)
class SpectralPictureBasis:
    """Components by spatial frequency, for latents too large for a matrix of all their entries.

    Args:
        spectral: components, in the metric of the decoder.
    """

    spectral: SpectralBasis

    @property
    def mean(self) -> Tensor:
        return self.spectral.mean

    @property
    def variances(self) -> Tensor:
        return self.spectral.variances

    @property
    def num_values(self) -> int:
        return self.spectral.num_values

    @property
    def num_components(self) -> int:
        return self.spectral.num_components

    @property
    def squared_norms(self) -> Tensor:
        return self.spectral.squared_norms

    def analyse(self, latents: Tensor) -> Tensor:
        return self.spectral.analyse(latents, (len(latents),))

    def turn(self, differences: Tensor) -> Tensor:
        return self.spectral.turn(differences).float()

    def synthesise(self, components: Tensor) -> Tensor:
        return self.spectral.synthesise(components, Spec((self.num_values,)))

    def tensors(self) -> dict[str, Tensor]:
        return self.spectral.tensors()

    def config(self) -> dict[str, Any]:
        return {"form": SPECTRAL, **self.spectral.config()}


def _rounded(analysis: Tensor, covariance: Tensor) -> tuple[Tensor, Tensor]:
    """The analysis as it is stored, and the variances that it gives."""
    # Variances are those of the rounded basis, which is what both ends will use.
    stored = analysis.half().float()
    variances = (stored.double() @ covariance.double() * stored.double()).sum(1)
    return stored, variances.float()
