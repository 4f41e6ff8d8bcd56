"""Files are there completely or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from gainnet.core.errors import ConfigError
from gainnet.core.files import check_writable, write_whole


def test_a_file_is_replaced_whole_and_nothing_stays_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.json"
    write_whole(path, b"old")
    write_whole(path, b"new content")
    assert path.read_bytes() == b"new content"
    assert list(path.parent.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_whole(path, b"old")
    with pytest.raises(TypeError):
        write_whole(path, "not bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for refuse in (check_writable, lambda folder: write_whole(folder / "x", b"")):
        with pytest.raises(ConfigError, match=r"^out: .*give another folder$"):
            refuse(tmp_path / "file" / "folder")


def test_checking_a_folder_makes_nothing(tmp_path: Path) -> None:
    check_writable(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^out: .* is a folder where .*; give another place$"):
        write_whole(tmp_path, b"")
    assert list(tmp_path.iterdir()) == []
