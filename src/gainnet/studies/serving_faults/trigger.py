"""A kill at a phase of a request, which the device's own frames tell."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal, final

from gainnet.service.node.frames import Frame

PACE: Final = 100.0
"""Of the releases, so that a seed is on the air for tens of milliseconds, in which a process can be killed."""
SENDING_S: Final = 0.03
"""After the encoding has begun: by then a seed is encoded, and at this pace it is still on the air."""


@final
@dataclass
class Trigger:
    """Kills once, when the frames of a device say that a phase has begun.

    Args:
        phase: in which it kills.
        node: whose steps begin a phase.
        kill: kills the process.
        delay_s: after the beginning of the denoiser.
        has_fired: whether a phase has begun.
        begin_s: when the request began, on the clock `time.monotonic`.
        killed_s: seconds from then to the kill; `None` before it.
    """

    phase: str
    node: str
    kill: Callable[[], None]
    delay_s: float = 0.0
    has_fired: bool = False
    begin_s: float = field(default_factory=time.monotonic)
    killed_s: float | None = None

    def __call__(self, way: Literal["out", "in"], frame: Frame) -> None:
        """A frame of the device, as `Line` tells it."""
        if self.has_fired or not self._begins(way, frame):
            return
        self.has_fired = True
        wait_s = {"denoising": self.delay_s, "sending": SENDING_S}.get(self.phase, 0.0)
        if wait_s:
            threading.Timer(wait_s, self._fire).start()
        else:
            self._fire()

    def _fire(self) -> None:
        self.killed_s = time.monotonic() - self.begin_s
        self.kill()

    def _begins(self, way: str, frame: Frame) -> bool:
        label = str(frame.head.get("label", ""))
        match self.phase:
            case "before_accept":
                return way == "out" and frame.kind == "request"
            case "queued":
                return way == "in" and frame.kind == "accepted"
            case "denoising":
                return frame.kind == "progress" and label.startswith("denoiser") and label.endswith(f"@ {self.node}")
            case "encoding" | "sending":
                return frame.kind == "progress" and f": {self.node} -> " in label
            case _:
                return way == "in" and frame.kind == "report"
