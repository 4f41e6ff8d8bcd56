"""Routes of the page: its files, the files of a device, and the opponent; strict rules for what a browser may run."""

from __future__ import annotations

import base64
import gzip
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, Final

from gainnet.core.errors import ConfigError, GainnetError, MissingExtraError
from gainnet.models.diffusion import DiffusionModel
from gainnet.service.exports import INDEX, device_files, index_of
from gainnet.service.node.edge import Edge
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


def page_router(edges: Sequence[Edge], folder: Path = BUILT, signer: Signer | None = None) -> APIRouter:
    """The routes `/`, `/dashboard`, the files that they name, `/device/...` and `/v1/opponent`.

    Files of the first model lie directly below `/device/`, those of another one below its name; the index of the first
    lists all models under `models`.

    Args:
        edges: of this process, one per model, whose weights devices fetch and which draw what the opponent sends.
        folder: the built page.
        signer: of the opponent's pictures, which the edge delivers; they are not signed when `None`.
    """
    router, models = APIRouter(include_in_schema=False), {each.engine.model.name: each.engine.model for each in edges}
    files = {name: device_files(model) for name, model in models.items()}
    bases = {name: prefix_of(edges, name) for name in models}
    listed = [{"name": name, "base": base} for name, base in bases.items()]
    # Digests once, at the first visit: a large model has gigabytes, and an edge without visitors need not read them.
    index = cache(lambda name: index_of(models[name], files[name]) | {"models": listed})
    # A second of work at the first visit; routes run in threads of their own, so that devices do not wait for it.
    unpacked = _once(_gzipped)

    @router.get("/device/{path:path}")
    def device(path: str, request: Request) -> Response:
        """A file of a device, by the path in the index."""
        # Those of the first model have no base, and are looked for last.
        for name in reversed(models):
            inside = path.removeprefix(bases[name])
            if path.startswith(bases[name]) and inside == INDEX:
                return JSONResponse(index(name), headers=_headers(request))
            if path.startswith(bases[name]) and inside in files[name]:
                return _file(files[name][inside], request, index(name)["files"][inside]["sha256"])
        return JSONResponse({"error": {"message": "device: this edge has no such file"}}, 404)

    @router.post("/v1/opponent")
    def opponents(head: dict[str, Any], request: Request) -> Response:
        """The picture of the best image codec, for the configuration of a device's request."""
        try:
            named = head.get("model")
            edge = next((each for each in edges if each.engine.model.name == named), edges[0])
            rival = opponent(head, edge.engine.model_with, edge.memory)
            found = _signed(rival, head, edge.engine.model, signer)
            return JSONResponse(found, headers=_headers(request))
        except GainnetError as error:
            return JSONResponse({"error": {"message": str(error)}}, 422, headers=_headers(request))

    def page(name: str, request: Request) -> Response:
        wanted = folder / _PAGES.get(name, name)
        packed = wanted.with_name(f"{wanted.name}.xz")
        if packed.is_file():
            return _packed(packed, request, unpacked)
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


def prefix_of(edges: Sequence[Edge], name: str) -> str:
    """Where the files of a model lie below `/device/`: nothing for the first, else its name and a slash."""
    return "" if edges[0].engine.model.name == name else f"{name}/"


def weight_paths(model: DiffusionModel, base: str = "") -> dict[str, str]:
    """Where a device fetches the weights of a part, by its name, e.g. `vae`.

    Args:
        model: whose weights they are.
        base: as of `prefix_of`.
    """
    found = (path for path in device_files(model) if path.startswith("model/") and path.endswith(".safetensors"))
    return {path.split("/")[1]: f"/device/{base}{path}" for path in found if path.count("/") == 2}


def _assets(folder: Path) -> list[str]:
    names = (path.name.removesuffix(".xz") for path in sorted(folder.glob("*")) if path.is_file())
    return [name for name in names if name not in _PAGES.values()]


def _with(name: str, page: Any) -> Any:
    def route(request: Request) -> Response:
        answer: Response = page(name, request)
        return answer

    return route


def _once(make: Callable[[Path], bytes]) -> Callable[[Path], bytes]:
    """The same, made once for a path; other threads that ask meanwhile wait."""
    made, making = cache(make), Lock()

    def wait(path: Path) -> bytes:
        with making:
            return made(path)

    return wait


def _packed(path: Path, request: Request, unpacked: Callable[[Path], bytes]) -> Response:
    """A file that is shipped as xz, or what is wrong with it."""
    try:
        return _file(path, request, encoding="gzip", read=unpacked)
    except ConfigError as error:
        return PlainTextResponse(f"{error}\n", 503)


def _gzipped(path: Path) -> bytes:
    """A file of xz as browsers take it: they do not know xz, which is two fifths smaller."""
    try:
        # A Python that was built without liblzma lacks the module.
        import lzma

        # No date inside, so that all processes of an edge send the same bytes.
        return gzip.compress(lzma.decompress(path.read_bytes()), compresslevel=6, mtime=0)
    except ImportError:
        raise ConfigError("page: this Python has no lzma; take one that was built with liblzma") from None
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise ConfigError(f"page: {path.name} is damaged ({error}); install gainnet again") from None


def _file(
    path: Path,
    request: Request,
    sha256: str | None = None,
    encoding: str | None = None,
    read: Callable[[Path], bytes] = Path.read_bytes,
) -> Response:
    """A file, or the news that the browser has it already."""
    stat = path.stat()
    tag = f'"{sha256 or f"{stat.st_mtime_ns:x}-{stat.st_size:x}"}"'
    headers = _headers(request) | {"ETag": tag, "Cache-Control": "no-cache"}
    if request.headers.get("If-None-Match") == tag:
        return Response(status_code=304, headers=headers)
    if encoding is not None:
        headers["Content-Encoding"] = encoding
    kind = _TYPES.get(Path(path.name.removesuffix(".xz")).suffix, "application/octet-stream")
    return Response(read(path), media_type=kind, headers=headers)


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
