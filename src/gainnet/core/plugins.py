"""Names of ours, names that an installed package offers, and `module:Name` of the user's."""

from __future__ import annotations

import importlib
import re
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final, TypeVar

from gainnet.core.errors import ConfigError, GainnetError, Terminated, unknown_name

T = TypeVar("T")

_OURS: Final = Path(__file__).resolve().parents[1]
_INSTALLED: Final = tuple({Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib")})


def find(field: str, name: str, known: Mapping[str, T], beside: Iterable[str] = ()) -> T | Any:
    """The entry of a table, the entry point of an installed package, or the object that `module:Name` names.

    Modules of the working folder are found, too. A package offers `name` in the entry-point group `gainnet.<field>`.

    Args:
        field: what is chosen, for errors and entry points, e.g. `fading` or `codec.seed`.
        name: a key of `known`, an entry point, or `module:Name`.
        known: the table.
        beside: further names that the caller takes itself, for errors.

    Raises:
        ConfigError: none of them.

    >>> find("channel", "math:sqrt", {})(4.0)
    2.0
    """
    if name in known:
        return known[name]
    for offered in entry_points(group=f"gainnet.{field}", name=name):
        return call_plugin(field, offered.load)
    # Checked before anything is imported: `..` or a path must not reach the import system.
    module_name, colon, attribute = name.partition(":")
    if not (colon and attribute and all(part.isidentifier() for part in module_name.split("."))):
        raise ConfigError(f"{unknown_name(field, name, (*known, *beside))}, or give module:Class")
    # The console script `gainnet` does not have the working folder on its path, `python -m` does.
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except Terminated:
        raise
    # A script without a main guard may call sys.exit when it is imported.
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{field}: {name!r} cannot be imported ({reason_of(error)})") from error
    finally:
        sys.path.remove(here)


def call_plugin(field: str, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """The result of somebody else's code; whatever it raises becomes one line that names the field.

    Args:
        field: what is plugged in, for the error.
        call: their class or function.
        arguments: what it is given.
        options: what it is given by name.

    Raises:
        GainnetError: theirs, as it is.
        ConfigError: anything else that it raised.

    >>> call_plugin("codec", max, 1, 2)
    2
    """
    try:
        return call(*arguments, **options)
    except (GainnetError, Terminated):
        raise
    except (Exception, SystemExit) as error:
        named = getattr(call, "__qualname__", repr(call))
        raise ConfigError(f"{field}: {named} failed ({reason_of(error)})") from error


def require_members(field: str, thing: object, members: Iterable[str]) -> None:
    """Raises `ConfigError` when something plugged in lacks members of its contract.

    >>> require_members("channel", 1.0, ["real"])
    """
    if missing := [member for member in members if not hasattr(thing, member)]:
        raise ConfigError(f"{field}: {type(thing).__name__} has no {', '.join(missing)}; see 'Plugging in' in the docs")


def snake_case(name: str) -> str:
    """A class's name as texts write it.

    >>> snake_case("DeviceOnly"), snake_case("AWGN")
    ('device_only', 'awgn')
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def reason_of(error: BaseException) -> str:
    """Type and text of an error on one line, and file and line of the code of the user's that it came through.

    Args:
        error: that somebody else's code raised.

    >>> reason_of(KeyError("latent"))
    "KeyError: 'latent'"
    """
    text = " ".join(f"{type(error).__name__}: {error}".split())
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not Path(frame.filename).is_relative_to(_OURS) and _is_users(frame.filename)]
    return f"{text}, {Path(own[-1].filename).name} line {own[-1].lineno}" if own else text


def _is_users(file: str) -> bool:
    """Whether a file is neither of an installed package nor of Python."""
    return not file.startswith("<") and not any(Path(file).is_relative_to(folder) for folder in _INSTALLED)
