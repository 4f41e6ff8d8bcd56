"""Files and folders that are there whole or not at all, and folders that one process holds at a time."""

from __future__ import annotations

import ctypes
import glob
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gainnet.core.errors import ConfigError

_PART = ".part"


def write_whole(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Writes a file beside its place and renames it: after a kill the old file or the new one is there.

    Args:
        path: its place; its folder is made when missing.
        content: all of it.
        mode: permissions.

    Raises:
        ConfigError: the folder or the file cannot be written, or a folder of that name exists.
    """
    try:
        if path.is_dir():
            raise ConfigError(f"out: {path} is a folder where a file is to be written; give another place")
        path.parent.mkdir(parents=True, exist_ok=True)
        with _beside(path, _new_file) as (descriptor, name):
            with os.fdopen(os.dup(descriptor), "wb") as file:
                file.write(content)
            name.chmod(mode)
            name.replace(path)
    except OSError as error:
        raise ConfigError(f"out: cannot write {path} ({error.strerror}); make room or give another folder") from None


def write_json(path: Path, values: Any, indent: int = 2) -> None:
    """Writes a JSON file whole; numbers have to be finite, as JSON knows no others.

    Args:
        path: its place.
        values: what JSON can hold.
        indent: spaces per level.
    """
    write_whole(path, (json.dumps(values, indent=indent, allow_nan=False) + "\n").encode())


def write_folder(folder: Path, fill: Callable[[Path], None]) -> Path:
    """Writes a folder beside its place and exchanges it for the old one, which is there until then.

    Args:
        folder: its place.
        fill: writes into the empty folder that it is given.

    Raises:
        ConfigError: the folder cannot be written.
    """
    check_writable(folder.parent)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _beside(folder, _new_folder) as (_, new):
        fill(new)
        if folder.exists():
            _exchange(new, folder)
        else:
            new.rename(folder)
    return folder


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Keeps every other process from holding the same folder, which is made when missing.

    The kernel lifts the lock when the process ends, however it ends.

    Raises:
        ConfigError: another process holds it, or it cannot be written.
    """
    check_writable(folder)
    folder.mkdir(parents=True, exist_ok=True)
    # The folder itself is locked, since a lock file would be left in it.
    descriptor = None if sys.platform == "win32" else os.open(folder, os.O_RDONLY)
    try:
        if descriptor is not None and not _lock(descriptor):
            raise ConfigError(f"out: another run is writing {folder}; wait for it or give another --out")
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def check_writable(folder: Path) -> None:
    """Raises `ConfigError` when a folder could not be made or written, and leaves nothing behind."""
    there = folder
    try:
        there = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
        if not there.is_dir():
            raise ConfigError(f"out: {there} is a file, so {folder} cannot be a folder; give another folder")
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise ConfigError(f"out: cannot write {there} ({error.strerror}); give another folder") from None


def check_outside_package(folder: Path) -> None:
    """Raises `ConfigError` when a folder lies in the installed package."""
    if folder.resolve().is_relative_to(Path(__file__).resolve().parents[1]):
        raise ConfigError(f"out: {folder} lies in the package; give a folder of your own")


@contextmanager
def _beside(place: Path, make: Callable[[Path], tuple[int, Path]]) -> Iterator[tuple[int, Path]]:
    """A new file or folder `.NAME.xxxxxxxx.part` that this process has locked, with its descriptor.

    What killed processes have left is removed first; a part that is still being written is locked, and stays.
    """
    for part in place.parent.glob(f".{glob.escape(place.name)}.*{_PART}"):
        _remove_abandoned(part)
    while True:
        descriptor, new = make(place)
        # Another writer may have taken it for abandoned before it was locked; then a new one is made.
        if _lock(descriptor) and new.exists():
            break
        os.close(descriptor)
    try:
        yield descriptor, new
    finally:
        os.close(descriptor)
        _remove(new)


def _new_file(place: Path) -> tuple[int, Path]:
    descriptor, name = tempfile.mkstemp(_PART, f".{place.name}.", place.parent)
    return descriptor, Path(name)


def _new_folder(place: Path) -> tuple[int, Path]:
    new = Path(tempfile.mkdtemp(_PART, f".{place.name}.", place.parent))
    new.chmod(0o755)
    # Windows opens no folders and has no locks of this kind: any descriptor does.
    return os.open(os.devnull if sys.platform == "win32" else new, os.O_RDONLY), new


def _remove_abandoned(part: Path) -> None:
    if sys.platform == "win32":
        return
    try:
        descriptor = os.open(part, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return
    if _lock(descriptor):
        _remove(part)
    os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _lock(descriptor: int) -> bool:
    """Whether an advisory lock could be had at once; always, where the file system knows none."""
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _exchange(new: Path, old: Path) -> None:
    """Swaps two folders in one step where the kernel can (renameat2 of Linux), else renames one after the other."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if sys.platform == "linux" else None
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    if rename is not None and rename(here, os.fsencode(new), here, os.fsencode(old), exchange) == 0:
        return
    away = old.with_name(f".{old.name}.old{_PART}")
    old.rename(away)
    new.rename(old)
    _remove(away)
