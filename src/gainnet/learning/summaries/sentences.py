"""Sentences of an abstract that a conclusion can be made of: which one names the objective, and features of each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, final
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

from gainnet.learning.summaries.scores import Words
from gainnet.models.trials.abstract import CONCLUSION, GIVEN, Sentence, StructuredAbstract

_IN_BRACKETS = re.compile(r"\s*[(\[][^()\[\]]*[)\]]")
_BEFORE_POINT = re.compile(r"\s+([.,;])")
_DIGIT = re.compile(r"\d")
_CUES = tuple(
    re.compile(words, re.IGNORECASE)
    for words in (
        r"\bsignifican",
        r"\b(conclu|suggest|indicat|demonstrat|show)",
        r"\b(improv|reduc|increas|decreas|lower|higher|greater|better|effective|safe|tolerated)",
        r"\b(no|not|similar|without)\b",
        r"\b(aim|objective|purpose|to (assess|evaluate|compare|determine|investigate|examine))",
        r"\b(compared|than|versus|vs)\b",
    )
)
"""Words that stand in sentences which findings or objectives are put in."""


class Vectors(Protocol):
    """A place for every sentence in a space where what means the same is close."""

    @property
    def width(self) -> int:
        """Numbers per sentence."""

    def of(self, texts: Sequence[str]) -> Tensor:
        """[num_texts, width] float32, of unit length."""


@final
@dataclass(frozen=True)
class HashedWords:
    """Counts of words, each at a place that its checksum gives: vectors for where no encoder is installed.

    Args:
        width: places.

    >>> x = HashedWords(64).of(["Pain fell.", "pain fell"])
    >>> round(float(x[0] @ x[1]), 3)
    1.0
    """

    width: int = 256

    def of(self, texts: Sequence[str]) -> Tensor:
        """As `Vectors.of`."""
        words, counts = Words(), torch.zeros(len(texts), self.width)
        for row, text in enumerate(texts):
            for word in words.tokenize(text):
                counts[row, crc32(word.encode()) % self.width] += 1.0
        return torch.nn.functional.normalize(counts, dim=-1)


@final
@dataclass(frozen=True, eq=False)
class Sentences:
    """The sentences of one abstract, without its conclusion.

    Args:
        abstract: whose.
        given: its sentences of other roles than the conclusion.
        vectors: [num_sentences, width] of each.
    """

    abstract: StructuredAbstract
    given: tuple[Sentence, ...]
    vectors: Tensor

    @staticmethod
    def of(abstract: StructuredAbstract, vectors: Vectors) -> Sentences:
        """The sentences of an abstract, with their vectors."""
        given = tuple(sentence for sentence in abstract.sentences if sentence.role != CONCLUSION)
        return Sentences(abstract, given, vectors.of([sentence.text for sentence in given]))

    @property
    def objective(self) -> int:
        """Place of the sentence that names the objective: the first of that role, else the last of the background,
        else the first of all."""
        for role, place in (("objective", 0), ("background", -1)):
            found = [index for index, sentence in enumerate(self.given) if sentence.role == role]
            if found:
                return found[place]
        return 0

    @property
    def states_objective(self) -> bool:
        """Whether a sentence has the role of an objective."""
        return self.given[self.objective].role == "objective"

    @property
    def central(self) -> int:
        """Place of the sentence closest to the mean of all, the objective left out where there is another."""
        near = self.vectors @ self.vectors.mean(0)
        if len(self.given) > 1:
            near[self.objective] = -torch.inf
        return int(near.argmax())

    def draft(self, place: int) -> str:
        """A conclusion: the objective and one more sentence, both without what stands in brackets.

        Args:
            place: of that sentence; the objective's own gives the objective alone.
        """
        places = (self.objective,) if place == self.objective else (self.objective, place)
        return " ".join(without_brackets(self.given[index].text) for index in places)

    def label(self, place: int) -> str:
        """A sentence by its role and its number within it, as a prompt names it."""
        role = self.given[place].role
        number = 1 + sum(sentence.role == role for sentence in self.given[:place])
        return f"from {role} ({number})"

    @property
    def features(self) -> Tensor:
        """[num_sentences, `NUM_PLAIN` + width] float32: role, place, length, figures, cue words, nearness, vector."""
        center = torch.nn.functional.normalize(self.vectors.mean(0), dim=0)
        near = torch.stack([self.vectors @ center, self.vectors @ self.vectors[self.objective]], 1)
        rows = [_row(self.given, index, self.objective) for index in range(len(self.given))]
        return torch.cat([torch.tensor(np.array(rows), dtype=torch.float32), near, self.vectors], 1)


NUM_PLAIN = 4 + 4 + 6 + 4 + len(_CUES) + 1 + 2
"""Features of a sentence beside its vector."""


def unigram_f(reference: str, text: str) -> float:
    """F-measure of ROUGE-1 alone, as `rouge` gives it, at a tenth of its cost: what every sentence is tried by.

    >>> unigram_f("pain is lower", "pain was lower")
    0.66...
    """
    words = Words()
    wanted, said = Counter(words.tokenize(reference)), Counter(words.tokenize(text))
    shared = (wanted & said).total()
    return 2 * shared / (wanted.total() + said.total()) if shared else 0.0


def without_brackets(text: str) -> str:
    """A sentence without what stands in brackets: figures of results, which conclusions leave out.

    >>> without_brackets("Pain fell (p < 0.01 [n = 9]) , not fever.")
    'Pain fell, not fever.'
    """
    # Twice: brackets within brackets go first.
    shorter = _IN_BRACKETS.sub("", _IN_BRACKETS.sub("", text))
    return _BEFORE_POINT.sub(r"\1", shorter).strip() or text


def _row(given: Sequence[Sentence], index: int, objective: int) -> list[float]:
    sentence = given[index]
    same = [place for place, other in enumerate(given) if other.role == sentence.role]
    role = [float(sentence.role == name) for name in GIVEN]
    is_last = float(index == same[-1])
    length, kept = len(sentence.text.split()) / 40, without_brackets(sentence.text)
    place = [index / len(given), same.index(index) / len(same), float(index == same[0]), is_last]
    size = [length, length**2, len(kept.split()) / 40, _figures(sentence.text), _figures(kept), float(index == 0)]
    cues = [float(bool(cue.search(sentence.text))) for cue in _CUES]
    # The last of the results is another thing than the last of the methods.
    return [*role, *place, *size, *(is_last * x for x in role), *cues, float(index == objective)]


def _figures(text: str) -> float:
    return len(_DIGIT.findall(text)) / 20
