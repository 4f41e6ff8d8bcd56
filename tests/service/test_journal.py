"""The journal: committed when accepted, whole after a kill, pruned by age and size."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gainnet.core.errors import ConfigError
from gainnet.service.journal import Journal

WRITER = """
import sys
from pathlib import Path
from gainnet.service.journal import Journal
with Journal(Path(sys.argv[1])) as journal:
    for k in range(10_000):
        journal.accept(f"r{k}", "{}", k)
        print(k, flush=True)
        if k % 2:
            journal.finish(f"r{k}", b"picture %d" % k)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def test_a_request_goes_from_accepted_to_acknowledged(path: Path) -> None:
    with Journal(path) as journal:
        assert journal.accept("a", '{"prompt": "x"}', 7, b"photo")
        assert not journal.accept("a", "{}", 8)
        (entry,) = journal.unfinished()
        assert (entry.config_json, entry.random_seed, entry.attachment, entry.state) == (
            '{"prompt": "x"}', 7, b"photo", "accepted"
        )  # fmt: skip
        journal.acknowledge("a")  # nothing to acknowledge yet
        journal.finish("a", b"picture")
        journal.finish("a", b"another picture")
    with Journal(path) as journal:
        assert journal.unfinished() == []
        found = journal.find("a")
        assert found is not None
        assert (found.state, found.result) == ("finished", b"picture")
        assert found.digest is not None
        assert len(found.digest) == 64
        journal.acknowledge("a")
        found = journal.find("a")
        assert found is not None
        assert (found.state, found.result, found.attachment) == ("acknowledged", None, b"")
        journal.forget("a")
        assert journal.find("a") is None


def test_one_id_is_accepted_once_by_many_threads(path: Path) -> None:
    taken: list[bool] = []
    with Journal(path) as journal:
        threads = [threading.Thread(target=lambda: taken.append(journal.accept("a", "{}", 1))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(taken) == [False] * 7 + [True]


def test_old_and_large_results_are_pruned_and_open_requests_never(path: Path) -> None:
    with Journal(path) as journal:
        for k in range(4):
            journal.accept(f"r{k}", "{}", k, b"x" * 1000)
            if k != 1:
                journal.finish(f"r{k}", bytes(1000))
        assert journal.prune(3600.0, 5000) == 1
        assert journal.find("r0") is None
        assert journal.prune(0.0, 10**9) == 2
        assert [entry.request_id for entry in journal.unfinished()] == ["r1"]


def test_what_was_accepted_is_there_after_a_kill(path: Path) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    told = [int(writer.stdout.readline()) for _ in range(20)]
    os.kill(writer.pid, signal.SIGKILL)
    told += [int(line) for line in writer.stdout.read().split("\n")[:-1]]
    writer.wait()
    writer.stdout.close()
    with Journal(path) as journal:
        found = [journal.find(f"r{k}") for k in told]
    assert all(entry is not None and entry.random_seed == k for k, entry in zip(told, found, strict=True))
    # The last one was told of before it was finished.
    finished = [entry for k, entry in zip(told[:-1], found, strict=False) if entry is not None and k % 2]
    assert all(entry.result == b"picture %d" % entry.random_seed for entry in finished)


def test_a_journal_is_held_by_one_process_and_is_a_journal(path: Path, tmp_path: Path) -> None:
    with Journal(path) as journal:
        journal.accept("a", "{}", 0)
        with pytest.raises(ConfigError, match=r"journal: .*locked"):
            Journal(path)
    (tmp_path / "text").write_text("not a database, but long enough to be taken for one" * 20)
    with pytest.raises(ConfigError, match="journal"):
        Journal(tmp_path / "text")
    with pytest.raises(ConfigError, match="journal"):
        Journal(tmp_path)
