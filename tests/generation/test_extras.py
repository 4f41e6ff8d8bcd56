"""What `gainnet doctor` says of optional parts."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from gainnet.generation import extras

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]


def test_every_extra_of_a_user_has_a_purpose() -> None:
    assert set(extras.PURPOSES) == set(PROJECT["optional-dependencies"]) - {"dev", "docs"}


def test_a_line_of_the_metadata_is_of_one_extra_or_of_none(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["torch<2.15,>=2.13", "peft>=0.20; extra == 'learning'", 'flwr[simulation]==1.41.0; extra == "engines"']
    monkeypatch.setattr(extras, "requires", lambda package: lines)
    assert extras.needed() == ("torch",)
    assert extras.needed("learning") == ("peft",)
    assert extras.needed("engines") == ("flwr",)


def test_what_is_missing_is_named_with_the_command_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "installed", lambda package: None if package == "onnx" else "1.0")
    monkeypatch.setattr(extras, "needed", lambda extra: {"export": ("onnx",), "serve": ("fastapi",)}.get(extra, ()))
    rows = {row["extra"]: row for row in extras.extras()}
    assert (rows["export"]["installed"], rows["export"]["missing"]) == (False, ["onnx"])
    assert rows["export"]["command"] == "pip install 'gainnet[export]'"
    assert (rows["serve"]["installed"], rows["serve"]["command"]) == (True, None)


def test_every_python_that_is_declared_is_tested_or_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert PROJECT["requires-python"] == ">=3.11,<3.14"
    monkeypatch.setattr(extras.sys, "platform", "linux")
    monkeypatch.setattr(extras.sys, "version_info", (3, 11, 0))
    assert extras.platform_notes() == []
    monkeypatch.setattr(extras.sys, "version_info", (3, 13, 0))
    monkeypatch.setattr(extras.sys, "platform", "darwin")
    assert [note.split(":")[0] for note in extras.platform_notes()] == ["Python 3.13", "darwin"]
