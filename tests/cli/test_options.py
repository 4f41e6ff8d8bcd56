"""Every option that a command ever had keeps its name, its meaning and its default."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from gainnet.cli import app
from gainnet.cli.options import Asked, Fields, command

OPTIONS = json.loads((Path(__file__).parent / "options.json").read_text())
"""Options by command as they were before they were generated."""


def commands_of(above: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, below in above.commands.items():
        if isinstance(below, click.Group):
            yield from commands_of(below, f"{path}{name} ")
        else:
            yield path + name, below


COMMANDS = dict(commands_of(app))


def default_of(option: click.Parameter) -> Any:
    """The default in plain values; `None` where the option has none."""
    shown = option.to_info_dict().get("default")
    found = None if shown is None or "UNSET" in repr(shown) else shown
    return found if isinstance(found, bool | int | float | None) else str(found)


def test_no_command_went() -> None:
    assert set(OPTIONS) <= set(COMMANDS)


@pytest.mark.parametrize("name", OPTIONS)
def test_options_keep_name_and_default(name: str) -> None:
    made = {each.opts[0]: each for each in COMMANDS[name].get_params(click.Context(COMMANDS[name]))}
    for option, was in OPTIONS[name].items():
        found = made[option]
        assert found.required == was.get("required", False), option
        assert getattr(found, "multiple", False) == was.get("multiple", False), option
        assert getattr(found, "is_flag", False) == was.get("flag", False), option
        assert found.help, option
        if was.get("multiple"):
            continue
        usual = was.get("shown")
        is_usual = usual is not None and (
            getattr(found, "show_default", None) == usual
            or f"{usual} when left out" in found.help
            or _number(usual) == _number(default_of(found))
        )
        assert is_usual or _number(default_of(found)) == _number(was["default"]), option


@pytest.mark.parametrize("name", COMMANDS)
def test_help_begins_with_a_capital_or_a_list_of_values(name: str) -> None:
    """Values keep their case: nobody can type `Ldpc`."""
    for each in COMMANDS[name].get_params(click.Context(COMMANDS[name])):
        first = str(getattr(each, "help", "")).split(" ")[0]
        assert not re.fullmatch(r"[a-z]+(-[a-z]+)*;?", first), (each.name, first)
        assert first.lower() not in ("ldpc", "polar", "awgn"), each.name


def _number(value: Any) -> Any:
    """A text as the number that it writes."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


def test_an_option_that_is_given_is_distinguished_from_its_default() -> None:
    asked_for: list[Asked] = []

    @command(
        "try", Fields("gainnet.catalog.parameters:Parameter", ("name", "text"), defaults={"name": "a", "text": ""})
    )
    def tried(asked: Asked, *, many: tuple[int, ...] = ()) -> None:
        asked_for.append(asked)
        assert many == (1, 2)

    found = CliRunner().invoke(tried, ["--name", "a", "--many", "1", "--many", "2"], standalone_mode=False)
    assert found.exception is None
    assert asked_for == [Asked({"name": "a", "text": ""}, frozenset({"name"}))]
    assert asked_for[0].chosen == {"name": "a"}
