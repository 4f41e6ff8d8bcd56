"""Types of the fields that settings of many studies have; a value outside of them is refused with its field's name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypeVar

from pydantic import AfterValidator, Field

T = TypeVar("T")

Natural = Annotated[int, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
SnrDb = Annotated[float, Field(ge=-60, le=100)]
"""Mean received Es/N0 in dB."""

NonEmpty = Annotated[tuple[T, ...], Field(min_length=1)]
Seeds = Annotated[tuple[Natural, ...], Field(min_length=1)]
"""Random seeds, each a repetition of its own."""


def one_of(names: Sequence[str]) -> AfterValidator:
    """The check of a field that takes one of some names.

    >>> one_of(("webp", "avif")).func("webp")
    'webp'
    """

    def check(name: str) -> str:
        if name not in names:
            raise ValueError(f"{name!r} is unknown; choose among {', '.join(names)}")
        return name

    return AfterValidator(check)
