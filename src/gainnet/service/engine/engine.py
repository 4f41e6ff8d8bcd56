"""The engine: one thread that owns the networks and runs the passes of all requests, most urgent first."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self, final

from gainnet.models.diffusion import DiffusionModel
from gainnet.service.engine.request import CURRENT, Request, Watch
from gainnet.service.engine.status import EngineStatus


@final
class Engine:
    """A model whose passes are shared by many requests.

    Args:
        model: whose networks run.
        most_batch: rows of a pass at most; a guided step of one picture has two.
        most_waiting: requests that are open at the same time at most.
    """

    def __init__(self, model: DiffusionModel, *, most_batch: int = 16, most_waiting: int = 256) -> None:
        self.model, self.most_batch, self.most_waiting = model, most_batch, most_waiting

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the thread; what waits raises `CancelledError`."""

    def model_with(self, num_steps: int | None = None, guidance_scale: float | None = None) -> DiffusionModel:
        """The engine's model with another number of steps or another guidance; its networks are the same.

        Args:
            num_steps: of the sampler, 1 to 1000; the model's own when `None`.
            guidance_scale: 1 to 100; the model's own when `None`.
        """
        return self.model

    @contextmanager
    def request(
        self, deadline_s: float = math.inf, num_passes: float = 0.0, watch: Watch | None = None
    ) -> Iterator[Request]:
        """A request of this thread; passes that it asks for meanwhile are of this request.

        Args:
            deadline_s: seconds from now; the earliest deadline goes first.
            num_passes: of the denoiser that it will take, as its plan says.
            watch: told of each pass.

        Raises:
            BusyError: as many requests are open as the engine takes.
        """
        request = Request(0, math.inf, num_passes, watch)
        token = CURRENT.set(request)
        try:
            yield request
        finally:
            CURRENT.reset(token)

    def status(self) -> EngineStatus:
        """Counters and the last ticks."""
        return EngineStatus(0, 0, self.most_batch, self.most_waiting, {}, {}, {}, 0, ())
