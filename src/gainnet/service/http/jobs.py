"""Requests for pictures while they run: each in a thread of its own, written down before, found again by its id."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal, final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError, GainnetError
from gainnet.core.report import Report
from gainnet.generation.planning import inputs
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.shipped import unknown_words
from gainnet.protocols import Compute, execute
from gainnet.protocols.plan import Plan
from gainnet.protocols.run import Watch
from gainnet.service.engine import BusyError, Engines, Request
from gainnet.service.http.errors import RefusedError
from gainnet.service.http.partial_images import PartialImages, Preview, unfolding
from gainnet.service.http.picture import decoded_picture, encoded_picture
from gainnet.service.journal import Entry, Journal
from gainnet.service.node.order import Asked, Order, order_of, read_asked
from gainnet.service.provenance import Cost, Signer, source_type

JobState = Literal["queued", "running", "done", "failed", "cancelled"]
Show = Callable[[int, bytes], None]
"""Called in the thread of a job with index and file of a partial picture."""

NUM_KEPT: Final = 64
NAMES_PROMPT: Final = "names_prompt"
"""Key of `Wanted.asked` of a client that wants its prompt to stand in the signed picture."""
MODEL: Final = "model"
"""Key of `Wanted.asked` with the name of the model, where that is not the edge's first."""
KIND: Final = "images"
"""Key of our entries in the journal, which requests of devices share."""


@final
@dataclass(frozen=True)
class Wanted:
    """A request for pictures, in plain values that the journal keeps.

    Args:
        asked: `read_asked` reads it: configuration and strength.
        output_format: of the files: png, jpeg or webp.
        deadline_s: within which the client would like to have it; the earliest deadline goes first.
    """

    asked: Mapping[str, Any]
    output_format: str = "png"
    deadline_s: float = 60.0

    def to_json(self) -> str:
        """One line, equal for equal requests."""
        values = {"asked": self.asked, "output_format": self.output_format, "deadline_s": self.deadline_s}
        return json.dumps({KIND: values}, sort_keys=True)

    @staticmethod
    def of_json(text: str) -> Wanted | None:
        """The inverse of `to_json`; `None` for entries of devices."""
        values = json.loads(text).get(KIND)
        return None if values is None else Wanted(**values)


@final
@dataclass(eq=False)
class Job:
    """One request while it runs.

    Args:
        number: of the job, by which the dashboard knows it.
        request_id: in the journal.
        wanted: what it asks for.
        picture: file of a picture to be changed, or nothing.
        is_kept: whether the client may come back for it under that id.
        show: called with partial pictures, `num_partial` of them.
        num_partial: partial pictures, 0 to 3.

    `begun` has the label of every step of its plan, and when it began on the clock `time.monotonic`.
    """

    number: int
    request_id: str
    wanted: Wanted
    picture: bytes = b""
    is_kept: bool = False
    show: Show | None = None
    num_partial: int = 0
    state: JobState = "queued"
    begin_s: float = field(default_factory=time.monotonic)
    end_s: float | None = None
    request: Request | None = None
    num_steps: int = 0
    protocol: str = ""
    report: Report | None = None
    begun: list[tuple[float, str]] = field(default_factory=list)
    is_cancelled: bool = False
    was_accepted: bool = False
    outcome: Future[bytes] = field(default_factory=Future)

    def cancel(self) -> None:
        """Ends it from any thread at its next pass."""
        self.is_cancelled = True
        if self.request is not None:
            self.request.cancel()


