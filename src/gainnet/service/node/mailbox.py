"""Tensors that have come for one node of a request, and nodes that it need not wait for any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import final

from gainnet.core.errors import GainnetError, NodeFailedError
from gainnet.core.types import NodeId
from gainnet.protocols.transmit import Sent
from gainnet.service.node.course import Failures


@final
class Mailbox:
    """Frames and news for a node, put by the thread that reads them and taken by the one that walks.

    Content is addressed by the failures under which it was sent and the index of its step: after a death some steps
    may run once more under the same index.

    Args:
        patience_s: how long to wait for anything.
    """

    def __init__(self, patience_s: float = 600.0) -> None:
        self._patience_s = patience_s
        self._news = threading.Condition()
        self._contents: dict[tuple[Failures, int], Sent | None] = {}
        self._failures: Failures = ()
        self._decisions: list[Failures] = []
        self._is_over = False
        self._error: GainnetError | None = None

    def put(self, under: Failures, index: int, sent: Sent | None) -> None:
        """A tensor has come; `None` where its source never had it."""
        with self._news:
            self._contents[under, index] = sent
            self._news.notify_all()

    def bury(self, failures: Failures) -> None:
        """Nodes are dead: whatever they would have sent from these steps on does not come."""
        with self._news:
            self._failures += tuple(each for each in failures if each not in self._failures)
            self._news.notify_all()

    def decide(self, failures: Failures) -> None:
        """The device goes on with the fallback for these failures."""
        with self._news:
            self._decisions.append(failures)
            self._news.notify_all()

    def end(self, error: GainnetError | None = None) -> None:
        """The request is over; with an error, whoever waits raises it."""
        with self._news:
            self._is_over, self._error = True, self._error or error
            self._news.notify_all()

    def take(self, under: Failures, index: int, source: NodeId) -> Sent | None:
        """A tensor that this node needs; `None` when it does not come.

        Raises:
            GainnetError: the request ended.
        """
        with self._news:
            self._wait(lambda: (under, index) in self._contents or self._is_dead(source, index))
            return self._contents.pop((under, index), None)

    def decision(self) -> Failures | None:
        """The failures under which to go on; `None` when the request is over.

        Raises:
            GainnetError: it ended with an error.
        """
        with self._news:
            self._wait(lambda: bool(self._decisions) or self._is_over)
            return self._decisions.pop(0) if self._decisions else None

    def _wait(self, holds: Callable[[], bool]) -> None:
        end_s = time.monotonic() + self._patience_s
        while not holds():
            if self._error is not None:
                raise self._error
            if self._is_over or not self._news.wait(end_s - time.monotonic()):
                raise NodeFailedError("the others are silent or gone; ask again")

    def _is_dead(self, source: NodeId, index: int) -> bool:
        return any(node == source and dies_at <= index for node, dies_at in self._failures)
