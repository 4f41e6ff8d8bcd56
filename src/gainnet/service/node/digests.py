"""Digests of the weights that a node has, part by part, so that two nodes find out whether they have the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from gainnet.models.difference import DIFFERENCE
from gainnet.models.loading import home_of

PARTS: Final = ("text_encoder", "unet", "vae")
"""Folders of a model in diffusers' format that have weights."""


def part_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of the weights of each part that is there, by name of its folder.

    Args:
        folder: of a model in diffusers' format.

    >>> from gainnet.models.loading import find_folder
    >>> sorted(part_digests(find_folder("scenes")))
    ['text_encoder', 'unet', 'vae']
    """
    home = home_of(folder)
    files = {part: sorted((home / part).glob("*.safetensors")) for part in PARTS}
    if home != folder:
        files["unet"].append(folder / DIFFERENCE)
    return {part: _digest(paths) for part, paths in files.items() if paths}


def different(mine: Mapping[str, str], theirs: Mapping[str, object]) -> tuple[str, ...]:
    """Parts that two nodes have and whose weights differ.

    >>> different({"vae": "a", "unet": "b"}, {"vae": "c"})
    ('vae',)
    """
    return tuple(part for part, digest in mine.items() if part in theirs and theirs[part] != digest)


def _digest(paths: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
