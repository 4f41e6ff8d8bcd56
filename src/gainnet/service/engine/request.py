"""A request while the engine serves it, and the thread's own request."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, final

from torch import Tensor

from gainnet.core.errors import GainnetError


@final
class BusyError(GainnetError):
    """As many requests are open as the engine takes; one may try again after some seconds.

    Args:
        retry_after_s: when its turn would come, from the passes that the open requests have left.
    """

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"engine: as many requests wait as it takes; try again in {retry_after_s:.0f} s")
        self.retry_after_s = retry_after_s


@final
@dataclass(frozen=True)
class Progress:
    """One pass of the denoiser's network for a request.

    Args:
        step: index of the pass among those of the request, from 0.
        latent: [rows, *latent], what it read, branches of guidance one after the other.
        timestep: [rows], time of every row on the scale of the training.
        predicted: [rows, *latent], what it made.
    """

    step: int
    latent: Tensor
    timestep: Tensor
    predicted: Tensor


Watch = Callable[[Progress], None]
"""Called in the thread of the request after each pass of the denoiser's network."""


@final
class Request:
    """Urgency, progress and cancellation of what one thread asks of the engine.

    Args:
        number: of the request, in the order of arrival.
        deadline_at_s: on the clock `time.monotonic`; the earliest goes first.
        num_passes: of the denoiser's network that it is expected to take, a row each, by which others are told when to
            come again.
        watch: called at each pass.

    `begin_s` and `end_s` are on the same clock, `end_s` infinite until its end; `steps` counts its passes.
    """

    def __init__(self, number: int, deadline_at_s: float, num_passes: float, watch: Watch | None) -> None:
        self.number, self.deadline_at_s, self.num_passes, self.watch = number, deadline_at_s, num_passes, watch
        self.steps = self.num_rows = 0
        self.begin_s, self.end_s = time.monotonic(), math.inf
        self.is_cancelled = False
        self._lock = threading.Lock()
        self._waits_for: Future[Tensor] | None = None

    def cancel(self) -> None:
        """Ends it from any thread: what it waits for now, or its next pass, raises `CancelledError`."""
        with self._lock:
            self.is_cancelled = True
            # A pass that already runs goes on, since others share its batch; its outcome is not read.
            if self._waits_for is not None:
                self._waits_for.cancel()

    def wait(self, outcome: Future[Tensor]) -> Tensor:
        """[rows, ...], outcome of a pass, when it is there.

        Args:
            outcome: that a pass will have.

        Raises:
            CancelledError: the request was cancelled.
        """
        with self._lock:
            self._waits_for = outcome
            if self.is_cancelled:
                outcome.cancel()
        made = outcome.result()
        if self.is_cancelled:
            raise CancelledError
        return made

    def passed(self, latent: Tensor, timestep: Tensor, predicted: Tensor) -> None:
        """Counts a pass of the denoiser's network and tells of it; arguments as of `Progress`."""
        step, self.steps, self.num_rows = self.steps, self.steps + 1, self.num_rows + len(latent)
        if self.watch is not None:
            self.watch(Progress(step, latent, timestep, predicted))


CURRENT: Final[ContextVar[Request | None]] = ContextVar("request", default=None)
"""The request that this thread, or this task, runs for."""
