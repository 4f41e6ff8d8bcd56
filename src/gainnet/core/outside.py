"""Reading what comes from outside, bytes or JSON: it is read, or refused by the name of its field."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

from gainnet.core.errors import GainnetError, PayloadError

_ODD = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, MemoryError, RecursionError, RuntimeError)
"""Errors that Python and torch raise over unexpected content; a number of 1e400 alone can cause three of them."""


@contextlib.contextmanager
def reading(field: str, error: type[GainnetError] = PayloadError) -> Iterator[None]:
    """A block that reads something foreign; whatever it raises becomes the error of a field, in one line.

    Args:
        field: what is read.
        error: its class.

    >>> with reading("stream"):
    ...     int("9" * 5000)
    Traceback (most recent call last):
    gainnet.core.errors.PayloadError: stream: cannot be read (ValueError); it is damaged or not of this program
    """
    try:
        yield
    except GainnetError:
        raise
    except _ODD as odd:
        # Without the text of the error, which may quote megabytes of what was sent.
        raise error(f"{field}: cannot be read ({type(odd).__name__}); it is damaged or not of this program") from None


def read_json(content: str | bytes, field: str, error: type[GainnetError] = PayloadError) -> Any:
    """The value that JSON text stands for; errors as `reading`.

    >>> read_json("[" * 100_000, "record")
    Traceback (most recent call last):
    gainnet.core.errors.PayloadError: record: cannot be read (RecursionError); it is damaged or not of this program
    """
    with reading(field, error):
        return json.loads(content)


def read_integer(value: object, field: str, low: int, high: int, error: type[GainnetError] = PayloadError) -> int:
    """An integer of a range.

    >>> read_integer(True, "num_rows", 1, 100)
    Traceback (most recent call last):
    gainnet.core.errors.PayloadError: num_rows: must be an integer from 1 to 100, not True
    """
    # `bool` is a kind of `int`, and 3.0 equals 3: the type itself is asked for.
    if type(value) is not int or not low <= value <= high:
        raise error(f"{field}: must be an integer from {low} to {high}, not {shorten(value)}")
    return value


def read_text(value: object, field: str, longest: int, error: type[GainnetError] = PayloadError) -> str:
    """Printable text of bounded length.

    >>> read_text("os:abort", "codec", 64)
    'os:abort'
    """
    if not isinstance(value, str) or len(value) > longest or not value.isprintable():
        raise error(f"{field}: must be printable text of at most {longest} characters, not {shorten(value)}")
    return value


def read_list(value: object, field: str, longest: int, error: type[GainnetError] = PayloadError) -> list[Any]:
    """A list of bounded length.

    >>> read_list([1, 2], "path", 16)
    [1, 2]
    """
    if not isinstance(value, list) or len(value) > longest:
        raise error(f"{field}: must be a list of at most {longest} entries, not {shorten(value)}")
    return value


def shorten(value: object) -> str:
    """A foreign value for an error message: on one line, and no longer than one.

    >>> shorten("a" * 100)
    "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...'"
    >>> shorten([[]]), shorten(10**5000)
    ('list', 'an integer of 16610 bits')
    """
    if isinstance(value, int):
        # Python itself refuses to write a number of many thousand digits.
        return repr(value) if value.bit_length() < 100 else f"an integer of {value.bit_length()} bits"
    if isinstance(value, str):
        return repr(value if len(value) <= 40 else value[:36] + "...")
    return repr(value) if isinstance(value, float | None) else type(value).__name__


def first_mistake(errors: Sequence[Any]) -> tuple[str, str]:
    """(dotted name of a field, or nothing; what is wrong and how to mend it) of the first mistake that pydantic found.

    Args:
        errors: of a `ValidationError`; the first alone is named, since errors are one line.

    >>> first_mistake([{"loc": ("edges", 0), "type": "missing", "input": {}}])
    ('edges.0', 'it is missing; give it')
    """
    return ".".join(str(part) for part in errors[0]["loc"]), _in_plain_words(errors[0])


_LIMITS = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "finite": "a finite number",
    "string": "a text",
    "tuple": "a list",
    "path": "a path",
    "model": "a table of settings",
}


def _in_plain_words(error: Any) -> str:
    """The error that pydantic found, and how to mend it."""
    kind, context, given = error["type"], error.get("ctx", {}), shorten(error["input"])
    if kind == "extra_forbidden":
        return "there is no such setting; leave it out or mend its name"
    if kind in ("missing", "union_tag_not_found"):
        return "it is missing; give it"
    if kind in _LIMITS:
        word, key = _LIMITS[kind]
        return f"{given} is not allowed; give {word} {context[key]:,g}"
    if kind in ("literal_error", "union_tag_invalid"):
        known = context.get("expected") or context["expected_tags"]
        return f"{shorten(context['tag']) if 'tag' in context else given} is unknown; give {known}"
    if kind in ("too_short", "too_long"):
        word, key = ("at least", "min_length") if kind == "too_short" else ("at most", "max_length")
        return f"it has {context['actual_length']} entries; give {word} {context[key]}"
    wanted = _KINDS.get(kind.split("_")[0])
    if wanted:
        return f"{given} is not {wanted}; give one"
    # A check of a whole record names its fields and their values itself.
    return str(error["msg"]).removeprefix("Value error, ") + (f", got {given}" if error["loc"] else "")
