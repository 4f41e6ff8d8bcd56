"""Accepted requests on disk: what was accepted is served, whatever dies meanwhile."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Self, final

from gainnet.core.errors import ConfigError, system_reason

State = Literal["accepted", "finished", "acknowledged"]

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS requests (
    request_id TEXT PRIMARY KEY,
    config TEXT NOT NULL,
    random_seed INTEGER NOT NULL,
    attachment BLOB NOT NULL,
    state TEXT NOT NULL,
    accepted_at REAL NOT NULL,
    changed_at REAL NOT NULL,
    result BLOB,
    digest TEXT
) STRICT
"""


@final
@dataclass(frozen=True)
class Entry:
    """A request as the journal has it.

    Args:
        request_id: of the client, or drawn for it.
        config_json: everything that decides its result but the random seed.
        random_seed: of its first picture.
        attachment: a picture of the client's, or nothing.
        state: `accepted` until its result is there; `acknowledged` when the client has it, and the result is gone.
        result: what is sent to the client, when it is there.
        digest: of the result, when it is there.
    """

    request_id: str
    config_json: str
    random_seed: int
    attachment: bytes
    state: State
    result: bytes | None
    digest: str | None


@final
class Journal:
    """Requests in an SQLite file, which any thread may ask, one at a time.

        accept --committed--> accepted --finish--> finished --acknowledge--> acknowledged --prune--> gone

    Every change is on disk when the call returns (write-ahead log, `synchronous=FULL`), so that a process that is
    killed at any moment loses nothing that it has accepted.

    Args:
        path: of the file; made when missing.

    Raises:
        ConfigError: the file cannot be written, is no journal, or another process has it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, Journal(Path(folder) / "journal.db") as journal:
    ...     journal.accept("a", "{}", 7), journal.accept("a", "{}", 8), [e.random_seed for e in journal.unfinished()]
    (True, False, [7])
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # One connection behind a lock is the one writer that SQLite has in any case.
            self._connection = sqlite3.connect(path, timeout=1.0, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.execute("PRAGMA secure_delete=ON")
            self._connection.execute(_SCHEMA)
        except (sqlite3.Error, OSError) as error:
            raise ConfigError(
                f"journal: {path} cannot be used ({system_reason(error)}); give another --journal"
            ) from None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._connection.close()

    def accept(self, request_id: str, config_json: str, random_seed: int, attachment: bytes = b"") -> bool:
        """Accepts a request; from when it returns, the request is served even if this process dies.

        Args:
            request_id: of the client, or drawn for it.
            config_json: everything that decides its result but the random seed.
            random_seed: of its first picture, below 2**63.
            attachment: a picture of the client's.

        Returns:
            Whether it is new; an entry of that id stays as it is.
        """
        now = time.time()
        row = (request_id, config_json, random_seed, attachment, now, now)
        command = "INSERT OR IGNORE INTO requests VALUES (?, ?, ?, ?, 'accepted', ?, ?, NULL, NULL)"
        return self._change(command, row) == 1

    def find(self, request_id: str) -> Entry | None:
        """The entry of a request; `None` where it was never accepted, or pruned."""
        return next(iter(self._entries("WHERE request_id = ?", (request_id,))), None)

    def unfinished(self) -> list[Entry]:
        """Accepted requests without a result, oldest first."""
        return self._entries("WHERE state = 'accepted' ORDER BY accepted_at, rowid")

    def finish(self, request_id: str, result: bytes, digest: str | None = None) -> None:
        """Keeps the result of a request; one that it already has stays.

        Args:
            request_id: of the request.
            result: what is sent to the client.
            digest: of the result; SHA-256 in hexadecimal when `None`.
        """
        row = (result, digest or hashlib.sha256(result).hexdigest(), time.time(), request_id)
        command = "UPDATE requests SET state = 'finished', result = ?, digest = ?, changed_at = ? "
        self._change(command + "WHERE request_id = ? AND state = 'accepted'", row)

    def acknowledge(self, request_id: str) -> None:
        """The client has the result, which is removed; its entry stays, so that a late retry gets an answer."""
        command = "UPDATE requests SET state = 'acknowledged', result = NULL, attachment = x'', changed_at = ? "
        self._change(command + "WHERE request_id = ? AND state = 'finished'", (time.time(), request_id))

    def forget(self, request_id: str) -> None:
        """Removes a request that its client has given up."""
        self._change("DELETE FROM requests WHERE request_id = ?", (request_id,))

    def adopt(self, other: Journal) -> int:
        """Takes over all entries of another journal, which has none afterwards; an entry that is here stays as it is.

        Args:
            other: of a process that is dead.

        Returns:
            How many were taken over.
        """
        with other._lock, closing(other._connection.execute("SELECT * FROM requests")) as rows:
            entries = rows.fetchall()
        with self._lock, closing(self._connection.cursor()) as cursor:
            cursor.execute("BEGIN")
            places = ", ".join("?" * len(entries[0])) if entries else ""
            cursor.executemany(f"INSERT OR IGNORE INTO requests VALUES ({places})", entries) if entries else None
            cursor.execute("COMMIT")
        # Only now: who is killed in between leaves them in both, where they mean the same.
        other._change("DELETE FROM requests", ())
        return len(entries)

    def prune(self, age_s: float, size_bytes: int) -> int:
        """Removes old finished requests, and then the oldest finished ones until the rest fits.

        Args:
            age_s: since their last change, above which they are removed.
            size_bytes: of results and attachments, together.

        Returns:
            How many were removed; what is not finished stays in any case.
        """
        removed = self._change(
            "DELETE FROM requests WHERE state != 'accepted' AND changed_at < ?", (time.time() - age_s,)
        )
        # Running sum from the newest backwards: whatever lies beyond the limit goes.
        sizes = "coalesce(length(result), 0) + length(attachment) + length(config)"
        order = "ORDER BY changed_at DESC, rowid DESC"
        summed = f"SELECT request_id, state, sum({sizes}) OVER ({order}) AS total FROM requests"
        beyond = f"SELECT request_id FROM ({summed}) WHERE total > ? AND state != 'accepted'"
        command = f"DELETE FROM requests WHERE request_id IN ({beyond})"
        return removed + self._change(command, (size_bytes,))

    def _entries(self, clause: str, values: tuple[object, ...] = ()) -> list[Entry]:
        columns = "request_id, config, random_seed, attachment, state, result, digest"
        with self._lock, closing(self._connection.execute(f"SELECT {columns} FROM requests {clause}", values)) as rows:
            return [Entry(*row) for row in rows]

    def _change(self, command: str, values: tuple[object, ...]) -> int:
        """Rows that a command changed; committed when it returns, since every statement is its own transaction."""
        with self._lock, closing(self._connection.execute(command, values)) as done:
            return done.rowcount
