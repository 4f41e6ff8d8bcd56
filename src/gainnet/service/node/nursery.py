"""Processes that are forked from one without threads, which has everything that they need in memory."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle
from typing import Any, Final, final

from gainnet.core.errors import ConfigError

START_S: Final = 120.0
"""How long a process may take until it is ready."""
_FORK: Final = multiprocessing.get_context("fork")

Work = Callable[..., None]
"""What a process runs: a connection to say that it is ready, then the arguments that it was started with."""


@final
class Nursery:
    """A process that forks others when it is told to.

        this process, threads --(name, arguments)--> nursery, one thread --fork--> child, which has the work already

    Whoever forks beside threads copies the locks that they hold, which nobody in the new process ever gives back: a
    tokenizer's has stopped edges so. The nursery is forked once, at a quiet moment, and starts no thread, so that its
    children begin with all locks free. It ends with this process, and its children with it, whatever kills them.

    Args:
        works: what children run, by name; they hold what it holds at this moment, as models and settings.

    >>> def answer(said: Connection, number: int) -> None:
    ...     said.send(number + 1)
    >>> with contextlib.closing(Nursery({"answer": answer})) as nursery:
    ...     child = nursery.start("answer", 41)
    ...     child.hear(), child.wait()
    (42, 0)
    """

    def __init__(self, works: Mapping[str, Work]) -> None:
        self._orders, theirs = _FORK.Pipe()
        self._lock = threading.Lock()
        self._process = _FORK.Process(target=_tend, args=(dict(works), theirs, self._orders), daemon=True)
        self._process.start()
        theirs.close()

    def start(self, name: str, *arguments: Any) -> Child:
        """Forks a process that runs a work.

        Args:
            name: of the work.
            arguments: plain values.
        """
        said, saying = _FORK.Pipe(duplex=False)
        with self._lock, saying:
            self._orders.send((name, arguments))
            send_handle(self._orders, saying.fileno(), self._process.pid)
            return Child(self._orders.recv(), said, self)

    def wait(self, pid: int) -> int:
        """Exit code of a child, when it has ended; the negative number of the signal that killed it."""
        with self._lock:
            self._orders.send(pid)
            code: int = self._orders.recv()
        return code

    def close(self) -> None:
        """Kills all children."""
        # Not by closing alone: a nursery that was forked after this one holds a copy of its end.
        with self._lock, contextlib.suppress(OSError):
            self._orders.send(None)
        self._process.join()
        self._orders.close()


@final
@dataclass(frozen=True)
class Child:
    """A process that a nursery has forked.

    Args:
        pid: its number.
        said: what it says.
        nursery: that has forked it.
    """

    pid: int
    said: Connection = field(repr=False)
    nursery: Nursery = field(repr=False)

    def hear(self) -> Any:
        """The next thing that it says; raises `ConfigError` where it ends, or takes too long, before it does."""
        with contextlib.suppress(EOFError):
            if self.said.poll(START_S):
                return self.said.recv()
        raise ConfigError(f"process {self.pid}: it did not start in {START_S:g} s; the lines above say why")

    def wait(self) -> int:
        """Exit code, when it has ended, as of `Nursery.wait`."""
        code = self.nursery.wait(self.pid)
        self.said.close()
        return code


def _tend(works: Mapping[str, Work], orders: Connection, others_end: Connection) -> None:
    """The nursery's own course: an order is a process to wait for, a work to fork, or nothing any more."""
    # Or else the end of the process that gives orders would not be seen here.
    others_end.close()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What is there is no garbage, and looking for some would copy the pages of it into every child.
    gc.freeze()
    alive = set[int]()
    # Nobody writes here; children see its end when the nursery has none any more.
    ended, mine = os.pipe()
    try:
        while True:
            match orders.recv():
                case None:
                    return
                case int(pid):
                    alive.discard(pid)
                    orders.send(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
                case (name, arguments):
                    with Connection(recv_handle(orders), readable=False) as saying:
                        if (pid := os.fork()) == 0:
                            orders.close()
                            os.close(mine)
                            _become(works[name], saying, arguments, ended)
                    alive.add(pid)
                    orders.send(pid)
    except EOFError:
        pass
    finally:
        for pid in alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _become(work: Work, saying: Connection, arguments: tuple[Any, ...], ended: int) -> None:
    """Runs a work in the process that is forked for it, and ends the process: nothing of the nursery's runs on."""
    code = 1
    try:
        threading.Thread(target=_follow, args=(ended,), daemon=True).start()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        work(saying, *arguments)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _follow(ended: int) -> None:
    """Ends this process with its nursery, also with one that was killed and could kill no children."""
    os.read(ended, 1)
    os._exit(1)
