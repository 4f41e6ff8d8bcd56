"""Requests of devices, as the dashboard of an edge shows them."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, final

from gainnet.service.node.session import Session

State = Literal["running", "done", "failed", "cancelled"]

MOST_VISITS: Final = 64
MOST_FAILURES: Final = 16
COUNTED: Final = ("accepted", "done", "failed", "cancelled", "late_frames")


@final
@dataclass(eq=False)
class Visit:
    """A request of a device.

    Args:
        session: that serves it.
        protocol: its text.
        num_steps: of the sampler.
        begin_s: when it came, on the clock `time.monotonic`, as the times below.
        end_s: when it ended; `None` before.
        state: how.
    """

    session: Session
    protocol: str
    num_steps: int
    begin_s: float
    end_s: float | None = None
    state: State = "running"

    def to_json(self, number: int, now_s: float) -> dict[str, Any]:
        """As `http.status` describes a request.

        Args:
            number: stands for it, since nothing that a device wrote is shown.
            now_s: on the clock of the times.
        """
        report, request, begun = self.session.report, self.session.request, list(self.session.begun)
        return {
            "id": f"device-{number}", "kind": "device", "protocol": self.protocol, "state": self.state,
            "begin_s": self.begin_s - now_s, "end_s": None if self.end_s is None else self.end_s - now_s,
            "step": 0 if request is None else request.steps, "num_steps": self.num_steps,
            "number": None if request is None else request.number,
            "begun": [{"label": label, "begin_s": at_s - now_s} for at_s, label in begun],
            "num_channel_uses": None if report is None else report.num_channel_uses("down"),
            "energy_j": None if report is None else report.energy_j,
        }  # fmt: skip


@final
class Visits:
    """The last requests of devices, and sums over all of them; `ended` is called with each that is over."""

    def __init__(self) -> None:
        self.last: deque[tuple[int, Visit]] = deque(maxlen=MOST_VISITS)
        self.failures: deque[tuple[float, str, int]] = deque(maxlen=MOST_FAILURES)
        self.counts: Counter[str] = Counter()
        self.uses: Counter[str] = Counter()
        self.energy_j = 0.0
        self.ended: Callable[[Visit], None] = lambda visit: None

    def begin(self, session: Session, protocol: str, num_steps: int) -> None:
        """A request has come."""
        self.counts["accepted"] += 1
        self.last.append((self.counts["accepted"], Visit(session, protocol, num_steps, time.monotonic())))

    def end(self, session: Session, state: State) -> None:
        """A request has ended; what has ended before stays as it is."""
        visit = next((each for _, each in self.last if each.session is session and each.end_s is None), None)
        if visit is None:
            return
        visit.end_s, visit.state = time.monotonic(), state
        self.counts[state] += 1
        self.counts["late_frames"] += session.num_late
        self.failures.extend((visit.end_s, str(node), step) for node, step in session.failures)
        if (report := session.report) is not None:
            self.uses.update({way: int(report.num_channel_uses(way)) for way in ("up", "down")})
            self.energy_j += report.energy_j
        self.ended(visit)

    def to_json(self) -> Mapping[str, Any]:
        """Requests, counts, failures, energy and uses in the form of `http.status`."""
        now_s = time.monotonic()
        return {
            "requests": [visit.to_json(number, now_s) for number, visit in list(self.last)],
            "counts": {name: self.counts[name] for name in COUNTED},
            "failures": [
                {"at_s": at_s - now_s, "node": node, "step": step, "what": "vanished"}
                for at_s, node, step in list(self.failures)
            ],
            "energy": {"modelled_j": self.energy_j},
            "uses": dict(self.uses),
        }
