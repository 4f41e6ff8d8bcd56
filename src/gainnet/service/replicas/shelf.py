"""Journals of replicas in one folder: each has an owner, and who finds the owner dead takes its entries over."""

from __future__ import annotations

import os
import threading
import uuid
from pathlib import Path
from typing import final

from gainnet.core.errors import ConfigError, check_range
from gainnet.service.journal import Journal
from gainnet.service.records import LEASE_S


@final
class Shelf:
    """The journal of this replica in a folder that replicas share, and those of others.

        owner.db      its journal, which SQLite locks for the process that has it
        owner.lease   touched three times per lease

    The lease says who is late, the lock who is alive: a replica that was stopped for longer than its lease keeps its
    journal. Only where a file system forgets locks does the lease alone decide.

    Args:
        folder: shared by all replicas; made when missing.
        lease_s: how long a replica may be silent.

    Raises:
        ConfigError: the folder cannot be written.
    """

    def __init__(self, folder: Path, lease_s: float = LEASE_S) -> None:
        check_range(0.0 < lease_s <= 3600.0, "lease_s", lease_s, "above 0 to 3600 s")
        self._folder, self._lease_s = folder, lease_s
        self.owner = uuid.uuid4().hex
        self.journal = Journal(folder / f"{self.owner}.db")
        self._ended = threading.Event()
        self._renew()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Gives the journal back: others take it over when its lease is out."""
        self._ended.set()
        self._thread.join()
        self.journal.close()

    def adopt(self) -> int:
        """Takes over the journals of replicas that are dead.

        Returns:
            How many requests were taken over.
        """
        # The clock of the file system itself, which two machines share, unlike their own.
        now_s = self._renew()
        return sum(
            self._take(path.with_suffix(".db"))
            for path in self._folder.glob("*.lease")
            if path.stem != self.owner and now_s - _touched(path) > self._lease_s
        )

    def _take(self, path: Path) -> int:
        if not path.exists():
            # Another survivor was faster, and was interrupted before it had removed the lease.
            path.with_suffix(".lease").unlink(missing_ok=True)
            return 0
        try:
            with Journal(path) as left:
                num = self.journal.adopt(left)
        except ConfigError:
            return 0  # it is locked: its owner is alive, or another survivor has it
        # Its entries are here and no longer there, so that nothing is lost if this is interrupted anywhere.
        for suffix in (".db-wal", ".db-shm", ".db", ".lease"):
            path.with_suffix(suffix).unlink(missing_ok=True)
        return num

    def _renew(self) -> float:
        path = self._folder / f"{self.owner}.lease"
        path.touch()
        os.utime(path)
        return _touched(path)

    def _keep(self) -> None:
        while not self._ended.wait(self._lease_s / 3.0):
            self._renew()


def _touched(path: Path) -> float:
    """When a file was last written, s; at the end of time where it is gone."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")
