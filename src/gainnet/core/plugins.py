"""Names that mean something of ours, or something of the user's: `module:Name`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from gainnet.core.errors import ConfigError, unknown_name

T = TypeVar("T")


def find(field: str, name: str, known: Mapping[str, T]) -> T | Any:
    """The entry of a table, or the object that `module:Name` names; modules of the working folder are found, too.

    Args:
        field: what is chosen, for the error.
        name: a key of `known`, or `module:Name`.
        known: the table.

    Raises:
        ConfigError: neither.

    >>> find("channel", "math:sqrt", {})(4.0)
    2.0
    """
    if name in known:
        return known[name]
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
