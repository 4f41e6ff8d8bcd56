"""The models of pictures that come with the package: what each draws and which words it knows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from gainnet.core.errors import ModelError
from gainnet.models.loading import (
    SHIPPED,
    find_folder,
    generation_defaults,
    home_of,
    read_family,
    read_index,
    shipped_models,
    weights_sha256,
)
from gainnet.models.vocabulary import Unknown, Vocabulary, read_vocabulary


def suited_model(prompts: Iterable[str], among: Sequence[str] = SHIPPED) -> str:
    """Name of the model that knows most words of prompts; of several, the first.

    Only models that are here and state their words are candidates, so that more can be shipped without a change here;
    where there is none, it is the first name.

    Args:
        prompts: texts, of which all are drawn by one model.
        among: names or folders of models, at least one; those that are shipped where none are given.

    >>> suited_model(["a green heart at night"])
    'scenes'
    """
    texts = list(prompts)
    here = {name: vocabulary for name in among if (vocabulary := _vocabulary_of(name)) is not None}
    return min(here, key=lambda name: len(here[name].missing(texts)), default=among[0])


def present_models() -> tuple[str, ...]:
    """Names of the shipped models that draw and whose weights are here, at least the first one."""
    return tuple(name for name in SHIPPED if name == SHIPPED[0] or _vocabulary_of(name) is not None)


def unknown_words(model: str, prompts: Iterable[str]) -> tuple[Unknown, ...]:
    """Words of prompts that a model was not trained on; none where its folder does not say which it knows.

    Args:
        model: name or folder.
        prompts: texts.

    >>> unknown_words("scenes", ["a red dragon"])
    (Unknown(word='dragon', nearest='drawing'),)
    """
    vocabulary = _vocabulary_of(model)
    return () if vocabulary is None else vocabulary.unknown(prompts)


def describe_models() -> list[dict[str, Any]]:
    """Name, domain, number of words and presence of each shipped model, in that order, as plain values."""
    return [_row(name) for name in shipped_models()]


def describe_model(name: str) -> dict[str, Any]:
    """Domain, words, pipeline, family, sampler, settings and digest of a model, as plain values.

    Args:
        name: of a shipped model, or a folder.

    Raises:
        ModelError: it is not there, a file of it is damaged, or it is of no family that can be run.
    """
    folder = find_folder(name)
    vocabulary, index = read_vocabulary(home_of(folder)), read_index(folder, name)
    return {
        "name": name,
        "domain": vocabulary and vocabulary.domain,
        "words": vocabulary and sorted(vocabulary.words),
        "pipeline": index.get("_class_name"),
        "family": read_family(folder, name).name,
        # diffusers names a component by its library and class; one that is left out has neither.
        "sampler": (index.get("scheduler") or [None, None])[1],
        "generation": generation_defaults(folder),
        "num_bytes": sum(path.stat().st_size for path in folder.rglob("*.safetensors")),
        "sha256": weights_sha256(folder),
        "card": _card(folder),
    }


def _row(name: str) -> dict[str, Any]:
    try:
        vocabulary = read_vocabulary(home_of(find_folder(name)))
    except ModelError:
        return {"name": name, "domain": None, "num_words": None, "is_there": False}
    return {
        "name": name,
        "domain": vocabulary and vocabulary.domain,
        "num_words": vocabulary and len(vocabulary.words),
        "is_there": True,
    }


def _vocabulary_of(model: str) -> Vocabulary | None:
    try:
        return read_vocabulary(home_of(find_folder(model)))
    except ModelError:
        # A model of the user's own has a name and no folder; one that is not shipped yet has no weights.
        return None


def _card(folder: Path) -> str | None:
    path = folder / "README.md"
    return path.read_text(encoding="utf-8") if path.is_file() else None
