"""Errors are one line that says how to mend it."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from gainnet.core import errors
from gainnet.core.errors import GainnetError, MissingExtraError, system_reason, unknown_name

KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, GainnetError)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_a_value_error_that_one_except_catches(kind: type[GainnetError]) -> None:
    assert issubclass(kind, ValueError)
    assert kind.__doc__


def test_an_unknown_name_names_what_is_known() -> None:
    message = str(unknown_name("codec", "webpp", {"webp": 1, "jpeg": 2}))
    assert "codec" in message
    assert "jpeg, webp" in message
    assert "\n" not in message


def test_a_missing_extra_names_the_command() -> None:
    assert "pip install 'gainnet[docs]'" in str(MissingExtraError("mkdocs", "docs"))


def test_the_reason_of_the_system_has_neither_number_nor_path(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        (tmp_path / "none").read_bytes()
    assert system_reason(caught.value) == "No such file or directory"
    assert system_reason(ValueError("damaged")) == "damaged"
