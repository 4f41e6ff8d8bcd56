"""Statistics of the latents of a model for linear codecs: mean, eigenvectors and variances."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from gainnet.codecs.shelf import Shelf
from gainnet.codecs.tables import scale_class
from gainnet.core.errors import ConfigError, ModelError
from gainnet.core.types import Spec
from gainnet.core.weights import WeightsFormat

FORMAT = WeightsFormat("seed basis", "seed_basis", "basis.safetensors", "train one with gainnet train seed-basis")
SHIPPED_FOR = "scenes"
BASES = Shelf(FORMAT, "", (SHIPPED_FOR,), SHIPPED_FOR, "linear")
SMALLEST_VARIANCE = 1e-8
MOST_IN_HALVES = 1024
"""Entries of a latent up to which eigenvectors are stored as fp16; the square matrix of more takes a byte an entry."""

BYTE_STEPS = 63


@final
@dataclass(frozen=True)
class SeedBasis:
    r"""Principal components of the latents of one model, for codecs that send seeds.

    $c = V^T (z - \mu)$, $z = \mu + V c$, $\mathrm{E}[c c^T] = \mathrm{diag}(\lambda)$   (Hotelling 1933)

    Args:
        mean: [num_values], float32, $\mu$.
        basis: [num_values, num_components], float32, columns of $V$ are the components; of a large latent only the
            strongest ones.
        variances: [num_components], float32, $\lambda$ > 0, not increasing.
        scale_classes: one integer per component, $8 \log_2 \sqrt\lambda$ rounded: it picks the tables of the entropy
            coder, so it is stored, not computed where a stream is decoded.
        model_sha256: digest of the model whose latents these are.
        variance_outside: sum of the variances of all directions that are no component.
    """

    mean: Tensor
    basis: Tensor
    variances: Tensor
    scale_classes: tuple[int, ...]
    model_sha256: str
    variance_outside: float = 0.0

    @staticmethod
    def of_moments(mean: Tensor, covariance: Tensor, model_sha256: str) -> SeedBasis:
        """The basis of a mean [n] and a covariance [n, n]; eigenvectors are rounded as `save` stores them.

        >>> SeedBasis.of_moments(torch.zeros(2), torch.diag(torch.tensor([1.0, 4.0])), "").variances
        tensor([4., 1.])
        """
        # eigh sorts upwards, codecs want the strongest component first.
        values, vectors = torch.linalg.eigh(covariance.double())
        variances = values.flip(0).clamp_min(SMALLEST_VARIANCE).float()
        # Sender and receiver load half-precision vectors; the trainer must code with the same ones.
        vectors = vectors.flip(1).half().float()
        return SeedBasis(mean.float(), vectors, variances, scale_classes_of(variances), model_sha256)

    def with_variances(self, variances: Tensor) -> SeedBasis:
        """The same components with variances [n] that were measured elsewhere, put in order together.

        >>> plain = SeedBasis.of_moments(torch.zeros(2), torch.diag(torch.tensor([4.0, 1.0])), "")
        >>> plain.with_variances(torch.tensor([1.0, 9.0])).basis.abs()
        tensor([[0., 1.],
                [1., 0.]])
        """
        ordered, order = variances.clamp_min(SMALLEST_VARIANCE).float().sort(descending=True)
        return replace(self, basis=self.basis[:, order], variances=ordered, scale_classes=scale_classes_of(ordered))

    @staticmethod
    def of_samples(samples: Tensor, model_sha256: str) -> SeedBasis:
        """The basis of samples [num_samples, num_values]."""
        wide = samples.double()
        return SeedBasis.of_moments(wide.mean(0), torch.cov(wide.T), model_sha256)

    @staticmethod
    def load(model: str | Path = SHIPPED_FOR, model_sha256: str | None = None) -> SeedBasis:
        """The basis from a weights folder: the path itself, else by name from the user's data folder, else the package.

        Args:
            model: a folder with `config.json` and `basis.safetensors`, or the name of a model.
            model_sha256: digest that the basis has to fit; `None` accepts any.

        Raises:
            ModelError: no such folder, a damaged one, or one that fits another model.
        """
        folder = BASES.find(model, model_sha256)
        config = FORMAT.config(folder, {"model_sha256": str})
        # First, since the tensors of another model are not worth reading.
        FORMAT.check_model(folder, config["model_sha256"], model_sha256)
        tensors = _read_tensors(folder)
        classes = tuple(int(c) for c in tensors["scale_classes"])
        mean, basis, variances = (tensors[name].float() for name in ("mean", "basis", "variances"))
        if "steps" in tensors:
            basis = basis * tensors["steps"]
        outside = float(config.get("variance_outside", 0.0))
        return SeedBasis(mean, basis, variances, classes, config["model_sha256"], outside)

    def save(self, folder: Path, how: dict[str, Any]) -> None:
        """Writes `config.json` and `basis.safetensors`, each file whole.

        Eigenvectors are stored as fp16; those of latents of more than 1,024 entries as 7-bit integers, each with its
        own step, which costs an error of 4e-4 of a component's energy.

        Args:
            folder: made if it is not there.
            how: what made it, goes into `config.json`.
        """
        tensors = {
            "mean": self.mean.float(),
            **(_halves(self.basis) if self.num_values <= MOST_IN_HALVES else _bytes(self.basis)),
            "variances": self.variances.float(),
            "scale_classes": torch.tensor(self.scale_classes, dtype=torch.int16),
        }
        config = {"model_sha256": self.model_sha256, "num_values": self.num_values}
        if self.variance_outside:
            config |= {"variance_outside": self.variance_outside}
        FORMAT.save(folder, tensors, {**config, **how})

    @property
    def num_values(self) -> int:
        return len(self.mean)

    @property
    def num_components(self) -> int:
        return self.basis.shape[1]

    @property
    def root_mean_square(self) -> float:
        """Of the latents' entries: what a code without a transform divides by, to send at unit power."""
        inside = float(self.variances.double().sum() + self.mean.double().square().sum())
        return math.sqrt((inside + self.variance_outside) / self.num_values)

    def analyse(self, x: Tensor, batch: tuple[int, ...]) -> Tensor:
        """[*batch, num_components], components of latents [*batch, ...].

        In float64: the last digit of a float32 product depends on the size of the batch, and a quantiser would show it.
        """
        return ((x.reshape(*batch, -1).double() - self.mean.double()) @ self._wide_basis).float()

    @cached_property
    def _wide_basis(self) -> Tensor:
        return self.basis.double()

    def synthesise(self, components: Tensor, spec: Spec) -> Tensor:
        """[*batch, *spec.shape], latents of components [*batch, num_components]."""
        # Components that were not sent are zero, their mean.
        flat = self.mean + components @ self.basis[:, : components.shape[-1]].T
        return flat.reshape(*components.shape[:-1], *spec.shape)

    def check(self, spec: Spec, codec: str) -> None:
        """Raises `ConfigError` unless a tensor has as many values as the basis."""
        check_values(spec, self.num_values, codec)


