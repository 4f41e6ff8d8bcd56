"""Frames leave when their payload has spent its time on the air, and whoever misses that is counted."""

from __future__ import annotations

import heapq
import itertools
import math
import threading
import time
from collections.abc import Callable
from typing import Final, final

LATE_S: Final = 0.005
"""A frame that leaves more than this after its time is late."""


@final
class Lateness:
    """Frames of one request that were released, and how many of them late."""

    def __init__(self) -> None:
        self.released, self.late = 0, 0

    def note(self, due_s: float) -> None:
        """A frame that was due on the clock `time.monotonic` has been released."""
        self.released += 1
        self.late += time.monotonic() - due_s > LATE_S


@final
class Releaser:
    """A thread that calls what is due.

    ready + priced time on the air * pace --> release

    Args:
        pace: 1 for real time, 0 for as fast as possible.
    """

    def __init__(self, pace: float = 0.0) -> None:
        self.pace = pace
        self._due: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = itertools.count()
        self._news = threading.Condition()
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="release", daemon=True)
        if pace > 0.0:
            self._thread.start()

    def close(self) -> None:
        """Ends the thread; what is not due yet is dropped."""
        with self._news:
            self._is_closed = True
            self._news.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def after(self, air_s: float, release: Callable[[float], None]) -> None:
        """Calls `release` once a payload has spent its time on the air.

        Args:
            air_s: priced time on the medium and waiting for acknowledgements.
            release: sends the frame; gets the time at which that was due, on the clock `time.monotonic`.
        """
        if self.pace == 0.0:
            # Nothing is waited for, and so nothing can be late.
            release(math.inf)
            return
        due_s = time.monotonic() + air_s * self.pace
        with self._news:
            heapq.heappush(self._due, (due_s, next(self._order), release))
            self._news.notify_all()

    def _run(self) -> None:
        while (due := self._next()) is not None:
            due_s, _, release = due
            release(due_s)

    def _next(self) -> tuple[float, int, Callable[[float], None]] | None:
        with self._news:
            while not self._is_closed:
                left_s = self._due[0][0] - time.monotonic() if self._due else None
                if left_s is not None and left_s <= 0.0:
                    return heapq.heappop(self._due)
                self._news.wait(left_s)
            return None
