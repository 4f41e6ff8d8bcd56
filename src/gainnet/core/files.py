"""Files and folders that are there whole or not at all, and folders that one process holds at a time."""

from __future__ import annotations

import ctypes
import glob
import json
import os
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from gainnet.core.errors import ConfigError

_PART = ".part"


def read_toml(path: Path, field: str) -> dict[str, Any]:
    """The table of a TOML file; raises `ConfigError` in the name of `field` if it cannot be read or is no TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{field}: {path} cannot be read ({error.strerror}); give a .toml file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{field}: {path} is not TOML ({error}); mend it") from None


def write_whole(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Writes a file beside its place and renames it: after a kill the old file or the new one is there.

    Args:
        path: its place; its folder is made when missing.
        content: all of it.
        mode: permissions.

    Raises:
        ConfigError: the folder or the file cannot be written, or a folder of that name exists.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_whole(Path(folder) / "notes.txt", b"once")
    ...     write_whole(Path(folder) / "notes.txt", b"twice")
    ...     names, content = [path.name for path in Path(folder).iterdir()], (Path(folder) / "notes.txt").read_bytes()
    >>> names, content
    (['notes.txt'], b'twice')
    """
    write_pieces(path, (content,), mode)


def write_pieces(path: Path, pieces: Iterable[bytes], mode: int = 0o644) -> None:
    """As `write_whole`, of a file that would be too long for memory.

    Args:
        path: its place; its folder is made when missing.
        pieces: of its content, one after the other; each is written before the next is asked for.
        mode: permissions.

    Raises:
        ConfigError: the folder or the file cannot be written, or a folder of that name exists.
    """
    try:
        _check_no_folder(path)
        with _beside(path) as new:
            # Private keys are written here, too: the file must not be readable for others while it is written.
            new.touch(mode=0o600)
            with new.open("wb") as file:
                file.writelines(pieces)
            new.chmod(mode)
            new.replace(path)
    except OSError as error:
        raise ConfigError(f"out: cannot write {path} ({error.strerror}); make room or give another folder") from None


def write_json(path: Path, values: Any, indent: int = 2) -> None:
    """Writes a JSON file whole.

    Args:
        path: its place.
        values: what JSON can hold.
        indent: spaces per level.
    """
    write_whole(path, (json.dumps(values, indent=indent) + "\n").encode())


def write_folder(folder: Path, fill: Callable[[Path], None]) -> Path:
    """Writes a folder beside its place and exchanges it for the old one, which is there until then.

    Args:
        folder: its place.
        fill: writes into the empty folder that it is given.

    Raises:
        ConfigError: the folder cannot be written.
    """
    check_writable(folder.parent)
    with _beside(folder) as new:
        new.mkdir()
        fill(new)
        if folder.exists():
            _exchange(new, folder)
        else:
            new.rename(folder)
    return folder


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Keeps every other process from holding the same folder, which is made when missing.

    Raises:
        ConfigError: another process holds it, or it cannot be written.
    """
    check_writable(folder)
    folder.mkdir(parents=True, exist_ok=True)
    # The folder itself is locked, since a lock file would be left in it.
    with _locked(folder) as mine:
        if not mine:
            raise ConfigError(f"out: another run is writing {folder}; wait for it or give another --out")
        yield


def check_file(path: Path) -> None:
    """Raises `ConfigError` when a file could not be written there, before anything is computed for it."""
    try:
        _check_no_folder(path)
    except OSError as error:
        raise ConfigError(f"out: cannot write {path} ({error.strerror}); give another place") from None
    check_writable(path.parent)


def check_writable(folder: Path) -> None:
    """Raises `ConfigError` when a folder could not be made or written, and leaves nothing behind."""
    there = folder
    try:
        # The nearest folder that exists decides; making the missing ones to find out would leave them behind.
        there = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
        if not there.is_dir():
            raise ConfigError(f"out: {there} is a file, so {folder} cannot be a folder; give another folder")
        # Permission bits do not tell of read-only or full file systems, so that a file is written.
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise ConfigError(f"out: cannot write {there} ({error.strerror}); give another folder") from None


def _check_no_folder(path: Path) -> None:
    if path.is_dir():
        raise ConfigError(f"out: {path} is a folder where a file is to be written; give another place")


def check_outside_package(folder: Path) -> None:
    """Raises `ConfigError` when a folder lies in the installed package."""
    if folder.resolve().is_relative_to(Path(__file__).resolve().parents[1]):
        raise ConfigError(f"out: {folder} lies in the package; give a folder of your own")


@contextmanager
def _beside(place: Path) -> Iterator[Path]:
    """A name for a new file or folder, in a folder `.NAME.xxxxxxxx.part` beside its place that this process holds.

    Folders that killed processes have left there are removed first; one that is still written into is held, and stays.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    for part in place.parent.glob(f".{glob.escape(place.name)}.*{_PART}"):
        with suppress(OSError), _locked(part) as abandoned:
            if abandoned:
                shutil.rmtree(part, ignore_errors=True)
    while True:
        part = Path(tempfile.mkdtemp(_PART, f".{place.name}.", place.parent))
        with _locked(part) as mine:
            # Another writer may have taken it for abandoned before it was locked; then a new one is made.
            if mine and part.exists():
                try:
                    yield part / place.name
                finally:
                    shutil.rmtree(part, ignore_errors=True)
                return


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Whether an advisory lock on a folder could be had at once, and the lock meanwhile.

    The kernel lifts it when the process ends, however it ends. Always true where the system knows none for folders.
    """
    if sys.platform == "win32":
        yield True
        return
    import fcntl

    # A link under that name could point anywhere, and what is locked here may be removed.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        mine = True
    except BlockingIOError:
        mine = False
    except OSError:
        # Some network file systems lock no folders; to refuse every run there would help nobody.
        mine = True
    try:
        yield mine
    finally:
        os.close(descriptor)


def _exchange(new: Path, old: Path) -> None:
    """Swaps two folders in one step where the kernel can (renameat2 of Linux), else renames one after the other."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if sys.platform == "linux" else None
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    if rename is not None and rename(here, os.fsencode(new), here, os.fsencode(old), exchange) == 0:
        return
    # The old folder goes into the temporary one, which is removed in the end.
    old.rename(new.with_name(f"{new.name}.old"))
    new.rename(old)
