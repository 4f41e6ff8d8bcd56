"""Components of latents by spatial frequency: for latents too large for a matrix of all their entries."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, cast, final

import torch
from torch import Tensor

from gainnet.codecs.basis import BASES, FORMAT, SMALLEST_VARIANCE, check_values, scale_classes_of
from gainnet.core.errors import ModelError
from gainnet.core.types import Spec

SPECTRAL: Final = "spectral"
SMALLEST_SHARE: Final = 1e-9
SENT_SHARE: Final = 64
"""One component in so many has a variance above 1: at low rates about these are coded."""


@final
@dataclass(frozen=True)
class SpectralBasis:
    r"""Components of latents whose statistics are nearly the same everywhere in space.

    The cosine transform of such a field leaves its frequencies nearly uncorrelated (Ahmed et al. 1974), so that only
    channels of one frequency f remain to be decorrelated: $c_f = A_f (F (z - \mu))_f$ with $A_f = Q_f^T W_f$, where
    $W_f^2$ is the metric of the decoder at that frequency and $Q_f$ are the eigenvectors of $W_f C_f W_f$. The squared
    error of components is then that of the picture, to first order. It takes h w c^2 numbers, not (h w c)^2.

    Args:
        channel_means: [channels], float32, $\mu$, which is the same everywhere.
        analysis: [height * width, channels, channels], float32, $A_f$ row by row.
        order: [num_components], index frequency * channels + row of every component, the strongest first.
        variances: [num_components], float32, > 0, not increasing.
        shape: (channels, height, width) of a latent.
        root_mean_square: of the latents' entries.
        model_sha256: digest of the model whose latents these are.
    """

    channel_means: Tensor
    analysis: Tensor
    order: Tensor
    variances: Tensor
    shape: tuple[int, int, int]
    root_mean_square: float
    model_sha256: str

    @staticmethod
    def of_moments(
        mean: Tensor,
        covariance: Tensor,
        metric: Tensor,
        shape: tuple[int, int, int],
        num_components: int,
        model_sha256: str,
    ) -> SpectralBasis:
        """The basis of second moments by frequency.

        Args:
            mean: [channels].
            covariance: [height * width, channels, channels], of cosine coefficients.
            metric: the same shape, what a squared error of them costs.
            shape: (channels, height, width) of a latent.
            num_components: how many are kept, those of largest variance.
            model_sha256: digest of the model.

        >>> one = torch.ones(4, 1, 1)
        >>> flat = SpectralBasis.of_moments(torch.zeros(1), torch.tensor([4., 2., 1., 3.])[:, None, None], one,
        ...                                 (1, 2, 2), 3, "")
        >>> flat.variances, flat.order.tolist()
        (tensor([1.0000, 0.7500, 0.5000]), [0, 3, 1])
        """
        values, vectors = torch.linalg.eigh(metric.double())
        # Directions that the decoder ignores keep a little weight, or the basis had no inverse.
        least = SMALLEST_SHARE * values.amax(-1, keepdim=True)
        root = (vectors * values.clamp_min(least).sqrt()[:, None]) @ vectors.mT
        _, turns = torch.linalg.eigh(root @ covariance.double() @ root)
        analysis = turns.mT.flip(1) @ root
        # The metric may have any unit: components in the middle of what is sent get variance 1, as quantisers expect.
        unit = _spread(analysis, covariance).sort(descending=True).values[math.prod(shape) // SENT_SHARE]
        # Sender and receiver load rounded matrices, and so does the trainer.
        stored = (analysis / unit.clamp_min(SMALLEST_VARIANCE).sqrt()).half().float()
        spread = _spread(stored.double(), covariance)
        order = spread.argsort(descending=True, stable=True)[:num_components]
        power = covariance.double().diagonal(dim1=-2, dim2=-1).sum() / math.prod(shape) + mean.double().square().mean()
        variances = spread[order].clamp_min(SMALLEST_SHARE * float(spread.max())).float()
        return SpectralBasis(mean.float(), stored, order, variances, shape, math.sqrt(float(power)), model_sha256)

    @staticmethod
    def load(folder: str | Path, model_sha256: str | None = None) -> SpectralBasis:
        """The basis of a weights folder; arguments and errors as `gainnet.codecs.components.load_components`."""
        folder = BASES.find(folder, model_sha256)
        config = FORMAT.config(folder, {"model_sha256": str, "shape": list, "root_mean_square": float})
        FORMAT.check_model(folder, config["model_sha256"], model_sha256)
        tensors = FORMAT.tensors(folder)
        try:
            return SpectralBasis.of_tensors(tensors, config)
        except (KeyError, TypeError, ValueError, RuntimeError):
            raise ModelError(f"seed basis: {folder} is damaged or incomplete") from None

    @staticmethod
    def of_tensors(tensors: dict[str, Tensor], config: dict[str, Any]) -> SpectralBasis:
        """The basis of what `tensors` and `config` gave; raises `ValueError` where shapes do not fit together."""
        channels, height, width = (int(side) for side in config["shape"])
        mean, analysis, variances = (tensors[name].float() for name in ("mean", "analysis", "variances"))
        order = tensors["order"].long()
        places = height * width * channels
        fits = analysis.shape == (height * width, channels, channels) and len(mean) == channels
        if not fits or len(order) != len(variances) or not bool(((order >= 0) & (order < places)).all()):
            raise ValueError("shapes")
        rms, sha256 = float(config["root_mean_square"]), str(config["model_sha256"])
        return SpectralBasis(mean, analysis, order, variances, (channels, height, width), rms, sha256)

    def tensors(self) -> dict[str, Tensor]:
        """Tensors that are stored of it, by name; matrices in half precision."""
        return {
            "mean": self.channel_means, "analysis": self.analysis.half(),
            "order": self.order.int(), "variances": self.variances,
        }  # fmt: skip

    def config(self) -> dict[str, Any]:
        """Plain values that are stored beside the tensors."""
        return {"shape": list(self.shape), "root_mean_square": round(self.root_mean_square, 6)}

    def save(self, folder: Path, how: dict[str, Any]) -> None:
        """Writes `config.json` and `basis.safetensors`, each file whole.

        Args:
            folder: made if it is not there.
            how: what made it, goes into `config.json`.
        """
        config = {"model_sha256": self.model_sha256, "form": SPECTRAL, **self.config(), **how}
        FORMAT.save(folder, self.tensors(), config)

    @cached_property
    def mean(self) -> Tensor:
        """[num_values], of latents."""
        return self.channel_means.repeat_interleave(self.shape[1] * self.shape[2])

    @property
    def num_values(self) -> int:
        return math.prod(self.shape)

    @property
    def num_components(self) -> int:
        return len(self.order)

    @cached_property
    def scale_classes(self) -> tuple[int, ...]:
        return scale_classes_of(self.variances)

    def analyse(self, x: Tensor, batch: tuple[int, ...]) -> Tensor:
        """[*batch, num_components], components of latents [*batch, ...].

        In float64: the last digit of a float32 product depends on the size of the batch, and a quantiser would show it.
        """
        latents = x.reshape(-1, *self.shape).double() - self.channel_means.double()[:, None, None]
        return self.turn(latents.flatten(1)).float().reshape(*batch, -1)

    def turn(self, latents: Tensor) -> Tensor:
        """[n, num_components], of differences of latents [n, num_values]; linear, in float64 on a processor."""
        # Some devices have no float64, and only training turns latents there.
        wide = latents.double() if latents.device.type == "cpu" else latents
        coefficients = to_frequencies(wide, self.shape)
        found = torch.einsum("fkc,nfc->nfk", self._analysis.to(wide), coefficients)
        return found.flatten(1)[:, self._order(latents)]

    def synthesise(self, components: Tensor, spec: Spec) -> Tensor:
        """[*batch, *spec.shape], latents of components [*batch, n]; those that were not sent are zero, their mean."""
        flat = components.reshape(-1, components.shape[-1])
        placed = flat.new_zeros(len(flat), self.num_values).index_copy(
            1, self._order(flat)[: flat.shape[1]], flat
        )  # fmt: skip
        by_frequency = placed.unflatten(1, (-1, self.shape[0]))
        inverse = self._synthesis.to(device=flat.device, dtype=flat.dtype)
        latents = from_frequencies(torch.einsum("fck,nfk->nfc", inverse, by_frequency), self.shape)
        return (latents + self.mean.to(latents)).reshape(*components.shape[:-1], *spec.shape)

    @cached_property
    def squared_norms(self) -> Tensor:
        """[num_components], squared error of a latent per squared error of every component."""
        # The cosine transform keeps lengths, so that of a column of the inverse at its frequency is that of a latent.
        return self._synthesis.square().sum(1).flatten()[self.order].float()

    def check(self, spec: Spec, codec: str) -> None:
        check_values(spec, self.num_values, codec)

    @cached_property
    def _analysis(self) -> Tensor:
        return self.analysis.double()

    @cached_property
    def _synthesis(self) -> Tensor:
        return cast(Tensor, torch.linalg.inv(self._analysis))

    def _order(self, like: Tensor) -> Tensor:
        return self.order.to(like.device)


def _spread(analysis: Tensor, covariance: Tensor) -> Tensor:
    """[frequencies * channels], variances of components in the order of the matrices."""
    return torch.einsum("fkc,fcd,fkd->fk", analysis, covariance.double(), analysis).flatten()


def cosines(side: int) -> Tensor:
    """[side, side], float64, rows are the orthonormal cosines of the DCT-II.

    >>> bool(torch.allclose(cosines(5) @ cosines(5).T, torch.eye(5, dtype=torch.float64)))
    True
    """
    k, x = torch.meshgrid(*(torch.arange(side, dtype=torch.float64),) * 2, indexing="ij")
    rows = torch.cos(math.pi / side * k * (x + 0.5)) * math.sqrt(2 / side)
    return torch.cat([rows[:1] / math.sqrt(2), rows[1:]])


def to_frequencies(latents: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """[n, height * width, channels], cosine coefficients of latents [n, num_values]; keeps lengths."""
    down, across = (cosines(side).to(latents) for side in shape[1:])
    return torch.einsum("ui,vj,ncij->nuvc", down, across, latents.unflatten(1, shape)).flatten(1, 2)


def from_frequencies(coefficients: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """[n, num_values], latents of cosine coefficients [n, height * width, channels]."""
    down, across = (cosines(side).to(coefficients) for side in shape[1:])
    return torch.einsum("ui,vj,nuvc->ncij", down, across, coefficients.unflatten(1, shape[1:])).flatten(1)
