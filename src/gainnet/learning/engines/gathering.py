"""The upper side of averaging over streams: members come, go and come again, and questions wait for their answers.

member --hello--> edge ==question==> member: answers, or asks members of its own ==answer==> edge --received--> member
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, final

from gainnet.core.errors import ConfigError, PayloadError
from gainnet.core.outside import reading
from gainnet.core.run.loop import silent
from gainnet.core.types import NodeId
from gainnet.learning.engines.asking import REFUSED, Question, check_version, versions
from gainnet.learning.exchange import PRIVATE
from gainnet.wire import Connection, Reception

_LOOK_S: Final = 0.5

Tap = Callable[[str], None]
"""Called where a phase begins: `sending`, when the words of a message are out and its values are not."""


@final
@dataclass(frozen=True)
class Asked:
    """Questions that are open.

    Args:
        questions: by name of who is asked.
        answers: that have come so far, by name.
        refused: those whose answers cannot be read.
    """

    questions: Mapping[NodeId, Question]
    answers: dict[NodeId, Any] = field(default_factory=dict)
    refused: set[NodeId] = field(default_factory=set)

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be waited for."""
        return len(self.answers) + len(self.refused) == len(self.questions)


@final
class Gathering:
    """Asks members that are other processes, over streams; whoever dies may come again, in time or for a later round.

    An answer that comes too late is refused, and changes nothing; whoever sends what cannot be read is cut off, and the
    others go on.

    Args:
        listener: where members connect.
        keys: folder of `write_certificates`.
        offered: settings as members are sent them, as JSON.
        names: of the members, as in their certificates.
        timeout_s: how long a question waits, and a member for every frame.
        tap: see `Tap`.
    """

    def __init__(
        self,
        listener: socket.socket,
        keys: Path,
        offered: Mapping[str, Any],
        names: Collection[NodeId],
        timeout_s: float,
        tap: Tap = silent,
    ) -> None:
        self._offered, self._names, self._timeout_s = offered, frozenset(names), timeout_s
        self._tap, self._reception = tap, Reception.of(listener, keys)
        self._changed = threading.Condition()
        self._asked: Asked | None = None
        self._ended = False
        self._newest: dict[NodeId, Connection] = {}
        self._threads: list[threading.Thread] = []
        self.connections: list[Connection] = []
        self._doorman = threading.Thread(target=self._let_in, daemon=True)
        self._doorman.start()

    def ask(self, questions: Mapping[NodeId, Question]) -> Mapping[NodeId, Any]:
        """As `Reach`."""
        asked = Asked(questions)
        with self._changed:
            self._asked = asked
            self._changed.notify_all()
            self._changed.wait_for(lambda: asked.is_over, self._timeout_s)
            self._asked = None
            return dict(asked.answers)

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
        asked: Asked | None = None
        try:
            with reading(f"stream: {name}"), contextlib.closing(connection):
                connection.send_words({"config": self._offered, **versions()})
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
                # Who breaks off may come again with an answer; who sends what cannot be read is not waited for.
                if asked is not None and not isinstance(error, OSError):
                    asked.refused.add(name)
                self._changed.notify_all()

    def _next(self, name: NodeId, connection: Connection) -> Asked | None:
        """The next questions of which a member has not answered its own; `None` after the last ones."""

        def is_due() -> bool:
            asked = self._asked
            waits = asked is not None and name in asked.questions and name not in {*asked.answers, *asked.refused}
            return self._ended or waits or self._newest.get(name) is not connection

        with self._changed:
            self._changed.wait_for(is_due)
            if self._newest.get(name) is not connection:
                raise ConnectionError("it has come again on another connection")
            return None if self._ended else self._asked

    def _take_turn(self, name: NodeId, connection: Connection, asked: Asked) -> None:
        question = asked.questions[name]
        connection.send_words(question.words)
        self._tap("sending")
        if question.down is not None:
            connection.send_file(*question.down)
        # Longer than the question is open: who is late then hears so, and keeps its connection.
        words = connection.receive_words(2 * self._timeout_s)
        holds = question.up is not None and REFUSED not in words
        values = connection.receive_file(*question.up) if question.up is not None and holds else None
        answer, reason = None, None
        try:
            answer = question.answered(words, values)
        except PayloadError as error:
            # A member that declines says why, and stays; one that lies is cut off.
            if REFUSED not in words:
                raise
            reason = error
        with self._changed:
            counts = self._asked is asked
            if counts and reason is None:
                asked.answers[name] = answer
            else:
                asked.refused.add(name)
            self._changed.notify_all()
        if reason is not None:
            logging.getLogger(__name__).warning("%s is left out: %s", name, reason)
        elif not counts:
            logging.getLogger(__name__).warning("%s is late: its answer is refused, and changes nothing", name)
        connection.send_words({"received": words.get("update"), "counts": counts})
