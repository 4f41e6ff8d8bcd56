"""From a term of the grammar to the object that it names, and back."""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, Union, final, get_args, get_origin

from gainnet.catalog.grammar import Call, Term, write
from gainnet.catalog.parameters import REQUIRED, Parameter, parameters_of
from gainnet.core.errors import ConfigError, nearest
from gainnet.core.plugins import call_plugin, require_members, snake_case

FAMILY_OF: Final[Mapping[str, str]] = {
    "Channel": "fading",
    "Profile": "profile",
    "Estimator": "estimator",
    "PowerPolicy": "power",
    "Policy": "policy",
    "Method": "algorithm",
    "Protocol": "protocol",
    "Link": "link",
    "Codec": "codec.{}",
}
"""Family of an argument whose type is a contract, by the name of that type; the argument's name is filled in."""

CONTRACTS: Final[Mapping[str, tuple[str, ...]]] = {
    "protocol": ("sends", "max_edges", "plan"),
    "fading": ("block_length", "blocks", "first_gain", "transmit"),
    "profile": ("waves", "correlation"),
    "estimator": ("design",),
    "power": ("__call__",),
    "policy": ("__call__",),
    "algorithm": ("bound",),
    **{
        f"codec.{kind}": ("emits", "size", "encode", "decode")
        for kind in ("prompt", "seed", "midway", "sketch", "image", "correction", "activations")
    },
}
"""Members that an object of a family has."""

_REFUSED: Final = object()
"""Result of `_fitted` for a term that a type does not take, because `None` is a value."""

Find = Callable[[str, str], Any]
"""The class or object of a family and a name; raises `ConfigError` when there is none."""


@final
@dataclass(frozen=True)
class Constructor:
    """Makes objects of terms.

    Args:
        find: looks a name up.
        check: refuses a literal by raising `ConfigError`; gets the field and the value.
        offered: arguments for classes that need one of that name and are not given it.
    """

    find: Find
    check: Callable[[str, Any], None] = lambda field, value: None
    offered: Mapping[str, Any] = field(default_factory=dict)

    def make(self, family: str, term: Term) -> Any:
        """The object that a term of a family names.

        Raises:
            ConfigError: a name, an argument or a type is wrong; the message names the nearest right one.
        """
        if not isinstance(term, Call):
            raise ConfigError(f"{family}: {write(term)} is not a name; write name or name(field=value)")
        made = self._called(family, term, self.find(family, term.name))
        require_members(family, made, CONTRACTS.get(family, ()))
        return made

    def _called(self, family: str, call: Call, found: Any) -> Any:
        if not callable(found) or _is_value(found):
            if call.arguments:
                raise ConfigError(f"{family}: {call.name} takes no arguments; leave them out")
            return found
        _refuse_foreign(family, call.name, found)
        takes = call_plugin(family, parameters_of, found)
        for name in call.arguments:
            if name not in takes:
                mend = _where_it_belongs(found, name) or nearest(name, takes)
                raise ConfigError(f"{family}: {call.name} has no argument {name!r}; {mend}")
        arguments = {
            name: self._argument(family, call.name, takes[name], term) for name, term in call.arguments.items()
        }
        needed = [each.name for each in takes.values() if each.default is REQUIRED and each.name not in arguments]
        arguments |= {name: self.offered[name] for name in needed if name in self.offered}
        if missing := [name for name in needed if name not in arguments]:
            raise ConfigError(f"{family}: {call.name} needs {missing[0]}; write {call.name}({missing[0]}=...)")
        return call_plugin(family, found, **arguments)

    def _argument(self, family: str, owner: str, parameter: Parameter, term: Term) -> Any:
        field = f"{family}: {owner}.{parameter.name}"
        family = family_of(parameter)
        made = self.make(family, term) if family and isinstance(term, Call) else None
        value = self._fitted(field, term, parameter.kind) if made is None else made
        if value is _REFUSED:
            raise ConfigError(f"{field} must be {spell(parameter.kind)}, not {write(term)}")
        return value

    def _fitted(self, field: str, term: Term, kind: Any) -> Any:
        """The value of a term as a type wants it, or `_REFUSED`."""
        origin, choices = get_origin(kind), get_args(kind)
        if origin in (Union, types.UnionType):
            fitted = (self._fitted(field, term, each) for each in choices)
            return next((value for value in fitted if value is not _REFUSED), _REFUSED)
        if origin is Literal:
            plain = term.name if isinstance(term, Call) and not term.arguments else term
            # True == 1, so the type is compared, too.
            return next((each for each in choices if each == plain and type(each) is type(plain)), _REFUSED)
        if origin is tuple and isinstance(term, tuple):
            kinds = choices[:1] * len(term) if choices[1:] == (...,) else choices
            if len(kinds) != len(term):
                return _REFUSED
            values = [self._fitted(field, each, one) for each, one in zip(term, kinds, strict=True)]
            return _REFUSED if any(value is _REFUSED for value in values) else tuple(values)
        if isinstance(term, Call):
            return self._named(field, term, kind)
        if isinstance(term, tuple):
            return _REFUSED if kind is not Any else tuple(self._fitted(field, each, Any) for each in term)
        return self._literal(field, term, kind)

    def _literal(self, field: str, value: str | int | float | bool | None, kind: Any) -> Any:
        if kind is Any:
            fits = True
        elif kind is float:
            fits = isinstance(value, int | float) and not isinstance(value, bool)
        elif kind is Path:
            fits = isinstance(value, str)
        else:
            fits = type(value) is (types.NoneType if kind is None else kind)
        if not fits:
            return _REFUSED
        self.check(field, value)
        return kind(value) if kind in (float, Path) else value

    def _named(self, field: str, call: Call, kind: Any) -> Any:
        """An object for an argument of a class, or one of the user's."""
        if kind is str:
            return self._literal(field, call.name, str) if not call.arguments else _REFUSED
        if isinstance(kind, type) and is_dataclass(kind):
            return self._called(field, call, kind) if call.name == snake_case(kind.__name__) else _REFUSED
        return self.make("argument", call) if ":" in call.name else _REFUSED


