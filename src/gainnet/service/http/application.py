"""The application: routes, errors and doors put together."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import version
from typing import Any, Final

import torch
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from gainnet.core.errors import GainnetError
from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.service.engine import Engine, Engines
from gainnet.service.http.decode import decode_router
from gainnet.service.http.doors import Doors, Guard
from gainnet.service.http.errors import RefusedError, answer
from gainnet.service.http.images import images_router
from gainnet.service.http.jobs import Jobs
from gainnet.service.http.metrics import Metrics
from gainnet.service.http.status import More, status_router
from gainnet.service.journal import Journal
from gainnet.service.provenance import Signer

PRUNE_EVERY_S: Final = 600.0
ADOPT_EVERY_S: Final = 1.0
KEPT_S: Final = 24 * 3600.0
KEPT_BYTES: Final = 1 << 30
"""Results that nobody has acknowledged are kept for a day, in a gigabyte."""


def application(
    engines: Engines,
    journal: Journal,
    doors: Doors = Doors(),  # noqa: B008
    routers: Sequence[APIRouter] = (),
    more: More = dict,
    signer: Signer | None = None,
    adopt: Callable[[], int] | None = None,
) -> FastAPI:
    """The HTTP face of an edge.

    When it starts, it runs again what an earlier process had accepted and not finished. `state.is_draining` is set by
    whoever takes it down: it ends streams that would go on for ever, and `/readyz` says so. `state.metrics` counts what
    ends here, and what others tell it of.

    Args:
        engines: run the passes; started and closed by whoever made them.
        journal: keeps accepted requests.
        doors: who may come in.
        routers: further routes, as those of devices and of the page.
        more: what the status says of devices and edges.
        signer: of pictures; they are not signed when `None`.
        adopt: asked now and then for requests of other processes that are dead; puts them into the journal.
    """
    jobs = Jobs(engines, journal, signer)
    metrics = Metrics(jobs)
    jobs.ended = metrics.ended

    made = FastAPI(
        title="gainnet", version=version("gainnet"), summary="An edge that makes pictures over the air.",
        docs_url=None, redoc_url=None, openapi_url="/v1/openapi.json",
        lifespan=_lifespan(engines, journal, jobs, adopt),
    )  # fmt: skip
    made.state.is_ready, made.state.is_draining, made.state.metrics = False, False, metrics

    def is_draining() -> bool:
        return bool(made.state.is_draining)

    def refused(code: str) -> None:
        jobs.counts["refused"] += 1
        metrics.refused(code)

    _answer_errors(made)
    made.add_middleware(Guard, doors=doors, refused=refused)
    own = images_router(jobs), decode_router(engines), status_router(jobs, time.monotonic(), is_draining, more)
    for router in (*own, _health_router(made, metrics, signer), *routers):
        made.include_router(router)
    return made


def _lifespan(
    engines: Engines, journal: Journal, jobs: Jobs, adopt: Callable[[], int] | None
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Work beside the requests from start to end: first passes, what was left open, and the pruning of results."""

    @asynccontextmanager
    async def lifespan(made: FastAPI) -> AsyncIterator[None]:
        for engine in engines.each:
            await asyncio.to_thread(_warm, engine)
        tasks = [asyncio.create_task(jobs.recover()), asyncio.create_task(_prune(journal))]
        if adopt is not None:
            tasks.append(asyncio.create_task(_adopt(jobs, adopt)))
        made.state.is_ready = True
        yield
        made.state.is_ready, made.state.is_draining = False, True
        for task in tasks:
            task.cancel()
        await asyncio.to_thread(jobs.close)

    return lifespan


def _health_router(made: FastAPI, metrics: Metrics, signer: Signer | None) -> APIRouter:
    router = APIRouter()

    @router.get("/healthz", summary="Whether the process is alive")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/root.pem", summary="The certificate that readers of its pictures pin")
    def root() -> Response:
        if signer is None:
            raise RefusedError(404, "root: this edge signs no pictures", "not_found")
        return Response(signer.root, media_type="application/x-pem-file")

    @router.get("/readyz", summary="Whether it takes requests")
    def readyz() -> JSONResponse:
        ready = made.state.is_ready and not made.state.is_draining
        return JSONResponse({"status": "ready" if ready else "draining"}, 200 if ready else 503)

    @router.get("/metrics", summary="Numbers for Prometheus")
    def numbers() -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return router


def _answer_errors(made: FastAPI) -> None:
    """Every error in OpenAI's form."""

    @made.exception_handler(GainnetError)
    async def known(request: Request, error: GainnetError) -> Response:
        return answer(error)

    @made.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        first: Any = error.errors()[0]
        field = ".".join(str(each) for each in first["loc"][1:])[:64]
        # Without the value, which may be megabytes of what was sent.
        return answer(RefusedError(422, f"{field or 'body'}: {first['msg']}", "invalid_value", field or None))

    @made.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        # Where a body is read, FastAPI hides our own refusal behind one of its own.
        if isinstance(error.__cause__, GainnetError):
            return answer(error.__cause__)
        return answer(RefusedError(error.status_code, f"request: {error.detail}"))


def _warm(engine: Engine) -> None:
    """One pass of each network that a request needs, so that the first client does not wait for files to be read."""
    with engine.request(), torch.inference_mode(), contextlib.suppress(GainnetError):
        model, random = engine.model, Random.of([0])
        condition = model.text_encoder({"prompt": text_to_tensor(("a",))}, random)["condition"]
        latent = model.prior({}, random)["latent"]
        made = model.denoiser[:1]({"condition": condition, "latent": latent}, random)
        model.decoder(made, random)


async def _adopt(jobs: Jobs, adopt: Callable[[], int]) -> None:
    """Runs what dead processes had accepted and not finished."""
    while True:
        await asyncio.sleep(ADOPT_EVERY_S)
        if await asyncio.to_thread(adopt):
            await jobs.recover()


async def _prune(journal: Journal) -> None:
    while True:
        await asyncio.to_thread(journal.prune, KEPT_S, KEPT_BYTES)
        await asyncio.sleep(PRUNE_EVERY_S)
