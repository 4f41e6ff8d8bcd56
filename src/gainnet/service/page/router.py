"""Routes of the page: its files, the files of a device, and the opponent; strict rules for what a browser may run."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from gainnet.core.errors import GainnetError, MissingExtraError
from gainnet.generation.memory import Memory
from gainnet.models.diffusion import DiffusionModel
from gainnet.service.engine import Engine
from gainnet.service.exports import INDEX, device_files, index_of
from gainnet.service.page.opponent import opponent
from gainnet.service.provenance import Signer

try:
    from fastapi import APIRouter, Request
    from fastapi.responses import JSONResponse, PlainTextResponse, Response
except ImportError:
    raise MissingExtraError("FastAPI", "serve") from None

BUILT: Final = Path(__file__).parent / "static"
"""The built page, as `make web` writes it."""

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".json": "application/json",
    ".wasm": "application/wasm",
}
_PAGES: Final = {"": "index.html", "dashboard": "dashboard.html"}
_HOST: Final = re.compile(r"[A-Za-z0-9.:\[\]-]+")


def page_router(engine: Engine, memory: Memory, folder: Path = BUILT, signer: Signer | None = None) -> APIRouter:
    """The routes `/`, `/dashboard`, the files that they name, `/device/...` and `/v1/opponent`.

    Args:
        engine: whose model devices fetch, and that draws what the opponent sends.
        memory: of the denoisers of devices' requests, as their edge has it.
        folder: the built page.
        signer: of the opponent's pictures, which the edge delivers; they are not signed when `None`.
    """
    router, files = APIRouter(include_in_schema=False), device_files(engine.model)
    # Digests once, at the first visit: a large model has gigabytes, and an edge without visitors need not read them.
    index = cache(lambda: index_of(engine.model, files))

    @router.get("/device/{path:path}")
    def device(path: str, request: Request) -> Response:
        """A file of a device, by the path in the index."""
        if path == INDEX:
            return JSONResponse(index(), headers=_headers(request))
        if path not in files:
            return JSONResponse({"error": {"message": "device: this edge has no such file"}}, 404)
        return _file(files[path], request, index()["files"][path]["sha256"])

    @router.post("/v1/opponent")
    def rival(head: dict[str, Any], request: Request) -> Response:
        """The picture of the best image codec, for the configuration of a device's request."""
        try:
            found = _signed(opponent(head, engine.model_with, memory), head, engine.model, signer)
            return JSONResponse(found, headers=_headers(request))
        except GainnetError as error:
            return JSONResponse({"error": {"message": str(error)}}, 422, headers=_headers(request))

    def page(name: str, request: Request) -> Response:
        wanted = folder / _PAGES.get(name, name)
        packed = wanted.with_name(f"{wanted.name}.gz")
        if packed.is_file():
            return _file(packed, request, encoding="gzip")
        if wanted.is_file():
            return _file(wanted, request)
        return PlainTextResponse("page: it is not built; run make web (it needs Node 20) and start again\n", 503)

    for name in (*_PAGES, *_assets(folder)):
        # One route per file: no path of a browser ever reaches the file system.
        router.add_api_route(f"/{name}", _with(name, page), methods=["GET"])
    return router


def _signed(
    found: dict[str, Any], head: Mapping[str, Any], model: DiffusionModel, signer: Signer | None
) -> dict[str, Any]:
    """The opponent with the edge's signature in its picture."""
    if signer is None or "png" not in found:
        return found
    stated, picture = {"model": model.name, "sha256": model.sha256}, base64.b64decode(found["png"])
    signed, _ = signer.sign(picture, "png", stated, head.get("strength") is not None)
    return found | {"png": base64.b64encode(signed).decode()}


def weight_paths(model: DiffusionModel) -> dict[str, str]:
    """Where a device fetches the weights of a part, by its name, e.g. `vae`."""
    found = (path for path in device_files(model) if path.startswith("model/") and path.endswith(".safetensors"))
    return {path.split("/")[1]: f"/device/{path}" for path in found}


def _assets(folder: Path) -> list[str]:
    names = (path.name.removesuffix(".gz") for path in sorted(folder.glob("*")) if path.is_file())
    return [name for name in names if name not in _PAGES.values()]


def _with(name: str, page: Any) -> Any:
    def route(request: Request) -> Response:
        answer: Response = page(name, request)
        return answer

    return route


def _file(path: Path, request: Request, sha256: str | None = None, encoding: str | None = None) -> Response:
    """A file, or the news that the browser has it already."""
    stat = path.stat()
    tag = f'"{sha256 or f"{stat.st_mtime_ns:x}-{stat.st_size:x}"}"'
    headers = _headers(request) | {"ETag": tag, "Cache-Control": "no-cache"}
    if request.headers.get("If-None-Match") == tag:
        return Response(status_code=304, headers=headers)
    if encoding is not None:
        headers["Content-Encoding"] = encoding
    kind = _TYPES.get(Path(path.name.removesuffix(".gz")).suffix, "application/octet-stream")
    return Response(path.read_bytes(), media_type=kind, headers=headers)


def _headers(request: Request) -> dict[str, str]:
    """Headers that limit a browser to scripts, workers and sockets of this edge, with no frame around the page."""
    host = request.headers.get("Host", "")
    # Older browsers do not take a WebSocket of the same host for 'self'.
    sockets = f" ws://{host} wss://{host}" if _HOST.fullmatch(host) else ""
    policy = (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; "
        f"img-src 'self' data: blob:; connect-src 'self'{sockets}; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
