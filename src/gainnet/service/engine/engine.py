"""The engine: one thread that owns the networks and runs the passes of all requests, most urgent first."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import Any, Final, Self, final

import torch
from torch import Tensor

from gainnet.core.errors import check_range
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.resampling import resampled
from gainnet.models.runtime import Networks, replace_networks
from gainnet.service.engine.queue import Pass, PassQueue
from gainnet.service.engine.request import CURRENT, BusyError, Request, Watch
from gainnet.service.engine.status import EngineStatus, Tick
from gainnet.service.engine.tokens import SharedTokenizer

LINGER_S: Final = 0.004
"""Several times what a thread needs between two passes, so that a thread that never comes back costs little."""
NUM_TICKS_KEPT: Final = 256
NUM_PROMPTS_KEPT: Final = 512
ASSUMED_ROW_S: Final = 0.05
"""Time of a row before any has been measured."""


@final
class Engine:
    """A model whose passes are shared by many requests.

        thread of a request:  walk(plan) -> part of engine.model -> ask, wait  ----\
        thread of a request:  walk(plan) -> part of engine.model -> ask, wait  -----> queue -> one pass a tick

    `engine.model` has the interface of the model that it was given, so that plans, cuts and hand-overs are the same as
    without an engine; only its networks ask the engine. onnxruntime gives a row the same bits in every batch, so that
    passes of all requests share one, each row at its own time; torch does not, and there every pass runs by itself.

    Args:
        model: whose networks run.
        most_batch: rows of a pass at most; a guided step of one picture has two. Of the shipped model a row takes
            9.2 ms in a pass of two, 8.4 in one of four, 7.8 in one of eight and no less in larger ones; but all rows of
            a pass end together, so that larger passes make the first of a queue wait for those behind it.
        most_waiting: requests that are open at the same time at most.

    Raises:
        ConfigError: a number is out of range, or the model calls no pipeline.

    >>> from gainnet.models.loading import load_model
    >>> with Engine(load_model(num_steps=2)) as engine, engine.request() as request:
    ...     pixels = engine.model.pipeline.vae.decode(torch.zeros(3, 4, 16, 16))[0]
    ...     pixels.shape, engine.status().num_rows
    (torch.Size([3, 3, 128, 128]), {'decoder': 3})
    """

    def __init__(self, model: DiffusionModel, *, most_batch: int = 4, most_waiting: int = 256) -> None:
        check_range(1 <= most_batch <= 64, "most_batch", most_batch, "1 to 64")
        check_range(1 <= most_waiting <= 100_000, "most_waiting", most_waiting, "1 to 100,000")
        self.most_batch, self.most_waiting = most_batch, most_waiting
        self._merges = model.runtime != "torch"
        self._networks = _networks_of(model)
        asking = Networks(self._unet, self._text_encoder, self._decode, partial(self._ask, "image_encoder"))
        self.model: DiffusionModel = replace_networks(model, asking, model.runtime)
        self.model.pipeline.tokenizer = SharedTokenizer(self.model.pipeline.tokenizer)
        self._resampled = lru_cache(maxsize=32)(partial(resampled, self.model))
        self._queue = PassQueue(most_batch if self._merges else 1, LINGER_S)
        self._lock, self._numbers = threading.Lock(), itertools.count(1)
        self._open: dict[int, Request] = {}
        self._num_ticks, self._num_rows, self._late = Counter[str](), Counter[str](), 0
        self._busy_s: dict[str, float] = dict.fromkeys(self._networks, 0.0)
        self._ticks: deque[Tick] = deque(maxlen=NUM_TICKS_KEPT)
        self._encoded: OrderedDict[bytes, Tensor] = OrderedDict()
        # A daemon, so that a process that forgets to close the engine can end.
        self._thread = threading.Thread(target=self._serve, name="engine", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the thread after its tick; what waits raises `CancelledError`."""
        self._queue.close()
        self._thread.join()

    def model_with(self, num_steps: int | None = None, guidance_scale: float | None = None) -> DiffusionModel:
        """The engine's model with another number of steps or another guidance; its networks are the same.

        Args:
            num_steps: of the sampler, 1 to 1000; the model's own when `None`.
            guidance_scale: 1 to 100; the model's own when `None`.

        Raises:
            ConfigError: a number is out of range.
        """
        own = self.model.denoiser
        steps = own.num_steps if num_steps is None else num_steps
        scale = own.guidance_scale if guidance_scale is None else guidance_scale
        same = (steps, scale) == (own.num_steps, own.guidance_scale)
        return self.model if same else self._resampled(steps, scale)

    @contextmanager
    def request(
        self, deadline_s: float = math.inf, num_passes: float = 0.0, watch: Watch | None = None
    ) -> Iterator[Request]:
        """A request of this thread; passes that it asks for meanwhile are of this request.

        Args:
            deadline_s: seconds from now; the earliest deadline goes first.
            num_passes: of the denoiser's network that it will take, as its plan says; rows, all items together.
            watch: called at each pass.

        Raises:
            BusyError: as many requests are open as the engine takes.
        """
        with self.serving(self.admit(deadline_s, num_passes, watch)) as request:
            yield request

    def admit(self, deadline_s: float = math.inf, num_passes: float = 0.0, watch: Watch | None = None) -> Request:
        """A place for a request, which a thread takes later by `serving`; arguments and errors as of `request`."""
        with self._lock:
            if len(self._open) >= self.most_waiting:
                raise BusyError(self._backlog_s())
            request = Request(next(self._numbers), time.monotonic() + deadline_s, num_passes, watch)
            self._open[request.number] = request
        return request

    @contextmanager
    def serving(self, request: Request) -> Iterator[Request]:
        """A block whose passes are of a request that was admitted; its place is free afterwards."""
        token = CURRENT.set(request)
        try:
            yield request
        finally:
            CURRENT.reset(token)
            self._queue.leave(request)
            with self._lock:
                del self._open[request.number]
                request.end_s = time.monotonic()
                self._late += request.end_s > request.deadline_at_s

    def status(self) -> EngineStatus:
        """Counters and the last ticks."""
        with self._lock:
            return EngineStatus(
                len(self._open), len(self._queue), self.most_batch, self.most_waiting, dict(self._num_ticks),
                dict(self._num_rows), dict(self._busy_s), self._late, tuple(self._ticks),
            )  # fmt: skip

    @property
    def backlog_s(self) -> float:
        """Time until all open requests are done, by the passes that they have left; at least 1 s."""
        with self._lock:
            return self._backlog_s()

    def _backlog_s(self) -> float:
        num_rows = sum(max(each.num_passes - each.num_rows, 1.0) for each in self._open.values())
        passed = self._num_rows["unet"]
        return max(num_rows * (self._busy_s["unet"] / passed if passed else ASSUMED_ROW_S), 1.0)

    def _unet(self, sample: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
        times = timestep.reshape(-1).expand(len(sample))
        predicted = self._ask("unet", sample, times, condition)
        if (request := CURRENT.get()) is not None:
            request.passed(sample, times, predicted)
        return predicted

    def _text_encoder(self, tokens: Tensor) -> Tensor:
        # Half of all texts are the empty one of guidance. Rows depend on their batch in torch, so that the key is the
        # batch as a whole.
        key = bytes(str(tuple(tokens.shape)), "ascii") + tokens.numpy().tobytes()
        with self._lock:
            known = self._encoded.get(key)
        if known is not None:
            return known
        made = self._ask("text_encoder", tokens)
        with self._lock:
            self._encoded[key] = made
            if len(self._encoded) > NUM_PROMPTS_KEPT:
                self._encoded.popitem(last=False)
        return made

    def _decode(self, z: Tensor) -> Tensor:
        # A gradient cannot cross threads; the one part that needs it decodes in its own thread.
        return self._networks["decoder"](z) if z.requires_grad else self._ask("decoder", z)

    def _ask(self, network: str, *inputs: Tensor) -> Tensor:
        """Outcome of a network in its tick; more rows than a batch takes go one batch after the other."""
        request = CURRENT.get() or Request(next(self._numbers), math.inf, 0.0, None)
        size = self.most_batch if self._merges else len(inputs[0])
        made = []
        for first in range(0, len(inputs[0]), size):
            asked = Pass(request, network, tuple(x[first : first + size] for x in inputs), Future())
            self._queue.put(asked)
            made.append(request.wait(asked.outcome))
        return made[0] if len(made) == 1 else torch.cat(made)

    def _serve(self) -> None:
        while batch := self._queue.take():
            begin_s, begin_cpu_s = time.monotonic(), time.thread_time()
            try:
                made = self._run(batch)
            except Exception as error:  # every request of the batch is told, and the engine goes on with the others
                self._queue.expect(())
                for each in batch:
                    each.outcome.set_exception(error)
                continue
            self._count(batch, begin_s, time.thread_time() - begin_cpu_s)
            # Before the outcomes are there, as a thread may come back at once.
            self._queue.expect(each.request for each in batch)
            for each, outcome in zip(batch, made, strict=True):
                each.outcome.set_result(outcome)

    def _run(self, batch: list[Pass]) -> tuple[Tensor, ...]:
        """Outcome of each pass of a batch."""
        network = self._networks[batch[0].network]
        # Without no_grad beside it: inference mode implies it, and plans run in inference mode, too.
        with torch.inference_mode():
            if len(batch) == 1:
                return (network(*batch[0].inputs),)
            rows = [torch.cat(column) for column in zip(*(each.inputs for each in batch), strict=True)]
            made: tuple[Tensor, ...] = network(*rows).split([each.num_rows for each in batch])
            return made

    def _count(self, batch: list[Pass], begin_s: float, busy_s: float) -> None:
        name, num_rows = batch[0].network, sum(each.num_rows for each in batch)
        requests = tuple(each.request.number for each in batch)
        with self._lock:
            self._num_ticks[name] += 1
            self._num_rows[name] += num_rows
            self._busy_s[name] += busy_s
            self._ticks.append(Tick(begin_s, time.monotonic() - begin_s, name, num_rows, requests))


def _networks_of(model: DiffusionModel) -> Mapping[str, Callable[..., Tensor]]:
    """The networks of a model as functions of tensors [rows, ...], by name."""
    pipeline = model.pipeline

    def encode(pixels: Tensor) -> Tensor:
        coded: Any = pipeline.vae.encode(pixels)
        latents: Tensor = coded.latents if hasattr(coded, "latents") else coded.latent_dist.mode()
        return latents

    return {
        "unet": lambda sample, times, condition: pipeline.unet(
            sample, times, encoder_hidden_states=condition, return_dict=False
        )[0],
        "text_encoder": lambda tokens: pipeline.text_encoder(tokens)[0],
        "decoder": lambda z: pipeline.vae.decode(z, return_dict=False)[0],
        "image_encoder": encode,
    }
