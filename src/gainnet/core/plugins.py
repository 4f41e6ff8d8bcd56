"""Names of ours, names that an installed package offers, and `module:Name` of the user's."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

from gainnet.core.errors import ConfigError, unknown_name

T = TypeVar("T")


def find(field: str, name: str, known: Mapping[str, T]) -> T | Any:
    """The entry of a table, the entry point of an installed package, or the object that `module:Name` names.

    Modules of the working folder are found, too. A package offers `name` in the entry-point group `gainnet.<field>`.

    Args:
        field: what is chosen, for errors and entry points, e.g. `fading` or `codec.seed`.
        name: a key of `known`, an entry point, or `module:Name`.
        known: the table.

    Raises:
        ConfigError: none of them.

    >>> find("channel", "math:sqrt", {})(4.0)
    2.0
    """
    if name in known:
        return known[name]
    for offered in entry_points(group=f"gainnet.{field}", name=name):
        return offered.load()
    module_name, colon, attribute = name.partition(":")
    if not (colon and module_name and attribute):
        raise unknown_name(field, name, known)
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError, SyntaxError) as error:
        raise ConfigError(f"{field}: {name!r} cannot be imported ({error})") from error
    finally:
        sys.path.remove(here)
