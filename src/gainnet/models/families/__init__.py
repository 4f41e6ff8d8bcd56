"""Families of latent diffusion models, one small class each; an installed package may offer more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from itertools import chain
from typing import Final

from gainnet.core.errors import ModelError
from gainnet.core.plugins import call_plugin
from gainnet.models.families.family import Family
from gainnet.models.families.flux import Flux
from gainnet.models.families.sd import StableDiffusion
from gainnet.models.families.sd3 import StableDiffusion3
from gainnet.models.families.sdxl import StableDiffusionXL

FAMILIES: Final[Mapping[str, Family]] = {
    family.name: family for family in (StableDiffusion(), StableDiffusionXL(), StableDiffusion3(), Flux())
}
"""The families that come with the package, by name."""

GROUP: Final = "gainnet.families"
"""Entry points of packages that offer a family: a class that keeps the contract of `Family`."""


def family_of(pipeline: str) -> Family:
    """The family that opens a class of pipelines of diffusers.

    Args:
        pipeline: name of the class, as `model_index.json` has it.

    Raises:
        ModelError: none does.

    >>> family_of("StableDiffusionXLPipeline").name
    'sdxl'
    """
    # Packages are looked through only for what none of ours opens: that takes as long as reading a model's files.
    for family in chain(FAMILIES.values(), _offered()):
        if pipeline in family.pipelines:
            return family
    raise ModelError(
        f"model: {pipeline} is of no known family ({', '.join(FAMILIES)}); the docs on models of your own say how to "
        "add one"
    )


def valid_pairs() -> tuple[tuple[str, str], ...]:
    """Family and sampler of every combination that runs as diffusers' own pipeline does."""
    return tuple((family.name, sampler) for family in FAMILIES.values() for sampler in family.samplers)


def _offered() -> Iterator[Family]:
    for point in entry_points(group=GROUP):
        yield call_plugin("families", point.load)()


__all__ = ["FAMILIES", "GROUP", "Family", "family_of", "valid_pairs"]
