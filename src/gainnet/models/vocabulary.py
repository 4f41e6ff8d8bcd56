"""The words that a model was trained on, and what it draws."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, final

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
        matcher, likest, best = SequenceMatcher(None, "", word), 0.0, ""
        # Sorted, so that ties are broken alike everywhere.
        for known in sorted(self.words):
            matcher.set_seq1(known)
            # Two cheap upper bounds first: a long prompt in another language has hundreds of words to look up.
            if all(ratio() > likest for ratio in (matcher.real_quick_ratio, matcher.quick_ratio, matcher.ratio)):
                likest, best = matcher.ratio(), known
        return best or min(self.words)

    def to_json(self) -> dict[str, Any]:
        """Plain values that `read_vocabulary` reads."""
        return {"domain": self.domain, "words": sorted(self.words)}


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
