"""Words of prompts as numbers: all that a device has to know of a language to decode with the prompt."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

import torch
from torch import Tensor

PADDING, ABSENT, UNKNOWN = 0, 1, 2
NUM_SPECIAL = 3


@final
@dataclass(frozen=True)
class Vocabulary:
    """Known words and the longest prompt that is read.

    Args:
        words: sorted, lower case.
        max_words: words of a prompt beyond these are not read.

    >>> vocabulary = Vocabulary.of(["a red star", "a moon"], max_words=4)
    >>> vocabulary.indices(["A red, red whale", ""]).tolist()
    [[3, 5, 5, 2], [1, 0, 0, 0]]
    """

    words: tuple[str, ...]
    max_words: int = 24

    @staticmethod
    def of(prompts: Iterable[str], max_words: int = 24) -> Vocabulary:
        """All words of some prompts."""
        return Vocabulary(tuple(sorted({word for prompt in prompts for word in split_words(prompt)})), max_words)

    @property
    def num_indices(self) -> int:
        """Words and the three signs: padding, no prompt, unknown word."""
        return NUM_SPECIAL + len(self.words)

    def indices(self, prompts: Sequence[str]) -> Tensor:
        """[num_prompts, max_words], 0 behind the last word; an empty prompt is a sign of its own."""
        rows = torch.full((len(prompts), self.max_words), PADDING)
        for row, prompt in zip(rows, prompts, strict=True):
            found = [self._index.get(word, UNKNOWN) for word in split_words(prompt)] or [ABSENT]
            kept = found[: self.max_words]
            row[: len(kept)] = torch.tensor(kept)
        return rows

    def absent(self, num_prompts: int) -> Tensor:
        """[num_prompts, max_words], as of empty prompts."""
        rows = torch.full((num_prompts, self.max_words), PADDING)
        rows[:, 0] = ABSENT
        return rows

    @cached_property
    def _index(self) -> dict[str, int]:
        return {word: NUM_SPECIAL + index for index, word in enumerate(self.words)}


def split_words(prompt: str) -> list[str]:
    """Lower-case words of a prompt, without punctuation.

    >>> split_words("A star, at sunset.")
    ['a', 'star', 'at', 'sunset']
    """
    return re.findall(r"\w+", prompt.lower())
