"""Counters of the engine, for metrics and the dashboard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class Tick:
    """One pass of one network over a batch.

    Args:
        begin_s: on the clock `time.monotonic`.
        duration_s: of the pass.
        network: `unet`, `text_encoder`, `decoder` or `image_encoder`.
        num_rows: of the batch; branches of guidance are rows of their own.
        requests: numbers of the requests that shared it.
    """

    begin_s: float
    duration_s: float
    network: str
    num_rows: int
    requests: tuple[int, ...]


@final
@dataclass(frozen=True)
class EngineStatus:
    """Counters of an engine's work and of what waits.

    Args:
        num_open: requests that have begun and not ended.
        num_waiting: passes that wait for their tick.
        most_batch: rows that a tick takes at most.
        most_waiting: requests that it takes at most.
        num_ticks: passes of each network over a batch.
        num_rows: rows of all passes of each network.
        busy_s: processor time of the passes of each network.
        late: requests that ended after their deadline.
        ticks: the last ones, oldest first.
    """

    num_open: int
    num_waiting: int
    most_batch: int
    most_waiting: int
    num_ticks: Mapping[str, int]
    num_rows: Mapping[str, int]
    busy_s: Mapping[str, float]
    late: int
    ticks: tuple[Tick, ...]

    @property
    def occupancy(self) -> float:
        """Mean number of rows per pass of the denoiser's network; 0 before the first."""
        return self.num_rows.get("unet", 0) / max(self.num_ticks.get("unet", 0), 1)
