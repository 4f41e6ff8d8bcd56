"""Names of ours and `module:Name` of the user's."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gainnet.core.errors import ConfigError
from gainnet.core.plugins import find


def test_a_known_name_comes_from_the_table() -> None:
    assert find("codec", "a", {"a": 1}) == 1


def test_a_module_of_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_own_codec.py").write_text("class Mine:\n    pass\n")
    monkeypatch.chdir(tmp_path)
    path = list(sys.path)
    assert find("codec", "my_own_codec:Mine", {}).__name__ == "Mine"
    assert sys.path == path


@pytest.mark.parametrize("name", ["b", "no_such_module:X", "math:no_such_name", ":", "math:", ":sqrt"])
def test_anything_else_is_one_line_with_the_field(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^codec: ") as error:
        find("codec", name, {"a": 1})
    assert "\n" not in str(error.value)


def test_an_installed_package_offers_by_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "offers-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: offers\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[gainnet.codec.seed]\nroot = math:sqrt\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert find("codec.seed", "root", {})(4.0) == 2.0