@final
class Jobs:
    """All jobs of this process.

        start -> thread: plan -> place in the engine -> journal.accept -> execute -> journal.finish -> outcome

    Args:
        engines: run the passes.
        journal: keeps what was accepted.
        signer: of the pictures; they say nothing of where they come from when `None`.
    """

    def __init__(self, engines: Engines, journal: Journal, signer: Signer | None = None) -> None:
        self.engines, self.journal, self._signer = engines, journal, signer
        self.counts: Counter[str] = Counter()
        self.energy_j, self.uses = 0.0, Counter[str]()
        self.last: deque[Job] = deque(maxlen=NUM_KEPT)
        self._open: dict[str, Job] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        # More threads than places: what is refused is refused by the engine, not kept waiting for a thread.
        self._threads = ThreadPoolExecutor(engines.most_waiting + 8, thread_name_prefix="request")
        self.ended: Callable[[Job], None] = lambda job: None

    @property
    def num_open(self) -> int:
        """Jobs that have begun and not ended."""
        return len(self._open)

    def start(self, request_id: str, wanted: Wanted, **options: Any) -> Job:
        """The job of a request: a new one, or the one that runs already under its id.

        Args:
            request_id: of the client, or drawn for it.
            wanted: what it asks for.
            options: further fields of the job.

        Raises:
            RefusedError: the id was used for another request.
            BusyError: as many requests are open as the engine takes.
        """
        with self._lock:
            if (known := self._open.get(request_id)) is not None:
                if known.wanted != wanted:
                    raise _other_request()
                return known
            if len(self._open) >= self.engines.most_waiting:
                raise BusyError(self.engines.backlog_s)
            job = Job(next(self._numbers), request_id, wanted, **options)
            self._open[request_id] = job
            self.last.append(job)
        self._threads.submit(self._run, job)
        return job

    async def recover(self) -> None:
        """Runs again what an earlier process had accepted and not finished."""
        for entry in await asyncio.to_thread(self.journal.unfinished):
            if (wanted := Wanted.of_json(entry.config_json)) is not None:
                await self._again(entry, wanted)

    def close(self) -> None:
        """Cancels what runs, which stays in the journal, and waits for its threads."""
        for job in list(self._open.values()):
            job.is_kept = True
            job.cancel()
        self._threads.shutdown(wait=True)

    async def _again(self, entry: Entry, wanted: Wanted) -> None:
        while True:
            try:
                self.start(entry.request_id, wanted, picture=entry.attachment, is_kept=True)
                return
            except BusyError as busy:
                await asyncio.sleep(busy.retry_after_s)

    def _run(self, job: Job) -> None:
        """The thread of a job; whatever happens, its outcome is set and its place is free."""
        result = b""
        error: GainnetError | None = None
        try:
            result = self._made(job)
            job.state = "done"
        except CancelledError:
            job.state, error = (
                "cancelled",
                RefusedError(503, "request: it was cancelled; ask again", "cancelled", None, 1.0),
            )
        except GainnetError as known:
            job.state, error = "failed", known
        except Exception:
            # The text of an unknown error may quote what was sent: this machine's log may have it, the client not.
            logging.getLogger(__name__).exception("job %d failed", job.number)
            job.state, error = "failed", RefusedError(500, "server: it failed; ask again", "internal_error")
        # What ended by an error was answered by it; only what a dying process leaves is run again.
        if job.was_accepted and error is not None and not (job.is_kept and job.state == "cancelled"):
            self.journal.forget(job.request_id)
        job.end_s = time.monotonic()
        with self._lock:
            self._open.pop(job.request_id, None)
            self.counts[job.state] += 1
            if job.report is not None and error is None:
                self.energy_j += job.report.energy_j
                self.uses += Counter({way: job.report.num_channel_uses(way) for way in ("up", "down")})
        self.ended(job)
        job.outcome.set_result(result) if error is None else job.outcome.set_exception(error)

    def _made(self, job: Job) -> bytes:
        """Result of a job, from the journal where it has one already."""
        entry = self.journal.find(job.request_id) if job.is_kept else None
        if entry is not None and entry.state != "accepted":
            return _earlier(entry, job)
        asked, engine = read_asked(job.wanted.asked), self.engines.named(job.wanted.asked.get(MODEL))
        if asked.config.runtime != (runtime := engine.model.runtime):
            raise ConfigError(f"runtime: this edge computes with {runtime}; leave it out")
        model = engine.model_with(asked.config.num_steps, asked.config.guidance_scale)
        order = order_of(asked, model)
        changed = decoded_picture(job.picture, model.image) if job.picture else None
        plan = order.planned.plan
        num_passes = sum(s.part.num_passes for s in plan.steps if isinstance(s, Compute) and s.part.role == "denoiser")
        job.protocol, job.num_steps = asked.config.protocol, model.denoiser.num_steps
        watch = None
        if job.show is not None and job.num_partial:
            # A preview is gone in a moment: it says what it is, and the finished picture is signed.
            source = None if self._signer is None else source_type(asked.strength is not None)
            preview = Preview(model, job.num_partial, job.wanted.output_format, job.show, source)
            if (shown := unfolding(plan, preview)) is not None:
                plan = shown
            else:
                watch = PartialImages(preview, len(order.prompts))
        job.request = engine.admit(job.wanted.deadline_s, num_passes * len(order.prompts), watch)
        with engine.serving(job.request), torch.inference_mode():
            if job.is_cancelled:
                raise CancelledError
            text = job.wanted.to_json()
            if not self.journal.accept(job.request_id, text, asked.config.random_seed, job.picture):
                again = self.journal.find(job.request_id)
                if again is None or again.config_json != text:
                    raise _other_request()
            job.was_accepted = True
            job.state = "running"
            images, report = self._executed(
                order, plan, changed, lambda label: job.begun.append((time.monotonic(), label))
            )
        job.report = report
        files = [encoded_picture(image, job.wanted.output_format) for image in images]
        files, provenance = self._signed(files, job, asked, model)
        size = f"{images.shape[-1]}x{images.shape[-2]}"
        result = _result(job, files, report, asked, model.name, size, provenance)
        self.journal.finish(job.request_id, result)
        return result

    def _executed(self, order: Order, plan: Plan, picture: Tensor | None, watch: Watch) -> tuple[Tensor, Report]:
        given = inputs(order.prompts, picture)
        places, report = execute(plan, given, order.planned.network, order.random, order.pricing, watch=watch)
        return places[plan.result], report

    def _signed(
        self, files: list[bytes], job: Job, asked: Asked, model: DiffusionModel
    ) -> tuple[list[bytes], dict[str, float] | None]:
        """The files with the edge's signature, and what that cost; as they are where there is no signer."""
        if self._signer is None:
            return files, None
        stated = {"model": model.name, "sha256": model.sha256}
        # A picture travels further than its prompt may: the prompt is named only where the client asks for that.
        prompts = asked.config.prompts if job.wanted.asked.get(NAMES_PROMPT) else (None,) * len(files)
        kind, is_changed = job.wanted.output_format, asked.strength is not None
        signed = [
            self._signer.sign(file, kind, stated, is_changed, prompt)
            for file, prompt in zip(files, prompts, strict=True)
        ]
        return [file for file, _ in signed], sum((cost for _, cost in signed), Cost()).to_json()


