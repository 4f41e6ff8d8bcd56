"""Digests of the weights that studies read: other weights make another run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from gainnet.codecs.basis import BASES
from gainnet.models.attributes import CHECKER, PRETRAINED
from gainnet.models.language import ABSTRACTS_FOLDER
from gainnet.models.loading import find_folder, weights_sha256

FOLDERS: Final[Mapping[str, Callable[[str], Path]]] = {
    "model": find_folder,
    "seed_basis": lambda model: BASES.find(model, weights_sha256(find_folder(model))),
    "checker": lambda model: CHECKER.folder,
    "classifier": lambda model: PRETRAINED,
}
"""Folders of what belongs to a model of pictures: its latents' basis, the checker that chooses, the judge."""


def picture_digests(model: str, *others: str) -> dict[str, str]:
    """sha256 of a model of pictures and of what is used beside it.

    Args:
        model: name or folder.
        others: keys of `FOLDERS`.

    Raises:
        ModelError: one of them is missing.
    """
    return {name: weights_sha256(FOLDERS[name](model)) for name in ("model", *others)}


def language_digest(model: str) -> dict[str, str]:
    """sha256 of a language model, by name or folder."""
    return {"model": weights_sha256(ABSTRACTS_FOLDER if model == "abstracts" else find_folder(model))}
