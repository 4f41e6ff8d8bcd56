"""Families of models that clients train, one small class each; an installed package may offer more."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import Any, Final

from gainnet.core.errors import ModelError
from gainnet.core.plugins import call_plugin
from gainnet.models.language_families.causal import Causal
from gainnet.models.language_families.encoder_decoder import EncoderDecoder
from gainnet.models.language_families.family import IGNORED, LanguageFamily
from gainnet.models.language_families.masked import Masked
from gainnet.models.language_families.vision import Vision

LANGUAGE_FAMILIES: Final[Mapping[str, LanguageFamily]] = {
    family.name: family for family in (Vision(), EncoderDecoder(), Masked(), Causal())
}
"""The families that come with the package, by name; the first that opens a model is its own."""

LANGUAGE_GROUP: Final = "gainnet.language_families"
"""Entry points of packages that offer a family: a class that keeps the contract of `LanguageFamily`."""


def language_family_of(model: Any) -> LanguageFamily:
    """The family of a model: the one that it names as `gainnet_family`, else the first that opens it.

    Args:
        model: of transformers, of PEFT around it, or of one's own.

    Raises:
        ModelError: it is of no known family.

    >>> from gainnet.models.language import small_decoder
    >>> language_family_of(small_decoder(16, 1, 2, 40)).name
    'causal'
    """
    plain = model.get_base_model() if hasattr(model, "get_base_model") else model
    own: LanguageFamily | None = getattr(plain, "gainnet_family", None)
    return own or family_by_config(plain.config, type(plain).__name__)


def family_by_config(config: Any, architecture: str) -> LanguageFamily:
    """The family of a configuration of transformers and a name of a class.

    Raises:
        ModelError: it is of no known family.
    """
    # Packages come first: what they offer was written for a model that ours would open otherwise.
    for family in (*_offered(), *LANGUAGE_FAMILIES.values()):
        if family.opens(config, architecture):
            return family
    known = ", ".join(LANGUAGE_FAMILIES)
    raise ModelError(f"model: {architecture} is of no known family ({known}); the docs on learning say how to add one")


@cache
def _offered() -> tuple[LanguageFamily, ...]:
    # Every loss asks for its family, and looking through installed packages takes longer than a small step.
    return tuple(call_plugin("language_families", point.load)() for point in entry_points(group=LANGUAGE_GROUP))


__all__ = [
    "IGNORED",
    "LANGUAGE_FAMILIES",
    "LANGUAGE_GROUP",
    "LanguageFamily",
    "family_by_config",
    "language_family_of",
]
