"""Passes that wait for their tick, most urgent first."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import Future
from typing import NamedTuple, final

from torch import Tensor

from gainnet.service.engine.request import Request

Urgency = tuple[float, int]
"""The deadline and the order of arrival; the smallest goes first."""

Group = tuple[object, ...]
"""Network and shapes of items: passes of one group fit into one batch."""


class Pass(NamedTuple):
    """One pass of a network that a request waits for.

    Args:
        request: that asked for it.
        network: its name.
        inputs: [rows, ...] each.
        outcome: [rows, ...], where it will be.
    """

    request: Request
    network: str
    inputs: tuple[Tensor, ...]
    outcome: Future[Tensor]

    @property
    def num_rows(self) -> int:
        return len(self.inputs[0])

    @property
    def group(self) -> Group:
        return self.network, *(tuple(x.shape[1:]) for x in self.inputs)


@final
class PassQueue:
    """Passes of many threads, handed to the one thread that runs them, as batches.

        put -> [waiting, by group and urgency] -> take: the most urgent pass and what fits beside it

    The earliest deadline goes first, whether it has passed or not: with deadlines of one length that is the order of
    arrival, in which nobody starves. Late requests behind all others would bring a few more in time through a burst and
    double the 99th percentile of its latency. After a tick, the threads of its requests take some 0.5 ms until they ask
    for the next pass; the queue waits for those that are more urgent than what it has, or it would give every second
    tick to a request that came later, and all of them would end late together.

    Args:
        most_rows: of a batch; 1 gives every pass a batch of its own, however many rows it has.
        linger_s: how long to wait for the threads of a tick.
    """

    def __init__(self, most_rows: int, linger_s: float) -> None:
        self._most_rows, self._linger_s = most_rows, linger_s
        self._waiting: dict[Group, list[tuple[Urgency, int, Pass]]] = defaultdict(list)
        self._serial = itertools.count()
        self._awaited: dict[int, Request] = {}
        self._awaited_until_s = 0.0
        self._is_closed = False
        self._changed = threading.Condition()

    def __len__(self) -> int:
        with self._changed:
            return sum(map(len, self._waiting.values()))

    def put(self, asked: Pass) -> None:
        """Adds a pass; it is cancelled at once when the queue is closed."""
        with self._changed:
            self._awaited.pop(asked.request.number, None)
            if self._is_closed:
                asked.outcome.cancel()
                return
            self._push(asked)
            self._changed.notify()

    def leave(self, request: Request) -> None:
        """The request asks for nothing any more."""
        with self._changed:
            if self._awaited.pop(request.number, None) is not None:
                self._changed.notify()

    def expect(self, requests: Iterable[Request]) -> None:
        """The requests are about to get the outcome of a pass, and will soon ask for another one."""
        with self._changed:
            self._awaited = {each.number: each for each in requests if not each.is_cancelled}
            self._awaited_until_s = time.monotonic() + self._linger_s

    def take(self) -> list[Pass]:
        """The next batch, when there is one; empty when the queue is closed."""
        with self._changed:
            while not self._is_closed:
                left_s = self._awaited_until_s - time.monotonic()
                if left_s > 0 and self._is_worth_waiting():
                    self._changed.wait(left_s)
                elif batch := self._batch():
                    return batch
                else:
                    self._changed.wait()
            return []

    def close(self) -> None:
        """Cancels what waits; `take` gives nothing from now on."""
        with self._changed:
            self._is_closed = True
            for _, _, asked in itertools.chain.from_iterable(self._waiting.values()):
                asked.outcome.cancel()
            self._waiting.clear()
            self._changed.notify_all()

    def _push(self, asked: Pass) -> None:
        heapq.heappush(self._waiting[asked.group], (_urgency(asked.request), next(self._serial), asked))

    def _is_worth_waiting(self) -> bool:
        """Whether some request that will come back is more urgent than a whole batch of what waits."""
        if not self._awaited:
            return False
        first = min(map(_urgency, self._awaited.values()))
        before = sum(p.num_rows for heap in self._waiting.values() for urgency, _, p in heap if urgency < first)
        return before < self._most_rows

    def _batch(self) -> list[Pass]:
        """The most urgent pass, and more of its group as long as they fit."""
        batch: list[Pass] = []
        num_rows = 0
        while heap := self._most_urgent(batch):
            asked = heap[0][2]
            if batch and num_rows + asked.num_rows > self._most_rows:
                break
            heapq.heappop(heap)
            # False when its request was cancelled meanwhile.
            if asked.outcome.set_running_or_notify_cancel():
                batch.append(asked)
                num_rows += asked.num_rows
        return batch

    def _most_urgent(self, batch: list[Pass]) -> list[tuple[Urgency, int, Pass]] | None:
        """The group of a batch, or that of the most urgent pass; `None` when nothing waits there."""
        heaps = [self._waiting[batch[0].group]] if batch else list(self._waiting.values())
        return min((heap for heap in heaps if heap), key=lambda heap: heap[0], default=None)


def _urgency(request: Request) -> Urgency:
    return request.deadline_at_s, request.number
