"""The upper side of averaging between processes: members come, go and come again, and a round waits for their answers.

member --hello--> edge ==state==> member: trains, or asks members of its own ==update==> edge --received--> member
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, final

from gainnet.core.errors import ConfigError, PayloadError
from gainnet.core.outside import read_integer, read_list, read_text, reading
from gainnet.core.randomness import Random
from gainnet.core.run.checkpoint import fingerprint
from gainnet.core.run.loop import silent
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.algorithm import State
from gainnet.learning.algorithms.fedavg import Trained, weighing
from gainnet.learning.engines.turns import MAX_ROWS, check_rows
from gainnet.learning.exchange import PRIVATE
from gainnet.wire import Connection, Reception

VERSION: Final = 1
"""Of the words between the two sides; another one is refused on both."""
MAX_EVENTS: Final = 1_000_000_000
MAX_MEMBERS: Final = 10_000
_LOOK_S: Final = 0.5
_LONGEST_NAME: Final = 64

Tap = Callable[[str], None]
"""Called where a phase begins: `sending`, when the words of a message are out and its values are not."""


@final
@dataclass(frozen=True)
class Answer:
    """Answer of a member in a round.

    Args:
        values: by name, in the type of the air.
        num_rows: of text behind them, as it says, within a limit.
        num_events: how often it, or whoever of its members did most often, has drawn noise in this run.
        left_out: members of its own that did not answer it.
    """

    values: State
    num_rows: int
    num_events: int
    left_out: tuple[NodeId, ...]


@final
@dataclass(frozen=True)
class Asked:
    """A round that is open.

    Args:
        names: of those who are asked.
        words: that open it, as JSON.
        values: what they begin with, in the type of the air.
        answers: that have come so far.
    """

    names: tuple[NodeId, ...]
    words: Mapping[str, Any]
    values: State
    answers: dict[NodeId, Answer] = field(default_factory=dict)


@final
class Gathering:
    """Asks members that are other processes, as `Ask`; whoever dies may come again, in the same round or a later one.

    Nothing of a round is kept here: after a death of this process the round is asked anew, and members send again what
    they have kept. An answer that comes after its round is refused as late, and changes nothing.

    Args:
        listener: where members connect.
        keys: folder of `write_certificates`.
        offered: settings as members are sent them, as JSON.
        names: of the members, as in their certificates.
        kind: of payload.
        timeout_s: how long a round waits, and a member for every frame.
        max_rows: of text that a member may say it has.
        tap: see `Tap`.
    """

    def __init__(
        self,
        listener: socket.socket,
        keys: Path,
        offered: Mapping[str, Any],
        names: Collection[NodeId],
        kind: str,
        timeout_s: float,
        max_rows: int = MAX_ROWS,
        tap: Tap = silent,
    ) -> None:
        self._offered, self._names, self._kind, self._timeout_s = offered, frozenset(names), kind, timeout_s
        self._max_rows, self._tap, self._reception = max_rows, tap, Reception.of(listener, keys)
        self._changed = threading.Condition()
        self._asked: Asked | None = None
        self._ended = False
        self._newest: dict[NodeId, Connection] = {}
        self._threads: list[threading.Thread] = []
        self.connections: list[Connection] = []
        self.left_out: tuple[NodeId, ...] = ()
        self.num_events = 0
        self._doorman = threading.Thread(target=self._let_in, daemon=True)
        self._doorman.start()

    def __call__(self, names: Sequence[NodeId], values: State, random: Random) -> Mapping[NodeId, Trained]:
        """As `Ask`: answers of those who answer in time."""
        (random_seed,) = random.random_seeds
        words = {"num_steps": 0, "random_seed": random_seed, "path": list(random.path), "state": fingerprint(values)}
        asked = Asked(tuple(names), words, values)
        with self._changed:
            self._asked = asked
            self._changed.notify_all()
            self._changed.wait_for(lambda: len(asked.answers) == len(asked.names), self._timeout_s)
            self._asked = None
            answers = dict(asked.answers)
        below = {name for answer in answers.values() for name in answer.left_out}
        self.left_out = tuple(sorted({*names} - {*answers} | below))
        self.num_events = max([self.num_events, *(answer.num_events for answer in answers.values())])
        return {name: Trained(each.values, weighing(name, each.num_rows)) for name, each in answers.items()}

    def wait_for(self, names: Collection[NodeId]) -> None:
        """Returns when all these members are there.

        Raises:
            ConfigError: some do not come in time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: {*names} <= {*self._newest}, self._timeout_s):
                missing = ", ".join(sorted({*names} - {*self._newest}))
                raise ConfigError(f"clients: {missing} did not come in {self._timeout_s:g} s; start them")

    def close(self) -> None:
        """Tells all members that the run is over, and hangs up."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._doorman.join()
        for thread in self._threads:
            # A member that is still computing is not waited for: it finds the stream closed.
            thread.join(_LOOK_S)
        self._reception.close()
        for connection in self.connections:
            connection.close()

    def _let_in(self) -> None:
        while not self._ended:
            for name, stream in self._reception.arrivals(_LOOK_S):
                if name not in self._names:
                    stream.close()
                    continue
                stream.settimeout(self._timeout_s)
                connection = Connection(stream, PRIVATE)
                self.connections.append(connection)
                self._threads.append(threading.Thread(target=self._serve, args=(name, connection), daemon=True))
                self._threads[-1].start()

    def _serve(self, name: NodeId, connection: Connection) -> None:
        """One member until it goes; whatever it sends, the others are not held up."""
        try:
            with reading(f"stream: {name}"), contextlib.closing(connection):
                connection.send_words({"config": self._offered, "version": VERSION})
                check_version(connection.receive_words())
                with self._changed:
                    # The last one counts: who has died may not have been missed here yet.
                    self._newest[name] = connection
                    self._changed.notify_all()
                while (asked := self._next(name, connection)) is not None:
                    self._take_turn(name, connection, asked)
                connection.send_words({"end": True})
        except (OSError, ValueError) as error:
            logging.getLogger(__name__).warning("%s has gone: %s", name, error)
            with self._changed:
                if self._newest.get(name) is connection:
                    del self._newest[name]

    def _next(self, name: NodeId, connection: Connection) -> Asked | None:
        """The next round that a member has not answered; `None` after the last one."""

        def is_due() -> bool:
            asked = self._asked
            waits = asked is not None and name in asked.names and name not in asked.answers
            return self._ended or waits or self._newest.get(name) is not connection

        with self._changed:
            self._changed.wait_for(is_due)
            if self._newest.get(name) is not connection:
                raise ConnectionError("it has come again on another connection")
            return None if self._ended else self._asked

    def _take_turn(self, name: NodeId, connection: Connection, asked: Asked) -> None:
        connection.send_words(asked.words)
        self._tap("sending")
        connection.send_file(self._kind, asked.values)
        words = connection.receive_words()
        values = connection.receive_file(self._kind, asked.values)
        if words.get("state") != asked.words["state"] or words.get("update") != fingerprint(values):
            raise PayloadError("digest: the update is not the one that it was said to be")
        names = [
            NodeId(read_text(each, "left_out", _LONGEST_NAME))
            for each in read_list(words.get("left_out"), "left_out", MAX_MEMBERS)
        ]
        num_events = read_integer(words.get("num_events"), "num_events", 0, MAX_EVENTS)
        answer = Answer(values, check_rows(words.get("num_rows"), self._max_rows), num_events, tuple(names))
        with self._changed:
            counts = self._asked is asked
            if counts:
                asked.answers[name] = answer
                self._changed.notify_all()
        connection.send_words({"received": words["update"], "counts": counts})


def check_version(words: Mapping[str, Any]) -> None:
    """Raises `ConfigError` unless the other side's words are of the same version."""
    if (said := words.get("version")) != VERSION:
        raise ConfigError(f"version: the other side speaks {said!r:.20} and this one {VERSION}; update one of them")