def term_of(value: Any, tables: Callable[[str], Mapping[str, Any]], family: str = "", kind: Any = Any) -> Term:
    """The term that makes a value: the inverse of `Constructor.make`.

    Args:
        value: a literal, a tuple, or an object whose class only stores its arguments.
        tables: entries by name of a family.
        family: whose names are tried.
        kind: type of the argument that the value is for; an object of a class that it names needs no module.

    Raises:
        ConfigError: the object holds what no text can say.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return tuple(term_of(each, tables) for each in value)
    known = tables(family)
    if made := next((name for name, entry in known.items() if _makes(entry, value)), None):
        return Call(made)
    # The name that fixes an argument first: it says more than the class and that argument.
    name = next((name for name, entry in known.items() if _fixes(entry, value)), None)
    name = name or next((name for name, entry in known.items() if entry is type(value) or entry is value), None)
    if not is_dataclass(value) or isinstance(value, type):
        if name is None:
            raise ConfigError(f"{family or 'value'}: a {type(value).__name__} cannot be written as text")
        return Call(name)
    fixed = getattr(known.get(name or ""), "keywords", {})
    return Call(name or _own_name(type(value), kind), _arguments(value, tables, fixed))


def _arguments(value: Any, tables: Callable[[str], Mapping[str, Any]], fixed: Mapping[str, Any]) -> dict[str, Term]:
    """Arguments of a dataclass that are neither fixed by its name nor their defaults."""
    takes = parameters_of(type(value))
    given = {name: (each, getattr(value, name)) for name, each in takes.items() if name not in fixed}
    return {
        name: term_of(held, tables, family_of(each), each.kind)
        for name, (each, held) in given.items()
        if each.default is REQUIRED or held != each.default
    }


def _makes(entry: Any, value: object) -> bool:
    """Whether an entry without arguments, such as `partial(Ofdm, Tdl("A"))`, makes an object like this one."""
    if not isinstance(entry, partial):
        return False
    # Entries that read weights make dataclasses by functions, and are not called just to compare; settings are cheap.
    is_settings = not is_dataclass(value) and entry.func.__annotations__.get("return") == type(value).__name__
    is_whole = all(each.default is not REQUIRED for each in parameters_of(entry).values())
    return is_whole and (entry.func is type(value) or is_settings) and bool(entry() == value)


def _fixes(entry: Any, value: object) -> bool:
    """Whether an entry such as `partial(PictureCodec, format=PNG_FORMAT)` makes this with some more arguments."""
    if not isinstance(entry, partial) or entry.func is not type(value) or entry.args:
        return False
    return all(getattr(value, key) == fixed for key, fixed in entry.keywords.items())


def _own_name(made: type, kind: Any) -> str:
    is_named = made in (kind, *get_args(kind))
    return snake_case(made.__name__) if is_named else f"{made.__module__}:{made.__qualname__}"


def family_of(parameter: Parameter) -> str:
    """Family of the contract that an argument's type is or, in a union, holds; empty without one."""
    kinds = [get_origin(each) or each for each in (parameter.kind, *get_args(parameter.kind))]
    names = [getattr(each, "__name__", "") for each in kinds]
    # A codec without a kind in its name is that of a step of split learning.
    kind = "activations" if parameter.name == "codec" else parameter.name
    return next((FAMILY_OF[name].format(kind) for name in names if name in FAMILY_OF), "")


