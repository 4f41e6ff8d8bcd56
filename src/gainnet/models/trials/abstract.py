"""A structured abstract: sentences with roles, of which the conclusion is what a model writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from gainnet.core.errors import ConfigError

ROLES = ("background", "objective", "methods", "results", "conclusions")
GIVEN, CONCLUSION = ROLES[:-1], ROLES[-1]


@final
@dataclass(frozen=True)
class Sentence:
    """A sentence and its role in an abstract.

    Args:
        role: one of `ROLES`.
        text: the sentence.

    Raises:
        ConfigError: the role is unknown.
    """

    role: str
    text: str

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise ConfigError(f"role: {self.role!r} is unknown; use one of {', '.join(r.upper() for r in ROLES)}")


@final
@dataclass(frozen=True)
class StructuredAbstract:
    """Question, methods, results, and the conclusion of the authors.

    Args:
        name: of the abstract.
        sentences: in the order of the text.
    """

    name: str
    sentences: tuple[Sentence, ...]

    def texts(self, role: str) -> tuple[str, ...]:
        """The sentences of a role."""
        return tuple(sentence.text for sentence in self.sentences if sentence.role == role)

    @property
    def is_whole(self) -> bool:
        """Whether it has results and a conclusion that rests upon them."""
        return bool(self.texts("results")) and bool(self.texts(CONCLUSION))

    @property
    def document(self) -> str:
        """The text that the conclusion is written from: a line per role, without the conclusion; results are numbered.

        >>> two = Sentence("results", "it helps."), Sentence("conclusions", "use it.")
        >>> StructuredAbstract("a", two).document
        'RESULTS: (1) it helps.'
        """
        numbered = tuple(f"({number}) {text}" for number, text in enumerate(self.texts("results"), 1))
        texts = {role: numbered if role == "results" else self.texts(role) for role in GIVEN}
        lines = ((role, " ".join(texts[role])) for role in GIVEN)
        return "\n".join(f"{role.upper()}: {text}" for role, text in lines if text)

    @property
    def conclusion(self) -> str:
        """The conclusion of its authors."""
        return " ".join(self.texts(CONCLUSION))
