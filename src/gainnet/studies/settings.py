"""Types of the fields that settings of many studies have; a value outside of them is refused with its field's name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, Field, PlainValidator

from gainnet.catalog import parse, text_of
from gainnet.core.errors import ConfigError
from gainnet.radio import Air, Reports
from gainnet.studies.study import Case

T = TypeVar("T")

Natural = Annotated[int, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
SnrDb = Annotated[float, Field(ge=-60, le=100)]
"""Mean received Es/N0 in dB."""

NonEmpty = Annotated[tuple[T, ...], Field(min_length=1)]
Seeds = Annotated[tuple[Natural, ...], Field(min_length=1)]
"""Random seeds, each a repetition of its own."""


def _air(value: object) -> Air:
    if isinstance(value, Air):
        return value
    if not isinstance(value, str):
        raise ValueError("must be a text such as 'air(snr_db=10.0)'")
    air: Air = parse("air", value)
    return air


AirField = Annotated[Air, PlainValidator(_air)]
"""An air by the text of its constructor, such as `air(fading=rayleigh, snr_db=5.0)`."""


def with_air(table: dict[str, Any], default: Air) -> dict[str, Any]:
    """Settings of the time before an air was one value: `snr_db`, `fading` and `report_error_db` go into `air`.

    Args:
        table: settings by name.
        default: the air of settings that name none.

    >>> with_air({"rounds": 5, "snr_db": 3.0}, Air())
    {'rounds': 5, 'air': 'air(snr_db=3.0)'}
    """
    old = {name: value for name, value in table.items() if name in ("snr_db", "fading", "report_error_db")}
    if not old:
        return table
    rest = {name: value for name, value in table.items() if name not in old}
    air = _air(rest.get("air", default))
    fading = parse("fading", str(old["fading"])) if "fading" in old else air.fading
    reports = replace(air.reports, error_db=_number(old, "report_error_db", air.reports.error_db))
    # An old name changes one property of the air; the others stay what the air says.
    air = replace(air, fading=fading, snr_db=_number(old, "snr_db", air.snr_db), reports=reports)
    return {**rest, "air": text_of("air", air)}


def _number(table: dict[str, Any], name: str, default: float) -> float:
    value = table.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{name}: must be a number, got {value!r}")
    return float(value)


def air_of(case: Case) -> Air:
    """Fading, SNR and reports that the swept values of a case name; exact and prompt reports where it names none."""
    values = case.values
    reports = Reports(float(values.get("report_error_db") or 0.0), int(values.get("report_delay") or 0))
    return Air(parse("fading", case.text("fading")), case.number("snr_db"), reports=reports)


def one_of(names: Sequence[str]) -> AfterValidator:
    """The check of a field that takes one of some names.

    >>> one_of(("webp", "avif")).func("webp")
    'webp'
    """

    def check(name: str) -> str:
        if name not in names:
            raise ValueError(f"{name!r} is unknown; choose among {', '.join(names)}")
        return name

    return AfterValidator(check)


def linear_seed(protocol: str) -> dict[str, str]:
    """Codec of seeds of runs that are about something else: the linear one, with which they were published.

    Args:
        protocol: name, with arguments or without; of most no seed is sent, and then no codec may be named.

    >>> linear_seed("eiug"), linear_seed("ciag(cut=3)")
    ({'seed': 'linear'}, {})
    """
    return {"seed": "linear"} if protocol in ("eiug", "diug") else {}
