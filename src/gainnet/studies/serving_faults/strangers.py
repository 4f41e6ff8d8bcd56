"""Strangers at the doors of an edge: whoever is silent, slow, too large, without a token, or from elsewhere."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from gainnet.core.errors import import_extra
from gainnet.service.node.frames import MOST_BYTES, Frame

PATH: Final = "/v1/images/generations"
SILENT_S: Final = 60.0
"""How long a stranger that says nothing waits to be turned away; the doors say 10 s for a hello, 30 s for a body."""
BODY: Final = {"prompt": "a red star", "gainnet": {"num_steps": 1}}
TOO_LARGE: Final = 17 << 20
"""Bytes, above the 16 MiB that the doors take."""

Stranger = Callable[[str, str], bool]
"""Called with URL and token of an edge; whether it was let in."""


def idle(url: str, token: str) -> bool:
    """Opens a WebSocket and says nothing: whether it is still open after a minute."""
    closed = _exceptions().ConnectionClosed
    with _device(url) as line:
        try:
            line.recv(timeout=SILENT_S)  # why it is turned away
            line.recv(timeout=SILENT_S)
        except closed:
            return False
        except TimeoutError:
            pass
    return True


def slow(url: str, token: str) -> bool:
    """Sends half of a body and no more: whether the edge still waits for the rest after a minute, or answers."""
    content = json.dumps(BODY).encode()
    head = _head(url, {"Authorization": f"Bearer {token}", "Content-Length": str(len(content))})
    return _raw(url, head + content[: len(content) // 2])


def oversized(url: str, token: str) -> bool:
    """Sends a body that is too large, with its length in the head and without, and a frame that is too large."""
    bearer = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    declared = _raw(url, _head(url, bearer | {"Content-Length": str(TOO_LARGE)}))
    untold = _asks(url, bearer, content=(b" " * (1 << 20) for _ in range(TOO_LARGE >> 20)))
    return declared or untold or _is_greeted(url, b"\0" * (MOST_BYTES + 1))


def wrong_token(url: str, token: str) -> bool:
    """Asks without a token and with a wrong one, as a client and as a device."""
    wrong = {"Authorization": f"Bearer {token[:-1]}{'a' if token[-1] != 'a' else 'b'}"}
    hello = Frame("hello", {"role": "device", "token": token[:-1]}).to_bytes()
    return _asks(url, {}, json=BODY) or _asks(url, wrong, json=BODY) or _is_greeted(url, hello)


def wrong_origin(url: str, token: str) -> bool:
    """Asks with the right token from the page of another server, as a client and as a device."""
    return _comes_with(url, token, {"Origin": "https://elsewhere.example"})


def wrong_host(url: str, token: str) -> bool:
    """Asks with the right token by a name that is not the edge's, as a client and as a device."""
    return _comes_with(url, token, {"Host": "elsewhere.example"})


KINDS_OF_STRANGERS: Final[Mapping[str, Stranger]] = {
    "idle": idle, "slow": slow, "oversized": oversized, "wrong_token": wrong_token, "wrong_origin": wrong_origin,
    "wrong_host": wrong_host,
}  # fmt: skip


def _comes_with(url: str, token: str, headers: Mapping[str, str]) -> bool:
    hello = Frame("hello", {"role": "device", "token": token}).to_bytes()
    return _asks(url, {"Authorization": f"Bearer {token}", **headers}, json=BODY) or _is_greeted(url, hello, headers)


def _asks(url: str, headers: Mapping[str, str], **body: Any) -> bool:
    """Whether a client with these headers gets a picture."""
    with contextlib.suppress(httpx.TransportError):  # hung up on while it still sent
        return httpx.post(f"{url.rstrip('/')}{PATH}", headers=headers, timeout=SILENT_S, **body).status_code == 200
    return False


def _is_greeted(url: str, octets: bytes, headers: Mapping[str, str] | None = None) -> bool:
    """Whether an edge answers the first frame of a device with its own hello."""
    closed = _exceptions()
    with contextlib.suppress(closed.ConnectionClosed, closed.InvalidHandshake, OSError), _device(url, headers) as line:
        line.send(octets)
        return Frame.of_bytes(line.recv(timeout=SILENT_S)).kind == "hello"
    return False


def _device(url: str, headers: Mapping[str, str] | None = None) -> Any:
    client: Any = import_extra("websockets.sync.client", "websockets", "serve")
    named = {"additional_headers": headers} if headers else {}
    return client.connect(f"ws{url.rstrip('/')[4:]}/v1/device", proxy=None, max_size=None, close_timeout=1.0, **named)


def _exceptions() -> Any:
    return import_extra("websockets.exceptions", "websockets", "serve")


def _head(url: str, headers: Mapping[str, str]) -> bytes:
    lines = {"Host": urlsplit(url).netloc, "Content-Type": "application/json", **headers}
    return "".join((f"POST {PATH} HTTP/1.1\r\n", *(f"{k}: {v}\r\n" for k, v in lines.items()), "\r\n")).encode()


def _raw(url: str, octets: bytes) -> bool:
    """Whether an edge is still there a minute after these bytes, or answers them with success."""
    parts, end_s, answer = urlsplit(url), time.monotonic() + SILENT_S, b""
    with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=SILENT_S) as stream:
        stream.sendall(octets)
        while time.monotonic() < end_s:
            try:
                more = stream.recv(1 << 16)
            except TimeoutError:
                return True
            except OSError:
                return False
            answer += more
            if not more or answer.startswith(b"HTTP/1.1 4"):
                return answer.startswith(b"HTTP/1.1 2")
    return True