def _halves(basis: Tensor) -> dict[str, Tensor]:
    return {"basis": basis.half()}


def _bytes(basis: Tensor) -> dict[str, Tensor]:
    steps = basis.abs().amax(0).clamp_min(SMALLEST_VARIANCE) / BYTE_STEPS
    return {"basis": (basis / steps).round().to(torch.int8), "steps": steps.float()}


def check_values(spec: Spec, num_values: int, codec: str) -> None:
    """Raises `ConfigError` unless a tensor has as many values as the latents of a basis."""
    if spec.num_values != num_values:
        raise ConfigError(
            f"{codec}: the basis is for {num_values} values, the tensor has {spec.num_values}; "
            "train one with gainnet train seed-basis"
        )


def scale_classes_of(variances: Tensor) -> tuple[int, ...]:
    """One integer per variance [num_components], eighths of an octave of its root."""
    return tuple(scale_class(float(v) ** 0.5) for v in variances)


def _read_tensors(folder: Path) -> dict[str, Tensor]:
    tensors = FORMAT.tensors(folder)
    size, kept = len(tensors.get("mean", ())), len(tensors.get("variances", ()))
    shapes = {"mean": (size,), "basis": (size, kept), "variances": (kept,), "scale_classes": (kept,)}
    if "steps" in tensors:
        shapes["steps"] = (kept,)
    if not 0 < kept <= size or any(
        name not in tensors or tensors[name].shape != shape for name, shape in shapes.items()
    ):
        raise ModelError(f"seed basis: {folder / FORMAT.file} lacks a tensor or has one of another shape")
    return tensors
