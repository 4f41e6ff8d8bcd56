"""The constructor grammar: `ciag(cut=3)`, `rayleigh(block_length=64)`, `my_module:MyCodec(depth=3)`.

    term     := call | tuple | string | number | True | False | None
    call     := name [ "(" name "=" term { "," name "=" term } ")" ]
    tuple    := "(" [ term { "," term } ] ")"
    name     := letters, digits, "_" and "-", with dots between; "module:Name" for a class of the user's

A text is read, never evaluated: reading imports nothing and calls nothing.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias, TypeVar, final

from gainnet.core.errors import ConfigError

MAX_CHARACTERS: Final = 2000
MAX_DEPTH: Final = 8

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>[+-]?(?:inf|\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)(?![\w.:]))
      | (?P<name>[^\W\d][\w-]*(?:\.[\w-]+)*(?::[^\W\d]\w*(?:\.\w+)*)?)
      | (?P<string>'[^'\\\x00-\x1f]*'|"(?:[^"\\\x00-\x1f]|\\.)*")
      | (?P<mark>[(),=])
    )""",
    re.VERBOSE,
)
_WORDS: Final = {"True": True, "False": False, "None": None}

T = TypeVar("T")


@final
@dataclass(frozen=True)
class Call:
    """A name with keyword arguments; a bare name is a call without any.

    Args:
        name: of an entry of a table, or `module:Name`.
        arguments: terms by keyword.
    """

    name: str
    arguments: Mapping[str, Term] = field(default_factory=dict)


Term: TypeAlias = "Call | tuple[Term, ...] | str | int | float | bool | None"


class _Token(NamedTuple):
    kind: str
    text: str


def read(text: str, field: str = "text", arguments_of: Callable[[str], Iterable[str]] = lambda name: ()) -> Term:
    """The term that a text writes.

    Args:
        text: at most 2,000 characters, nested at most 8 deep.
        field: what the text is for, for errors.
        arguments_of: names of the arguments of a name, for the error about a value without one.

    Raises:
        ConfigError: it is not in the grammar.

    >>> read("ciag(cut=3)")
    Call(name='ciag', arguments={'cut': 3})
    """
    if len(text) > MAX_CHARACTERS:
        raise ConfigError(f"{field}: {len(text)} characters are too many; write at most {MAX_CHARACTERS}")
    reader = _Reader(list(_tokens(text, field)), text, field, arguments_of)
    term = reader.term(1)
    if reader.tokens:
        raise reader.error(f"{reader.tokens[0].text!r} follows where the text should end")
    return term


def write(term: Term) -> str:
    """The text that `read` reads as this term.

    Raises:
        ConfigError: a number is NaN, which no field takes.

    >>> write(Call("ofdm", {"profile": Call("tdl", {"name": "B"}), "speeds_m_s": (1, 2.5)}))
    "ofdm(profile=tdl(name='B'), speeds_m_s=(1, 2.5))"
    """
    if isinstance(term, Call):
        arguments = ", ".join(f"{name}={write(value)}" for name, value in term.arguments.items())
        return f"{term.name}({arguments})" if arguments else term.name
    if isinstance(term, tuple):
        return f"({', '.join(map(write, term))}{',' if len(term) == 1 else ''})"
    if isinstance(term, str):
        plain = term.isprintable() and not set(term) & {"'", "\\"}
        return f"'{term}'" if plain else json.dumps(term)
    if isinstance(term, float) and math.isnan(term):
        raise ConfigError("text: NaN cannot be written; give a number")
    return repr(term)


def _shown(text: str) -> str:
    """A text in quotes, without the end of a long one."""
    return repr(text) if len(text) <= 80 else f"{text[:80]!r}…"


def _tokens(text: str, field: str) -> Iterator[_Token]:
    position, end = 0, len(text.rstrip())
    while position < end:
        found = _TOKEN.match(text, position)
        if found is None:
            place = text[position:].strip()[:20]
            raise ConfigError(f"{field}: {_shown(text)} cannot be read at {place!r}; write name(field=1)")
        yield _Token(found.lastgroup or "", found[found.lastgroup or 0])
        position = found.end()


@final
class _Reader:
    """Recursive descent over the tokens that are left.

    Args:
        tokens: in order.
        text: they come from, for errors.
        field: what the text is for, for errors.
        arguments_of: names of the arguments of a name.
    """

    def __init__(
        self, tokens: list[_Token], text: str, field: str, arguments_of: Callable[[str], Iterable[str]]
    ) -> None:
        self.tokens = tokens
        self.text = text
        self.field = field
        self.arguments_of = arguments_of

    def error(self, reason: str, example: str = "name(field=1)") -> ConfigError:
        return ConfigError(f"{self.field}: {_shown(self.text)} cannot be read, {reason}; write for example {example}")

    def take(self) -> _Token:
        if not self.tokens:
            raise self.error("it ends too early")
        return self.tokens.pop(0)

    def takes(self, mark: str) -> bool:
        """Whether the next token is this mark, which is then taken."""
        found = bool(self.tokens) and self.tokens[0] == ("mark", mark)
        if found:
            self.take()
        return found

    def term(self, depth: int) -> Term:
        # The limit keeps a hostile text from exhausting Python's stack.
        if depth > MAX_DEPTH:
            raise self.error(f"it is nested more than {MAX_DEPTH} deep")
        kind, text = self.take()
        if kind == "number":
            # int() refuses "1e3" and "inf", which are floats.
            return int(text) if text.lstrip("+-").isdecimal() else float(text)
        if kind == "string":
            return self._string(text)
        if kind == "name":
            return _WORDS[text] if text in _WORDS else self._call(text, depth)
        if text == "(":
            return tuple(self._listed(lambda: self.term(depth + 1)))
        raise self.error(f"{text!r} is not a value")

    def _string(self, text: str) -> str:
        if text.startswith("'"):
            return text[1:-1]
        try:
            return str(json.loads(text))
        except ValueError:
            raise self.error(f"{text} has an escape that JSON does not know") from None

    def _call(self, name: str, depth: int) -> Call:
        arguments: dict[str, Term] = {}
        for key, value in self._listed(lambda: self._argument(depth, name, arguments)) if self.takes("(") else ():
            if key in arguments:
                raise self.error(f"{key} is given twice")
            arguments[key] = value
        return Call(name, arguments)

    def _argument(self, depth: int, owner: str, given: Mapping[str, Term]) -> tuple[str, Term]:
        kind, name = self.take()
        if kind != "name" or not name.isidentifier() or not self.takes("="):
            # As in Python, a value without a name would be that of the first argument that is left.
            left = next((each for each in self.arguments_of(owner) if each not in given), None)
            example = {} if left is None or kind == "mark" else {"example": f"{owner}({left}={name})"}
            raise self.error(f"{name!r} stands where field=value should", **example)
        return name, self.term(depth + 1)

    def _listed(self, one: Callable[[], T]) -> Iterator[T]:
        """Items up to the closing parenthesis; a comma may follow the last one."""
        while not self.takes(")"):
            yield one()
            if not self.takes(",") and (not self.tokens or self.tokens[0] != ("mark", ")")):
                raise self.error("a comma or a closing parenthesis is missing")
