"""Files that are there completely or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from gainnet.core.errors import ConfigError


def write_whole(path: Path, content: bytes, mode: int = 0o644) -> None:
    """A file, written beside its place and then renamed; its folder is made when missing.

    Args:
        path: its place.
        content: all of it.
        mode: who may read and write it.

    Raises:
        ConfigError: the folder or the file cannot be written, or a folder of that name is there.
    """
    if path.is_dir():
        raise ConfigError(f"out: {path} is a folder where a file is to be written; give another place")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise ConfigError(f"out: cannot write {path.parent} ({error.strerror}); give another folder") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise ConfigError(f"out: cannot write {path} ({error.strerror}); make room or give another place") from None
        raise


def check_writable(folder: Path) -> None:
    """Raises `ConfigError` when a folder could not be made or written, and leaves nothing behind."""
    there = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    if not there.is_dir():
        raise ConfigError(f"out: {there} is a file, so {folder} cannot be a folder; give another folder")
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise ConfigError(f"out: cannot write {there} ({error.strerror}); give another folder") from None


def check_outside_package(folder: Path) -> None:
    """Raises `ConfigError` when a folder lies in the installed package."""
    if folder.resolve().is_relative_to(Path(__file__).resolve().parents[1]):
        raise ConfigError(f"out: {folder} lies in the package; give a folder of your own")
