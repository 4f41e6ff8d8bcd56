"""A survivor takes the requests of a dead replica, and of nobody else."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from gainnet.core.errors import ConfigError
from gainnet.service.journal import Journal
from gainnet.service.replicas.shelf import Shelf

LEASE_S = 0.3


def own(folder: Path, said: Connection) -> None:
    with closing(Shelf(folder, LEASE_S)) as shelf:
        shelf.journal.accept("a", "{}", 7)
        shelf.journal.accept("b", "{}", 8)
        shelf.journal.finish("b", b"picture")
        said.send(shelf.owner)
        time.sleep(600)


@pytest.fixture
def other(tmp_path: Path):
    """Another replica, as a process: its owner's name and its pid."""
    fork = multiprocessing.get_context("fork")
    ready, said = fork.Pipe(duplex=False)
    process = fork.Process(target=own, args=(tmp_path, said), daemon=True)
    process.start()
    assert ready.poll(30.0)
    yield ready.recv(), process.pid
    process.kill()
    process.join()


def test_requests_of_a_dead_replica_are_taken_over(tmp_path: Path, other: tuple[str, int]) -> None:
    with closing(Shelf(tmp_path, LEASE_S)) as shelf:
        assert shelf.adopt() == 0
        os.kill(other[1], signal.SIGKILL)
        assert shelf.adopt() == 0  # its lease is not out
        time.sleep(2 * LEASE_S)
        assert shelf.adopt() == 2
        assert [(e.request_id, e.random_seed) for e in shelf.journal.unfinished()] == [("a", 7)]
        finished = shelf.journal.find("b")
        assert finished is not None
        assert finished.result == b"picture"
        assert shelf.adopt() == 0
        assert {path.name for path in tmp_path.iterdir()} <= {
            f"{shelf.owner}{suffix}" for suffix in (".db", ".db-wal", ".lease")
        }


def test_a_replica_that_only_sleeps_keeps_its_requests(tmp_path: Path, other: tuple[str, int]) -> None:
    with closing(Shelf(tmp_path, LEASE_S)) as shelf:
        os.kill(other[1], signal.SIGSTOP)
        time.sleep(2 * LEASE_S)
        assert shelf.adopt() == 0
        assert shelf.journal.unfinished() == []
        os.kill(other[1], signal.SIGCONT)
        assert (tmp_path / f"{other[0]}.db").exists()


def test_entries_that_are_here_stay_as_they_are(tmp_path: Path) -> None:
    with Journal(tmp_path / "own.db") as mine, Journal(tmp_path / "other.db") as left:
        for journal in (mine, left):
            journal.accept("a", "{}", 7)
        mine.finish("a", b"mine")
        left.accept("b", "{}", 9, b"photo")
        assert mine.adopt(left) == 2
        assert mine.adopt(left) == 0
        a, b = mine.find("a"), mine.find("b")
        assert a is not None
        assert b is not None
        assert (a.result, b.attachment, left.find("a")) == (b"mine", b"photo", None)


def test_a_lease_has_a_length(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="lease_s"):
        Shelf(tmp_path, 0.0)
