"""The names that a text can hold, listed: families, their names, and the arguments of a name."""

from __future__ import annotations

from functools import partial
from typing import Any

from gainnet.catalog.construct import family_of, term_of
from gainnet.catalog.families import TABLES, entry, read_of, table_of, table_or_none
from gainnet.catalog.grammar import Call, write
from gainnet.catalog.parameters import REQUIRED, Parameter, parameters_of, summary_of
from gainnet.core.errors import ConfigError


def describe_families() -> list[dict[str, Any]]:
    """Every family that has names: `family` and `names`, a list.

    >>> next(each["names"] for each in describe_families() if each["family"] == "estimator")
    ['known', 'least_squares', 'lmmse']
    """
    found = {family: sorted(table_of(family)) for family in TABLES if TABLES[family]}
    # A family of one class, as `air`, is named by itself and offers no choice.
    return [{"family": family, "names": names} for family, names in found.items() if names != [family]]


def describe_names(family: str) -> list[dict[str, Any]]:
    """The names of a family: `name`, `summary`, and `arguments`, a list as of `describe_arguments`.

    Args:
        family: such as `fading` or `codec.seed`.

    Raises:
        ConfigError: there is no such family.

    >>> [each["name"] for each in describe_names("profile")]
    ['cdl', 'tdl']
    """
    return [
        {"name": name, "summary": _summary(found), "arguments": _arguments(found)}
        for name, found in sorted(table_of(family).items())
    ]


def describe_arguments(family: str, name: str) -> list[dict[str, Any]]:
    """The arguments of a name: `argument`, `default` as text (`None` where it has to be given), and `meaning`.

    Args:
        family: such as `fading`.
        name: of the family, of an installed package, or `module:Class`.

    Raises:
        ConfigError: there is no such family or name, or the text is not a name alone.

    >>> [(each["argument"], each["default"]) for each in describe_arguments("fading", "rician")]
    [('k_factor', '4.0'), ('block_length', '256')]
    """
    table_of(family)  # an unknown family is refused before a module of the user's is imported
    term = read_of(family, name)
    if not isinstance(term, Call) or term.arguments:
        raise ConfigError(f"{family}: {name!r} is not a name alone; leave its arguments out")
    return _arguments(entry(family, term.name))


def _arguments(found: Any) -> list[dict[str, Any]]:
    # A finished object takes none, also where it can be called.
    is_made_by_call = isinstance(found, partial) or hasattr(found, "__name__")
    takes = parameters_of(found).values() if is_made_by_call else ()
    return [{"argument": each.name, "default": _default(each), "meaning": each.text} for each in takes]


def _default(parameter: Parameter) -> str | None:
    return None if parameter.default is REQUIRED else _text(parameter, parameter.default)


def _text(parameter: Parameter, value: Any) -> str:
    try:
        return write(term_of(value, table_or_none, family_of(parameter), parameter.kind))
    except ConfigError:
        # An object that no text can say, such as one with weights: its class at least.
        return type(value).__name__


def _summary(found: Any) -> str:
    if not isinstance(found, partial):
        return summary_of(found if hasattr(found, "__name__") else type(found))
    # Names of one class, as tdl-a and tdl-b, differ by nothing but what they fix.
    fixed = zip(parameters_of(found.func).values(), found.args, strict=False)
    texts = [f"{each.name}={_text(each, value)}" for each, value in fixed]
    return " ".join([summary_of(found.func), *(f"Here {text}." for text in texts)])
