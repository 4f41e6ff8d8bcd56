"""Doors of the edge: who may come in, from where, how often, and with how much."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final, final
from urllib.parse import urlsplit

from gainnet.core.errors import GainnetError
from gainnet.service.http.errors import RefusedError, answer
from gainnet.service.http.tokens import TokenFile, Tokens

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
BODY_S: Final = 30.0
"""Time in which the next part of a body has to come."""
NUM_CALLERS: Final = 4096
"""Callers whose rates are remembered; the one that was silent longest is forgotten first."""
GUARDED: Final = ("/v1/", "/decode", "/metrics")
"""Paths that need a token, where there are tokens; what a page or a probe needs to begin does not."""
DEVICE_SOCKET: Final = "/v1/device"
"""Browsers cannot set headers of a WebSocket, so that its token comes in its first frame."""
HEADERS: Final = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}
"""Set on every response that does not set them itself."""


@final
@dataclass(frozen=True)
class Doors:
    """Conditions under which a request is let in.

    Args:
        hosts: names and addresses under which the edge is reached; a request with another `Host` is refused, which
            keeps out pages that point a name of theirs at this machine, and so is one with a foreign `Origin`.
        tokens: who may come in; anybody when `None`.
        most_bytes: of a request's body.
        rate_per_s: requests per second and caller, in the long run.
        burst: requests of a caller at once.
    """

    hosts: tuple[str, ...] = LOOPBACK
    tokens: Tokens | TokenFile | None = None
    most_bytes: int = 16 << 20
    rate_per_s: float = 20.0
    burst: int = 200

    def caller_of(self, bearer: str | None) -> str:
        """Name of who has a token, empty where none is asked for.

        Args:
            bearer: the token, if one came.

        Raises:
            RefusedError: it is missing or wrong.
        """
        if self.tokens is None:
            return ""
        name = None if bearer is None else self.tokens.name_of(bearer)
        if name is None:
            how = "send it as Authorization: Bearer TOKEN"
            raise RefusedError(401, f"token: it is missing or wrong; {how}", "invalid_api_key")
        return name

    def check_origin(self, headers: Mapping[str, str], own_address: str) -> None:
        """Raises `RefusedError` for a host that is not this edge, or a page of another one.

        Args:
            headers: of the request, names in lower case.
            own_address: at which the connection arrived, which is always a name of this edge.
        """
        if _host(f"//{headers.get('host', '')}") not in (*self.hosts, own_address):
            raise RefusedError(403, "host: this edge is not reached by that name; add it with --name", "wrong_host")
        origin = headers.get("origin")
        # Same host and port: another server of this machine is a stranger, too.
        if origin is not None and _netloc(origin) != headers.get("host", "").lower():
            raise RefusedError(403, "origin: pages of other servers may not ask this one", "wrong_origin")


@final
@dataclass
class Rates:
    """A bucket of tokens per caller (RFC 2697 without colours): full at first, filled at a rate, one taken per request.

    Args:
        rate_per_s: at which a bucket is filled.
        burst: that a bucket holds.
        left: content and time of the last change, by caller.
    """

    rate_per_s: float
    burst: int
    left: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def take(self, caller: str) -> None:
        """Takes one; raises `RefusedError` with the time until there is one when there is none."""
        now = time.monotonic()
        content, before = self.left.pop(caller, (float(self.burst), now))
        content = min(content + (now - before) * self.rate_per_s, float(self.burst))
        self.left[caller] = (max(content - 1.0, 0.0) if content >= 1.0 else content, now)
        if len(self.left) > NUM_CALLERS:
            self.left.popitem(last=False)
        if content < 1.0:
            wait_s = (1.0 - content) / self.rate_per_s
            raise RefusedError(429, "rate: too many requests; slow down", "rate_limit_exceeded", None, wait_s)


@final
class Guard:
    """An ASGI application behind doors: what is refused never reaches it, and no body larger than the limit either.

    Args:
        application: behind the doors.
        doors: what is let in.
        refused: called with the code of each refusal.
    """

    def __init__(self, application: Application, doors: Doors, refused: Callable[[str], None]) -> None:
        self._application, self._doors, self._refused = application, doors, refused
        self._rates = Rates(doors.rate_per_s, doors.burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection, as ASGI calls it."""
        if scope["type"] not in ("http", "websocket"):
            return await self._application(scope, receive, send)
        try:
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            self._admit(scope, headers)
            receive = _Limited(receive, self._doors.most_bytes) if scope["type"] == "http" else receive
        except GainnetError as error:
            self._refused(str(getattr(error, "code", None)))
            return await _refuse(error, scope, receive, send)
        return await self._application(scope, receive, _with_headers(send))

    def _admit(self, scope: Scope, headers: Mapping[str, str]) -> None:
        self._doors.check_origin(headers, (scope.get("server") or ("",))[0])
        path, address = scope["path"], (scope.get("client") or ("",))[0]
        if path.startswith(GUARDED) and path != DEVICE_SOCKET:
            kind, _, bearer = headers.get("authorization", "").partition(" ")
            caller = self._doors.caller_of(bearer.strip() if kind.lower() == "bearer" else None)
            scope["state"] = {**scope.get("state", {}), "caller": caller}
            # Wrong tokens are counted by nobody: comparing them costs less than remembering who sent them.
            self._rates.take(caller or address)
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self._doors.most_bytes:
            raise RefusedError(413, f"body: at most {self._doors.most_bytes} bytes are taken", "too_large")


@final
class _Limited:
    """A body that is counted while it comes, since its length may not have been told, or told wrong."""

    def __init__(self, receive: Receive, most_bytes: int) -> None:
        self._receive, self._left, self._is_whole = receive, most_bytes, False

    async def __call__(self) -> Message:
        if self._is_whole:
            # What comes after the body is the end of the connection, and that may take long.
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), BODY_S)
        except TimeoutError:
            raise RefusedError(408, "body: it came too slowly", "timeout") from None
        self._left -= len(message.get("body", b""))
        self._is_whole = not message.get("more_body", False)
        if self._left < 0:
            raise RefusedError(413, "body: it is larger than what is taken", "too_large")
        return message


async def _refuse(error: GainnetError, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": ""})
        return
    await answer(error)(scope, receive, _with_headers(send))


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            found = list(message.get("headers", ()))
            there = {name.lower() for name, _ in found}
            missing = ((n.encode(), v.encode()) for n, v in HEADERS.items() if n.encode() not in there)
            message = {**message, "headers": [*found, *missing]}
        await send(message)

    return sending


def _netloc(url: str) -> str:
    """Host and port of a URL; empty where there is none, as in the origin `null`."""
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""


def _host(url: str) -> str:
    """Host of a URL without its port; empty where there is none."""
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def hosts_of(bound: str, names: Iterable[str]) -> tuple[str, ...]:
    """Hosts under which an edge that listens at an address is reached.

    Args:
        bound: address that it listens at.
        names: further names that the operator gave.
    """
    own = () if bound in ("0.0.0.0", "::") else (bound.lower(),)
    return tuple(dict.fromkeys((*LOOPBACK, *own, *(name.lower() for name in names))))
