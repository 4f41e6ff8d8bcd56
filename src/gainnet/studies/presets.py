"""Settings of a study from TOML: checked against its configuration dataclass, one line per mistake."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from gainnet.catalog import text_of
from gainnet.core.errors import ConfigError, nearest
from gainnet.core.outside import first_mistake
from gainnet.radio import Air
from gainnet.studies.settings import with_air
from gainnet.studies.study import C, Study, StudyConfig

PRESETS = ("default", "quick", "full")


def load_config(study: Study[C], preset: str | Path, changes: Mapping[str, Any] | None = None) -> C:
    """The settings of a preset, or of a TOML file that lists what differs from the default.

    Args:
        study: whose catalog file holds the presets.
        preset: default, quick, full, or the path of a TOML file.
        changes: fields that differ from the preset.

    Raises:
        ConfigError: the preset or file is unknown, or a field is unknown, missing, of a wrong type or out of range.
    """
    # In the words of the command line, because that is where changes come from.
    if foreign := [field for field in changes or {} if field not in study.config.__dataclass_fields__]:
        option = f"--{foreign[0].replace('_', '-')}"
        raise ConfigError(f"{foreign[0]}: unknown field of the study {study.name}, which has no {option}; leave it out")
    tables = _read_toml(study.catalog / f"{study.name}.toml")
    chosen = tables.get(str(preset), {}) if str(preset) in PRESETS else _read_toml(_own_file(preset))
    return settings_of(study, tables["default"] | chosen | dict(changes or {}))


def settings_of(study: Study[C], table: dict[str, Any]) -> C:
    """Settings of a study from plain values, which an earlier version may have written under other names.

    Raises:
        ConfigError: as `validate`.
    """
    table, air = study.current(table), study.config.__dataclass_fields__.get("air")
    if air is not None:
        table = with_air(table, air.default if isinstance(air.default, Air) else Air())
    return validate(study.config, table)


def validate(config: type[C], table: dict[str, Any]) -> C:
    """An instance of a frozen dataclass from plain values; unknown fields and wrong types raise.

    Raises:
        ConfigError: names the first field that is wrong.
    """
    if unknown := sorted(set(table) - set(config.__dataclass_fields__)):
        raise ConfigError(f"{unknown[0]}: unknown field; {nearest(unknown[0], config.__dataclass_fields__)}")
    try:
        # By way of JSON, where strict mode takes a list for a tuple: a TOML file has no tuples.
        return TypeAdapter(config).validate_json(json.dumps(table, default=str), strict=True)
    except ValidationError as error:
        # A check of several fields names them itself.
        place, words = first_mistake(error.errors())
        # What a plug-in raised stays the cause, so that its lines can be found.
        cause = error.errors()[0].get("ctx", {}).get("error")
        raise ConfigError(f"{place}: {words}" if place else words) from cause


def as_json(config: StudyConfig) -> dict[str, Any]:
    """The settings as plain JSON values."""
    table: dict[str, Any] = _plain(config)
    return table


def _plain(value: Any) -> Any:
    """Lists, dicts, numbers and text; an air as the text that its setting takes."""
    if isinstance(value, Air):
        return text_of("air", value)
    if is_dataclass(value):
        return {name: _plain(item) for name, item in vars(value).items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return {name: _plain(item) for name, item in value.items()} if isinstance(value, dict) else value


def _own_file(path: str | Path) -> Path:
    if Path(path).suffix == ".toml" or "/" in str(path):
        if not Path(path).is_file():
            raise ConfigError(f"config: there is no file {path}; give a TOML file")
    elif not Path(path).is_file():
        raise ConfigError(f"preset: {str(path)!r} is neither one of {', '.join(PRESETS)} nor a TOML file")
    return Path(path)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name}: not valid TOML: {error}") from None
