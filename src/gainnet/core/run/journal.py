"""Finished cases of an unfinished run: one JSON line each with a check sum, safe against a kill at any moment."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from gainnet.core.errors import ConfigError
from gainnet.core.files import hold

Entry = Mapping[str, Any]


@contextmanager
def journal(path: Path, identity: str) -> Iterator[Journal]:
    """The journal at a path, whose folder this process alone holds.

    It ends at the first line that a kill left unfinished, that was changed or that belongs to another run; what follows
    is cut off, and its cases run again.

    Args:
        path: of the file.
        identity: digest of everything that decides the run's numbers.

    Raises:
        ConfigError: another process holds the folder, or the file cannot be written.

    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "journal.jsonl"
    ...     with journal(path, "settings") as kept:
    ...         kept.append("case 1", {"psnr_db": 21.5})
    ...     with journal(path, "settings") as again:
    ...         found = dict(again.entries)
    ...     with journal(path, "other settings") as other:
    ...         nothing = dict(other.entries)
    >>> found, nothing
    ({'case 1': {'psnr_db': 21.5}}, {})
    """
    with hold(path.parent):
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise ConfigError(f"out: cannot write {path} ({error.strerror}); give another --out") from None
        try:
            # A copy of the descriptor, since closing the file object must not close the journal.
            with os.fdopen(os.dup(descriptor), "rb") as file:
                lines = list(_whole_lines(file, identity))
            # Appended after a damaged line, new lines would never be read.
            os.ftruncate(descriptor, sum(length for length, _, _ in lines))
            os.lseek(descriptor, 0, os.SEEK_END)
            yield Journal(descriptor, identity, {key: entry for _, key, entry in lines})
        finally:
            os.close(descriptor)


@final
@dataclass(frozen=True)
class Journal:
    """Finished cases of a run that may be cut off at any moment.

    Args:
        descriptor: file open for writing, at its end.
        identity: of the run.
        entries: what is finished, by key; grows with `append`.
    """

    descriptor: int
    identity: str
    entries: dict[str, Entry]

    def append(self, key: str, entry: Entry) -> None:
        """Keeps a finished case: one write of one line, on the disk when it returns.

        Args:
            key: of the case.
            entry: what it gave, as JSON.
        """
        line = {"key": key, **entry}
        # One write past Python's buffers, so that a kill leaves at most one unfinished line.
        os.write(self.descriptor, (json.dumps({**line, "sha256": _digest(line, self.identity)}) + "\n").encode())
        os.fsync(self.descriptor)
        self.entries[key] = entry


def _whole_lines(file: Iterable[bytes], identity: str) -> Iterator[tuple[int, str, Entry]]:
    """(length, key, entry) up to the first line that is not as it was written."""
    for raw in file:
        try:
            line = json.loads(raw)
            if not raw.endswith(b"\n") or line.pop("sha256") != _digest(line, identity):
                return
            yield len(raw), line.pop("key"), line
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return


def _digest(line: Entry, identity: str) -> str:
    """The run's identity goes in, so that a line copied from another run is none of this one."""
    return hashlib.sha256(f"{identity}\n{json.dumps(line, sort_keys=True)}".encode()).hexdigest()[:32]
