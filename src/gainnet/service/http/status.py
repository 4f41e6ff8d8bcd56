"""State of an edge: `GET /v1/status` is one JSON object, `GET /v1/events` the same as server-sent events.

Each event is `event: status`, `data: {...}` once a second. All times are seconds; `at_s` is the server's clock (Unix).

    {
      "at_s": 1764276000.0, "uptime_s": 12.5, "version": "0.1.0", "model": "scenes", "runtime": "onnx",
      "ready": true, "draining": false,
      "topology": {"nodes": [{"name": "edge", "kind": "edge", "address": "https://127.0.0.1:8080", "alive": true}],
                   "links": [{"source": "edge", "target": "device", "medium": "air"}]},
      "connected": [{"name": "device-3", "kind": "device", "requests": 1, "since_s": 3.1}],
      "engine": {"open": 3, "waiting": 2, "most_waiting": 256, "most_batch": 16, "occupancy": 5.2,
                 "passes": {"unet": 120, "text_encoder": 8, "decoder": 8}, "busy_s": {"unet": 3.2},
                 "ticks": [{"begin_s": -0.4, "duration_s": 0.05, "network": "unet", "rows": 4, "requests": [7, 8]}]},
      "requests": [{"id": "7", "kind": "images", "protocol": "centralized", "state": "done", "begin_s": -2.0,
                    "end_s": -1.2, "step": 10, "num_steps": 10, "num_channel_uses": 512, "energy_j": 0.3, "number": 7,
                    "begun": [{"label": "denoiser[0:10] @ edge", "begin_s": -1.9}]}],
      "counts": {"accepted": 10, "done": 8, "failed": 1, "cancelled": 1, "refused": 0, "late": 0, "late_frames": 0},
      "failures": [{"at_s": -5.0, "node": "edge_2", "step": 3, "what": "vanished"}],
      "energy": {"modelled_j": 12.0, "cpu_s": 4.1}, "uses": {"up": 512, "down": 4096}
    }

`begin_s` and `end_s` count from `at_s` (negative: in the past); `end_s` is null while it runs. `requests` holds the
last 64, `ticks` the last 256, `failures` the last 16, newest last. `state` is one of queued, running, done, failed,
cancelled, `number` the one by which ticks name a request, `begun` says when each step of its plan began; the label
`device` stands for all that a device makes of what has come. Ids are the server's own: nothing that a client wrote is
in here, and what the edge asks of itself to get warm is not either.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from importlib.metadata import version
from typing import Any, Final

from fastapi import APIRouter
from starlette.responses import StreamingResponse

from gainnet.service.http.jobs import Job, Jobs

EVERY_S: Final = 1.0
MOST_REQUESTS: Final = 64

More = Callable[[], Mapping[str, Any]]
"""Further values for the status, by key: topology, connected and failures of the devices' side."""


def status_router(jobs: Jobs, started_s: float, is_draining: Callable[[], bool], more: More) -> APIRouter:
    """The routes `/v1/status` and `/v1/events`.

    Args:
        jobs: of this process.
        started_s: when it started, on the clock `time.monotonic`.
        is_draining: whether it takes nothing new.
        more: what others know.
    """
    router = APIRouter(prefix="/v1")

    @router.get("/status", summary="What the edge is doing")
    def status() -> dict[str, Any]:
        """One JSON object."""
        return status_of(jobs, started_s, is_draining(), more())

    @router.get("/events", summary="The same once a second, as server-sent events")
    async def events() -> StreamingResponse:
        """Until the client leaves or the edge goes down."""

        async def stream() -> AsyncIterator[bytes]:
            while not is_draining():
                text = json.dumps(status_of(jobs, started_s, False, more()))
                yield f"event: status\ndata: {text}\n\n".encode()
                await asyncio.sleep(EVERY_S)

        return StreamingResponse(stream(), media_type="text/event-stream", headers={"cache-control": "no-store"})

    return router


def status_of(jobs: Jobs, started_s: float, is_draining: bool, more: Mapping[str, Any]) -> dict[str, Any]:
    """The object that the module describes.

    Args:
        jobs: of this process.
        started_s: when it started, on the clock `time.monotonic`.
        is_draining: whether it takes nothing new.
        more: of the devices' side: lists are put behind, numbers added to these; anything else takes their place.
    """
    engine, now_s = jobs.engines.status(), time.monotonic()
    first = jobs.engines.first.model
    ticks = [
        {
            "begin_s": tick.begin_s - now_s, "duration_s": tick.duration_s, "network": tick.network,
            "rows": tick.num_rows, "requests": list(tick.requests),
        }
        for tick in engine.ticks
    ]  # fmt: skip
    own: dict[str, Any] = {
        "at_s": time.time(), "uptime_s": now_s - started_s, "version": version("gainnet"),
        "model": first.name, "models": list(jobs.engines.names), "runtime": first.runtime,
        "ready": not is_draining, "draining": is_draining,
        "topology": {"nodes": [{"name": "edge", "kind": "edge", "address": "", "alive": True}], "links": []},
        "connected": [],
        "engine": {
            "open": engine.num_open, "waiting": engine.num_waiting, "most_waiting": engine.most_waiting,
            "most_batch": engine.most_batch, "occupancy": engine.occupancy, "passes": dict(engine.num_ticks),
            "busy_s": dict(engine.busy_s), "ticks": ticks,
        },
        "requests": [_shown(job, now_s) for job in list(jobs.last)],
        "counts": {
            "accepted": sum(jobs.counts.values()) + jobs.num_open, "done": jobs.counts["done"],
            "failed": jobs.counts["failed"], "cancelled": jobs.counts["cancelled"], "refused": jobs.counts["refused"],
            "late": engine.late, "late_frames": 0,
        },
        "failures": [],
        "energy": {"modelled_j": jobs.energy_j, "cpu_s": time.process_time()},
        "uses": {way: jobs.uses[way] for way in ("up", "down")},
    }  # fmt: skip
    merged = own | {name: _merged(name, own.get(name), value) for name, value in more.items()}
    merged["requests"] = sorted(merged["requests"], key=lambda each: float(each["begin_s"]))[-MOST_REQUESTS:]
    return merged


def _merged(name: str, own: Any, other: Any) -> Any:
    if name in ("requests", "failures"):
        return [*own, *other]
    if name in ("counts", "energy", "uses"):
        return own | {key: own.get(key, 0) + value for key, value in other.items()}
    return other


def _shown(job: Job, now_s: float) -> dict[str, Any]:
    """A request for pictures."""
    request, report = job.request, job.report
    return {
        "id": str(job.number), "kind": "images", "protocol": job.protocol, "state": job.state,
        "begin_s": job.begin_s - now_s, "end_s": None if job.end_s is None else job.end_s - now_s,
        "step": 0 if request is None else request.steps, "num_steps": job.num_steps,
        "num_channel_uses": None if report is None else report.num_channel_uses("down"),
        "energy_j": None if report is None else report.energy_j,
        "number": None if request is None else request.number,
        "begun": [{"label": label, "begin_s": at_s - now_s} for at_s, label in list(job.begun)],
    }  # fmt: skip
