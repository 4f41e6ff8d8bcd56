"""Parameters of a class or function: names, types, defaults, and the line of its docstring about each."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import partial
from typing import Any, Final, final

REQUIRED: Final = MISSING
"""The default of a parameter without one."""


@final
@dataclass(frozen=True)
class Parameter:
    """One argument.

    Args:
        name: of the argument.
        kind: its annotation, evaluated where that is possible; `Any` elsewhere.
        default: value when it is left out; `REQUIRED` without one.
        text: what the docstring says about it, a line.
        positional: whether it may be given without its name.
    """

    name: str
    kind: Any
    default: Any
    text: str
    positional: bool


def parameters_of(call: Callable[..., Any]) -> dict[str, Parameter]:
    """The parameters of a class or function by name; `*args` and `**kwargs` are left out.

    Raises:
        TypeError: it cannot be called.
        ValueError: it does not say what it takes.

    >>> [(each.name, each.kind, each.default) for each in parameters_of(int.from_bytes).values()][1]
    ('byteorder', typing.Any, 'big')
    """
    try:
        signature = inspect.signature(call, eval_str=True)
    except NameError:
        # An annotation that only a type checker imports: its type is then not checked.
        signature = inspect.signature(call)
    # What a partial call fixes is not to be given; its own docstring is that of `partial`.
    made_of, fixed = (call.func, call.keywords) if isinstance(call, partial) else (call, {})
    lines, made = argument_lines(made_of.__doc__ or ""), _made_defaults(made_of)
    return {
        each.name: Parameter(
            each.name,
            Any if isinstance(each.annotation, str) or each.annotation is each.empty else each.annotation,
            made.get(each.name, REQUIRED if each.default is each.empty else each.default),
            lines.get(each.name, ""),
            each.kind is not each.KEYWORD_ONLY,
        )
        for each in signature.parameters.values()
        if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD) and each.name not in fixed
    }


def argument_lines(doc: str) -> dict[str, str]:
    """Texts of the section `Args:` of a docstring by argument, each on one line.

    >>> argument_lines(argument_lines.__doc__)
    {'doc': 'a docstring in the style of Google.'}

    Args:
        doc: a docstring in the
            style of Google.
    """
    section = re.search(r"^Args:\n((?:[ ]{4}.*\n?|\n(?=[ ]{4}))*)", inspect.cleandoc(doc), re.MULTILINE)
    entries = re.split(r"^    (?=\w+:)", section[1] if section else "", flags=re.MULTILINE)
    pairs = (" ".join(entry.split()).partition(": ") for entry in entries if entry.strip())
    return {name: text for name, _, text in pairs}


def section_of(call: Callable[..., Any], title: str) -> str:
    """Text of a section of a docstring, on one line; empty where there is none.

    Args:
        call: whose docstring.
        title: of the section.

    >>> section_of(section_of, "Args")
    'call: whose docstring. title: of the section.'
    """
    section = re.search(rf"^{title}:\n((?:[ ]{{4}}.*\n?)+)", inspect.cleandoc(call.__doc__ or ""), re.MULTILINE)
    return " ".join(section[1].split()) if section else ""


def summary_of(call: Callable[..., Any]) -> str:
    """First paragraph of a docstring, on one line.

    >>> summary_of(summary_of)
    'First paragraph of a docstring, on one line.'
    """
    return " ".join(inspect.cleandoc(call.__doc__ or "").partition("\n\n")[0].split())


def _made_defaults(call: Callable[..., Any]) -> dict[str, Any]:
    """Defaults of a dataclass that a factory makes, which its signature only marks."""
    if not is_dataclass(call):
        return {}
    return {each.name: each.default_factory() for each in fields(call) if each.default_factory is not MISSING}