def _where_it_belongs(found: Any, name: str) -> str:
    """How to give an argument that a class lacks and an object within it has; empty where none has it."""
    made_of, fixed = (found.func, found.args) if isinstance(found, partial) else (found, ())
    takes = parameters_of(made_of)
    held = {**{each.name: each.default for each in takes.values()}, **dict(zip(takes, fixed, strict=False))}
    for place, inner in held.items():
        if _is_value(inner) and name in parameters_of(type(inner)):
            kept = "".join(f"{key}={write(term)}, " for key, term in _arguments(inner, lambda _: {}, {}).items())
            return f"write {snake_case(made_of.__name__)}({place}={snake_case(type(inner).__name__)}({kept}{name}=...))"
    return ""


def _refuse_foreign(family: str, name: str, found: Any) -> None:
    """Refuses, before it is called, what makes no object of a family: `os:abort` would end this process."""
    if isinstance(found, types.BuiltinFunctionType):
        raise ConfigError(f"{family}: {name} is a builtin function, which makes none; give a class")
    members = CONTRACTS.get(family, ())
    declared = {*dir(found), *getattr(found, "__annotations__", {})}
    if isinstance(found, type) and members and not declared & set(members):
        raise ConfigError(f"{family}: {name} has no {', '.join(members)}; see the contract in the docs")


def _is_value(found: Any) -> bool:
    """Whether a table holds the finished object instead of what makes it: an instance of a dataclass."""
    return is_dataclass(found) and not isinstance(found, type)


def spell(kind: Any) -> str:
    """A type in words of the grammar, for errors.

    >>> spell(int | None), spell(Literal["a", "b"]), spell(tuple[float, ...])
    ('a whole number or None', 'a or b', 'a tuple')
    """
    words = {int: "a whole number", float: "a number", str: "a text", bool: "True or False", Path: "a path"}
    origin, choices = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return " or ".join(map(spell, choices))
    if origin is Literal:
        return " or ".join(map(str, choices))
    if origin is tuple:
        return "a tuple"
    return "None" if kind in (None, types.NoneType) else words.get(kind, snake_case(getattr(kind, "__name__", "value")))


def bound_numbers(largest: float) -> Callable[[str, Any], None]:
    """A check for texts of strangers: finite numbers up to a size, truth values and `None`; no text, so no path.

    >>> bound_numbers(10.0)("x", 3), bound_numbers(10.0)("x", True)
    (None, None)
    """

    def check(field: str, value: Any) -> None:
        if isinstance(value, str):
            raise ConfigError(f"{field}: a peer may not send texts; send a number or a shipped name")
        if isinstance(value, int | float) and not (math.isfinite(value) and abs(value) <= largest):
            raise ConfigError(f"{field}: a number of a peer must be finite and at most {largest:g}")

    return check
