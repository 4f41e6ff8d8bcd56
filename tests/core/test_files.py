"""Files are there completely or not at all."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gainnet.core.errors import ConfigError
from gainnet.core.files import check_writable, hold, write_folder, write_whole


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


KILLED = """
import os, pathlib, signal, sys
from gainnet.core.files import write_folder, write_whole
die = lambda *given, **named: os.kill(os.getpid(), signal.SIGKILL)
os.rename = os.replace = pathlib.Path.rename = pathlib.Path.replace = die
place = pathlib.Path(sys.argv[2])
if sys.argv[1] == "file":
    write_whole(place, b"never")
else:
    write_folder(place, lambda beside: (beside / "a").write_text("never"))
"""


def fill(beside: Path) -> None:
    (beside / "a").write_text("new")


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_f10_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "out [1]"
    killed = subprocess.run([sys.executable, "-c", KILLED, kind, str(place)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert [path.name.startswith(".out [1].") for path in tmp_path.iterdir()] == [True]
    write_whole(place, b"new") if kind == "file" else write_folder(place, fill)
    assert list(tmp_path.iterdir()) == [place]


def test_a_part_that_is_still_written_stays(tmp_path: Path) -> None:
    inner: list[str] = []

    def slowly(beside: Path) -> None:
        fill(beside)
        write_folder(tmp_path / "a", fill)
        inner.extend(path.name for path in beside.iterdir())

    write_folder(tmp_path / "a", slowly)
    assert inner == ["a"]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_f10_a_folder_is_exchanged_and_never_absent(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", lambda beside: (beside / "b").write_text("old") and None)
    with folder.joinpath("b").open() as held:
        write_folder(folder, fill)
        assert held.read() == "old"
    assert [path.name for path in folder.iterdir()] == ["a"]
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_is_held_by_one_process(tmp_path: Path) -> None:
    with (
        hold(tmp_path / "run"),
        pytest.raises(ConfigError, match=r"^out: another run is writing \S+; wait for it or give another --out$"),
        hold(tmp_path / "run"),
    ):
        pass
    with hold(tmp_path / "run"):
        assert list((tmp_path / "run").iterdir()) == []
