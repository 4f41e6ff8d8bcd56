"""The extra that whatever serves needs."""

from __future__ import annotations

from typing import Final

from gainnet.core.errors import import_extra

PACKAGES: Final = {"fastapi": "FastAPI", "uvicorn": "uvicorn", "websockets": "websockets"}
"""By module. onnxruntime is not among them: an edge without it serves with torch."""


def require_serve() -> None:
    """Raises `MissingExtraError` when a package of the extra `serve` is not installed, before anything begins."""
    for module, package in PACKAGES.items():
        import_extra(module, package, "serve")
