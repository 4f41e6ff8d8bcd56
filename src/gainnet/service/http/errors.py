"""Errors in the form of OpenAI's API, and the one place where an exception becomes a status."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, final

from starlette.responses import JSONResponse

from gainnet.core.errors import GainnetError
from gainnet.service.engine import BusyError

_TYPES: Mapping[int, str] = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


@final
class RefusedError(GainnetError):
    """A request that is answered by an error.

    Args:
        status: of HTTP.
        message: for the client, one line; nothing of what it sent unless shortened and printable.
        code: for programs, for example `model_not_found`.
        param: field of the body that is wrong.
        retry_after_s: when it may come again, for 429 and 503.
    """

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        param: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.param, self.retry_after_s = status, code, param, retry_after_s


def refusal_of(error: GainnetError) -> RefusedError:
    """The answer to an error that the client can mend."""
    match error:
        case RefusedError():
            return error
        case BusyError():
            return RefusedError(429, str(error), "engine_busy", retry_after_s=error.retry_after_s)
        case _:
            # Errors of the house begin with the field.
            field, colon, _ = str(error).partition(":")
            return RefusedError(400, str(error), "invalid_value", field if colon and field.isidentifier() else None)


def answer(error: GainnetError) -> JSONResponse:
    """An error as a response.

    >>> answer(RefusedError(404, "model: there is none", "not_found", "model")).body
    b'{"error":{"message":"model: there is none","type":"invalid_request_error","param":"model","code":"not_found"}}'
    """
    refusal = refusal_of(error)
    kind = _TYPES.get(refusal.status, "server_error" if refusal.status >= 500 else "invalid_request_error")
    message = "".join(c if c.isprintable() else "?" for c in str(refusal))
    body: dict[str, Any] = {"message": message, "type": kind, "param": refusal.param, "code": refusal.code}
    headers = {} if refusal.retry_after_s is None else {"Retry-After": str(max(math.ceil(refusal.retry_after_s), 1))}
    if refusal.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"error": body}, refusal.status, headers)