def _result(
    job: Job,
    files: Sequence[bytes],
    report: Report,
    asked: Asked,
    model: str,
    size: str,
    provenance: Mapping[str, float] | None,
) -> bytes:
    """The body of the answer: OpenAI's fields, and what the pictures cost under `gainnet`."""
    config = asked.config
    cost = {
        "request_id": job.request_id, "model": model, "random_seed": config.random_seed, "protocol": config.protocol,
        "runtime": config.runtime, "priced_as": report.priced_as, "duration_s": report.duration_s,
        "energy_j": report.energy_j, "num_channel_uses_up": report.num_channel_uses("up"),
        "num_channel_uses_down": report.num_channel_uses("down"), "provenance": provenance,
        "warnings": [asdict(each) for each in unknown_words(model, config.prompts)],
    }  # fmt: skip
    body = {
        "created": int(time.time()), "data": [{"b64_json": base64.b64encode(file).decode()} for file in files],
        "output_format": job.wanted.output_format, "size": size, "gainnet": cost,
    }  # fmt: skip
    return json.dumps(body).encode()


def _earlier(entry: Entry, job: Job) -> bytes:
    """The result that the journal has."""
    if entry.config_json != job.wanted.to_json():
        raise _other_request()
    if entry.result is None:
        raise RefusedError(410, "request: its result was delivered and is gone; ask with another key", "gone")
    return entry.result


def _other_request() -> RefusedError:
    return RefusedError(409, "Idempotency-Key: it was used for another request; choose another", "key_reused")
