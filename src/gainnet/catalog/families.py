"""Families of objects that a text can name, and the doors that turn a text into one of them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from gainnet.catalog.construct import Constructor, bound_numbers, family_of, term_of
from gainnet.catalog.grammar import Term, read, write
from gainnet.catalog.parameters import parameters_of
from gainnet.core.errors import ConfigError, unknown_name
from gainnet.core.plugins import find

TABLES: Final[Mapping[str, str]] = {
    "protocol": "gainnet.protocols:PROTOCOLS",
    "codec.prompt": "gainnet.codecs:CODECS.prompt",
    "codec.seed": "gainnet.codecs:CODECS.seed",
    "codec.midway": "gainnet.codecs:CODECS.midway",
    "codec.sketch": "gainnet.codecs:CODECS.sketch",
    "codec.image": "gainnet.codecs:CODECS.image",
    "codec.correction": "gainnet.codecs:CODECS.correction",
    "codec.activations": "gainnet.codecs:ACTIVATION_CODECS",
    "fading": "gainnet.radio:FADINGS",
    "profile": "gainnet.radio:PROFILES",
    "estimator": "gainnet.radio:ESTIMATORS",
    "link": "gainnet.radio:LINKS",
    "power": "gainnet.power_control:POWERS",
    "air": "gainnet.radio:Air",
    "policy": "gainnet.orchestration.registry:POLICIES",
    "scenario": "gainnet.catalog.orchestration:SCENARIOS",
    "algorithm": "gainnet.learning.algorithms.methods:METHODS",
    "codecs": "gainnet.codecs:Codecs",
    "model": "",
}
"""Where the table of a family is: `module:NAME`, or `module:NAME.key` within a table of tables, or the only class of
the family; it is imported when a text of the family is read. A family without a table has no names but those of
packages and `module:Name`."""

LARGEST_OF_PEER: Final = 1e9
"""Size of the largest number that a peer may send."""


def table_of(family: str) -> Mapping[str, Any]:
    """Entries of a family by name: classes, functions without required arguments, or finished objects.

    Raises:
        ConfigError: there is no such family.

    >>> sorted(table_of("codec.midway"))
    ['float32', 'matched', 'raw', 'uniform']
    """
    if family not in TABLES:
        raise unknown_name("family", family, TABLES)
    if not TABLES[family]:
        return {}
    module, _, path = TABLES[family].partition(":")
    name, _, key = path.partition(".")
    found: Any = getattr(importlib.import_module(module), name)
    table: Mapping[str, Any] = {family: found} if isinstance(found, type) else found[key] if key else found
    return table


def entry(family: str, name: str, beside: Iterable[str] = ()) -> Any:
    """The class or object of a family and a name, without arguments.

    Args:
        family: one of `TABLES`.
        name: of its table, of an installed package, or `module:Name`.
        beside: further names that the caller takes itself, for errors.

    Raises:
        ConfigError: there is none.
    """
    known = table_or_none(family)
    try:
        return find(family, name, known, beside)
    except ConfigError:
        # `tdl` is no fading, and ofdm(profile=tdl) is one: who knows the part has not to guess the whole.
        wholes = (
            f"{whole}({each.name}={name})"
            for whole, made in known.items()
            if isinstance(made, type)
            for each in parameters_of(made).values()
            if (inner := family_of(each)) != family and name in table_or_none(inner)
        )
        if (whole := next(wholes, None)) is None:
            raise
        raise ConfigError(f"{family}: {name!r} is part of one; write {whole}") from None


def read_of(family: str, text: str) -> Term:
    """The term that a text of a family writes, read as by `read`; an error names an argument that its name has.

    Args:
        family: one of `TABLES`.
        text: `name` or `name(field=value, ...)`.

    Raises:
        ConfigError: it is not in the grammar.

    >>> read_of("fading", "rayleigh(64)")
    Traceback (most recent call last):
    gainnet.core.errors.ConfigError: fading: ... write for example rayleigh(block_length=64)
    """
    # From the table alone: a text is read without importing what it names.
    known = table_of(family)
    return read(text, family, lambda name: parameters_of(known[name]) if callable(known.get(name)) else ())


def parse(family: str, text: str, offered: Mapping[str, Any] = MappingProxyType({}), beside: Iterable[str] = ()) -> Any:
    """The object that a text names: shipped, offered by an installed package, or of `module:Class(args)`.

    Args:
        family: one of `TABLES`.
        text: `name` or `name(field=value, ...)`; literals only, nothing is evaluated.
        offered: arguments for a class that needs one of that name and is not given it.
        beside: further names of the family that the caller takes itself, for errors.

    Raises:
        ConfigError: the text, a name, an argument or a type is wrong.

    >>> parse("fading", "rayleigh(block_length=64)")
    Rayleigh(block_length=64)
    """

    def found(one: str, name: str) -> Any:
        return entry(one, name, beside if one == family else ())

    return Constructor(found, offered=offered).make(family, read_of(family, text))


def parse_from_peer(family: str, text: str, allowed: Mapping[str, Callable[..., Any]] | None = None) -> Any:
    """As `parse`, for a text that somebody else sent: shipped names with bounded numbers alone.

    Nothing is imported for it and no file is opened: neither `module:Class` nor entry points nor texts, and so no
    paths, hub ids or traces.

    Args:
        family: one of `TABLES`.
        text: from the peer.
        allowed: further classes by name, which the operator of this machine trusts.

    Raises:
        ConfigError: the text names or holds anything else.

    >>> parse_from_peer("fading", "os:abort")
    Traceback (most recent call last):
    gainnet.core.errors.ConfigError: fading: a peer may not name 'os:abort'; choose one of ...
    """

    def shipped(one: str, name: str) -> Any:
        entries = {**table_of(one), **(allowed or {})}
        if name not in entries:
            raise ConfigError(f"{one}: a peer may not name {name[:80]!r}; choose one of {', '.join(sorted(entries))}")
        return entries[name]

    return Constructor(shipped, bound_numbers(LARGEST_OF_PEER)).make(family, read_of(family, text))


def text_of(family: str, value: object) -> str:
    """The text that `parse` turns into an equal object.

    Raises:
        ConfigError: the object holds what no text can say.

    >>> text_of("fading", parse("fading", "tdl-b")), text_of("fading", parse("fading", "rayleigh(block_length=64)"))
    ('tdl-b', 'rayleigh(block_length=64)')
    """
    return write(term_of(value, table_or_none, family))


def table_or_none(family: str) -> Mapping[str, Any]:
    """As `table_of`; of what is no family an empty table, since not every argument is of one."""
    return table_of(family) if family in TABLES else {}
