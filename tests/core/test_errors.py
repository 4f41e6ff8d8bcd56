"""Errors are one line that says how to mend it."""

from __future__ import annotations

import inspect

import pytest

from gainnet.core import errors
from gainnet.core.errors import GainnetError, MissingExtraError, unknown_name

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
