"""Which components a codec of latents works on: those that were learned for the model, dense or by frequency."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from gainnet.codecs.basis import BASES, FORMAT, SHIPPED_FOR, SeedBasis
from gainnet.codecs.content import Content
from gainnet.codecs.spectral_basis import SPECTRAL, SpectralBasis
from gainnet.core.errors import ModelError
from gainnet.core.types import Spec


class Components(Protocol):
    """Uncorrelated components of the latents of one model, the strongest first.

    latent [*batch, *shape] --analyse--> components [*batch, num_components] --synthesise--> latent
    """

    @property
    def mean(self) -> Tensor:
        """[num_values], of latents."""

    @property
    def variances(self) -> Tensor:
        """[num_components], > 0, not increasing."""

    @property
    def scale_classes(self) -> tuple[int, ...]:
        """One integer per component, which picks the tables of an entropy coder."""

    @property
    def num_values(self) -> int:
        """Entries of a latent."""

    @property
    def num_components(self) -> int:
        """How many there are, at most `num_values`."""

    @property
    def root_mean_square(self) -> float:
        """Of the latents' entries."""

    def analyse(self, x: Tensor, batch: tuple[int, ...]) -> Tensor:
        """[*batch, num_components], components of latents [*batch, ...]."""

    def synthesise(self, components: Tensor, spec: Spec) -> Tensor:
        """[*batch, *spec.shape], latents of the first components [*batch, n]; the others are zero, their mean."""

    def check(self, spec: Spec, codec: str) -> None:
        """Raises `ConfigError` unless a tensor has as many values as the latents."""

    def save(self, folder: Path, how: dict[str, Any]) -> None:
        """Writes a weights folder; `how` says what made it."""


def load_components(model: str | Path = SHIPPED_FOR, model_sha256: str | None = None) -> Components:
    """The components of a model's latents, of either form.

    Args:
        model: name or folder of the model, or a folder of weights.
        model_sha256: digest that they have to fit; `None` accepts any.

    Raises:
        ModelError: there are none, the folder is damaged, or they fit another model.

    >>> load_components("scenes").num_components
    1024
    """
    folder = BASES.find(model, model_sha256)
    if FORMAT.config(folder, {"model_sha256": str}).get("form") == SPECTRAL:
        return SpectralBasis.load(folder, model_sha256)
    return SeedBasis.load(folder, model_sha256)


def components_of(content: Content, codec: str) -> Components:
    """The components of the model that makes the content; without a model the shipped ones, if the shape fits.

    Args:
        content: latents.
        codec: name of the codec that needs them, for errors.

    Raises:
        ModelError: none fit the model.
        ConfigError: there is no model, and the shipped ones are for another shape.
    """
    found = load_components(content.model or SHIPPED_FOR, content.model_sha256)
    content.check_shipped(found.num_values, codec, "basis")
    return found


def root_mean_square(content: Content) -> float:
    r"""Of the entries of a latent, $\sqrt{\alpha^2 r^2 + \sigma^2}$ with $r$ of finished ones.

    Where no basis is known, $r$ is 1, since diffusers scales latents so (assumed).
    """
    try:
        finished = 1.0 if content.model is None else components_of(content, "raw").root_mean_square
    except ModelError:
        finished = 1.0
    return math.hypot(content.signal * finished, content.noise)
