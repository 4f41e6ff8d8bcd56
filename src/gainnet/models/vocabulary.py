"""The words that a model was trained on, and what it draws."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from gainnet.core.errors import ModelError
from gainnet.core.outside import read_json, reading

VOCABULARY = "vocabulary.json"
"""The file of a model folder that holds it."""


@final
@dataclass(frozen=True)
class Unknown:
    """A word of a prompt that a model was not trained on.

    Args:
        word: lower case, as the prompt has it.
        nearest: the known word whose letters are most alike.
    """

    word: str
    nearest: str


@final
@dataclass(frozen=True)
class Vocabulary:
    """Domain of a model, and all words of its training.

    Args:
        domain: what it draws, in one sentence.
        words: lower case, at least one.
    """

    domain: str
    words: frozenset[str]

    def unknown(self, prompts: Iterable[str]) -> tuple[Unknown, ...]:
        """The words of prompts that are not known, each once, in their order.

        >>> Vocabulary("", frozenset({"a", "red", "star"})).unknown(["a red stare", "A stare!"])
        (Unknown(word='stare', nearest='star'),)
        """
        return tuple(Unknown(word, self._nearest(word)) for word in self.missing(prompts))

    def missing(self, prompts: Iterable[str]) -> list[str]:
        """Words of prompts that are not known, each once, in their order."""
        found = dict.fromkeys(word for prompt in prompts for word in split_words(prompt))
        return [word for word in found if word not in self.words]

    def _nearest(self, word: str) -> str:
        table, lengths = self._letters
        # No ratio is above that of the letters in any order. A prompt in another language has hundreds of words to look
        # up among thousands, so that only those are compared which may still be nearer than the nearest so far.
        bounds = 2 * np.minimum(table, _letters(word)).sum(1) / (lengths + len(word))
        matcher, known = SequenceMatcher(None, "", word), sorted(self.words)
        likest, nearest = -1.0, known[0]
        for k in np.argsort(-bounds, kind="stable").tolist():
            if bounds[k] <= likest:
                break
            matcher.set_seq1(known[k])
            # Of equally near ones the first: sorted stably, so that ties are broken alike everywhere.
            if (ratio := matcher.ratio()) > likest:
                likest, nearest = ratio, known[k]
        return nearest

    @cached_property
    def _letters(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Letters of every word, counted in 64 classes [num_words, 64], and how many they are [num_words]."""
        known = sorted(self.words)
        return np.stack([_letters(word) for word in known]), np.array([len(word) for word in known])

    def to_json(self) -> dict[str, Any]:
        """Plain values that `read_vocabulary` reads."""
        return {"domain": self.domain, "words": sorted(self.words)}


def _letters(word: str) -> NDArray[np.int64]:
    # Letters that share a class only loosen the bound.
    return np.bincount([ord(letter) % 64 for letter in word], minlength=64)


def split_words(text: str) -> list[str]:
    """Words of a text, lower case; hyphens and signs separate them, apostrophes do not.

    >>> split_words("Man's T-shirt")
    ['mans', 't', 'shirt']
    """
    return re.findall(r"[^\W_]+", text.lower().replace("'", "").replace("’", ""))


def read_vocabulary(folder: Path) -> Vocabulary | None:
    """The vocabulary of a model folder; `None` where it states none, as models of others do.

    Raises:
        ModelError: the file is damaged.
    """
    path = folder / VOCABULARY
    if not path.is_file():
        return None
    found: Mapping[str, Any] = read_json(path.read_bytes(), VOCABULARY, ModelError)
    with reading(VOCABULARY, ModelError):
        domain, words = found["domain"], frozenset(found["words"])
        if not (words and isinstance(domain, str) and all(isinstance(word, str) for word in words)):
            raise ValueError(VOCABULARY)
        return Vocabulary(domain, words)
