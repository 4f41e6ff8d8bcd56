"""The application: routes, errors and doors put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gainnet.core.errors import import_extra
from gainnet.service.engine import Engine
from gainnet.service.http.doors import Doors
from gainnet.service.journal import Journal

if TYPE_CHECKING:
    from fastapi import APIRouter, FastAPI


def application(engine: Engine, journal: Journal, doors: Doors = Doors(), routers: Sequence[APIRouter] = ()) -> FastAPI:  # noqa: B008
    """The HTTP face of an edge.

    Args:
        engine: runs the passes.
        journal: keeps accepted requests.
        doors: who may come in.
        routers: further routes, as those of devices and of the page.

    Raises:
        MissingExtraError: FastAPI is not installed.
    """
    fastapi: Any = import_extra("fastapi", "FastAPI", "serve")
    made: FastAPI = fastapi.FastAPI(title="gainnet", docs_url=None, redoc_url=None)

    @made.get("/healthz")
    def healthz() -> dict[str, str]:
        """Whether the process is alive."""
        return {"status": "ok"}

    for router in routers:
        made.include_router(router)
    return made
