"""Other words for emoji: keywords of Unicode's CLDR that belong to one emoji alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gainnet.core.errors import ConfigError

ANNOTATIONS = "annotations/en/annotations.json of the npm package cldr-annotations-full 48.2.0"
ANNOTATIONS_SHA256 = "f22083cb86dffb63a643d5bacb5d9899f82d2fa5d388ad4f3aed72184acef505"
CHARACTERS = "chars.json of the npm package @iconify-json/noto 1.2.9"
CHARACTERS_SHA256 = "91485653ca890bff640f2a6c2d7be62d625a90527b6b4d816b41593675bf5c8f"
_PRESENTATION = "fe0f"


def read_synonyms(folder: Path) -> dict[str, tuple[str, ...]]:
    """Name of an emoji -> keywords that CLDR gives to no other one, as it writes them.

    Args:
        folder: holds `annotations.json` and `chars.json`.

    Raises:
        ConfigError: a file is missing or of another version.
    """
    found = _read(folder / "annotations.json", ANNOTATIONS, ANNOTATIONS_SHA256)
    annotations: Mapping[str, Any] = found["annotations"]["annotations"]
    names = _read(folder / "chars.json", CHARACTERS, CHARACTERS_SHA256)
    # CLDR leaves out the code that only asks for a coloured picture.
    of_character = {
        "".join(chr(int(code, 16)) for code in codes.split("-") if code != _PRESENTATION): name
        for codes, name in names.items()
    }
    owners: dict[str, set[str]] = {}
    for character, annotation in annotations.items():
        if character in of_character:
            for keyword in annotation["default"]:
                owners.setdefault(keyword.lower(), set()).add(of_character[character])
    synonyms: dict[str, tuple[str, ...]] = {}
    for keyword, (name, *others) in owners.items():
        if not others:
            synonyms[name] = (*synonyms.get(name, ()), keyword)
    return synonyms


def _read(path: Path, source: str, sha256: str) -> Any:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"source: {path} cannot be read ({error.strerror}); give {source}") from None
    if (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise ConfigError(f"source: {path} has another digest ({found[:12]}); give {source}")
    return json.loads(content)
