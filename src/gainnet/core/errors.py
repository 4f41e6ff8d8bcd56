"""Errors a user can mend: one line that names the field and says how."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, SupportsFloat, final


class GainnetError(ValueError):
    """An error that the user can mend; the command line prints it as one line and exits with code 2.

    >>> from gainnet.radio import Air
    >>> try:
    ...     Air(snr_db=1e9)
    ... except GainnetError as error:
    ...     print(error)
    snr_db: 1000000000.0 is out of range; must be -60 to 100 dB, or inf for no noise
    """


@final
class ConfigError(GainnetError):
    """A field of the configuration is unknown, out of range or does not fit another one.

    >>> check_range(False, "snr_db", 200.0, "-60 to 100 dB")
    Traceback (most recent call last):
    gainnet.core.errors.ConfigError: snr_db: 200.0 is out of range; must be -60 to 100 dB
    """


@final
class PlanError(GainnetError):
    """A plan reads a tensor that is not there, or sends one over a link that cannot carry it."""


@final
class PayloadError(GainnetError):
    """A received payload is corrupt: wrong length, wrong check sum or an impossible value."""


@final
class ModelError(GainnetError):
    """A model or weights folder is missing, truncated, unsafe or does not fit."""


@final
class TrainingError(GainnetError):
    """A training does not descend: a loss or a weight is not finite, or losses are far above their mean."""


@final
class NodeFailedError(GainnetError):
    """A node died and the plan has no fallback that reaches its result."""


@final
class MissingExtraError(GainnetError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed; run: pip install 'gainnet[{extra}]'")


def import_extra(module: str, package: str, extra: str) -> Any:
    """A module of an optional dependency; raises `MissingExtraError` when it is not installed.

    Args:
        module: its full name.
        package: what it comes with.
        extra: of gainnet, which installs the package.

    >>> import_extra("math", "python", "all").sqrt(4.0)
    2.0
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise MissingExtraError(package, extra) from None


def check_range(is_within: bool, field: str, value: object, allowed: str) -> None:
    """Raises `ConfigError` for a value out of its range.

    Args:
        is_within: whether the value is in its range; NaN is in none.
        field: name of the value.
        value: the value.
        allowed: the range, with its unit.

    >>> check_range(0.0 <= 2.0 < 0.5, "target_bler", 2.0, "between 0 and 0.5")
    Traceback (most recent call last):
    gainnet.core.errors.ConfigError: target_bler: 2.0 is out of range; must be between 0 and 0.5
    """
    if not is_within:
        raise ConfigError(f"{field}: {value} is out of range; must be {allowed}")


def check_kind(is_kind: bool, field: str, value: object, wanted: str) -> None:
    """Raises `ConfigError` for a value of a wrong type, which Python would answer in words of its own.

    Args:
        is_kind: whether the value is of the type.
        field: name of the value.
        value: the value.
        wanted: what to give.

    >>> check_kind(isinstance("5", float), "snr_db", "5", "a number")
    Traceback (most recent call last):
    gainnet.core.errors.ConfigError: snr_db: '5' is of type str; give a number
    """
    if not is_kind:
        raise ConfigError(f"{field}: {repr(value)[:40]} is of type {type(value).__name__}; give {wanted}")


def check_numbers(**values: object) -> None:
    """Raises `ConfigError` for a value that is no real number; one of NumPy or torch is one, a text is none.

    >>> check_numbers(snr_db=5, bandwidth_hz=1e6)
    """
    for field, value in values.items():
        check_kind(isinstance(value, SupportsFloat), field, value, "a number")


def unknown_name(field: str, name: str, known: Iterable[str]) -> ConfigError:
    """The error for a name that is in no table, with the names that are.

    >>> str(unknown_name("regime", "chaos", ["independent", "contention"]))
    "regime: 'chaos' is unknown; choose one of contention, independent"
    """
    return ConfigError(f"{field}: {name!r} is unknown; {nearest(name, known)}")


def check_name(field: str, name: str, known: Iterable[str]) -> None:
    """Raises the error of `unknown_name` for a name that is in no table.

    >>> check_name("regime", "contention", ["independent", "contention"])

    >>> check_name("codec", "liner", ("linear", "raw"))
    Traceback (most recent call last):
    gainnet.core.errors.ConfigError: codec: 'liner' is unknown; did you mean linear? choose one of ...
    """
    if name not in (names := tuple(known)):
        raise unknown_name(field, name, names)


def nearest(name: str, known: Iterable[str]) -> str:
    """How to mend a wrong name: the closest right one first, then all of them.

    >>> nearest("raleigh", ["awgn", "rayleigh"])
    'did you mean rayleigh? choose one of awgn, rayleigh'
    """
    names = sorted(known)
    plain = {each.lower(): each for each in names}
    # One suggestion: with several, a reader has to choose between names that are all nearly right.
    meant = "".join(f"did you mean {plain[close]}? " for close in get_close_matches(name.lower(), plain, 1))
    return f"{meant}choose one of {', '.join(names)}" if names else "there is none to choose"


def system_reason(error: Exception) -> str:
    """Reason of a file or socket that failed, without the number and the path that Python writes around it.

    Args:
        error: of the system, or another one, whose message it then is.

    >>> system_reason(FileNotFoundError(2, "No such file or directory", "server.pem"))
    'No such file or directory'
    """
    return getattr(error, "strerror", None) or str(error)


class Terminated(SystemExit):
    """The process was asked to end, by `kill`: no failure of whatever ran at that moment.

    >>> Terminated(143).code
    143
    """
