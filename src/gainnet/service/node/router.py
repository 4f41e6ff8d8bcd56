"""The door of devices: a WebSocket that carries frames."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, final

from gainnet.core.errors import ConfigError, GainnetError, MissingExtraError, PayloadError
from gainnet.core.outside import read_text
from gainnet.service.node.edge import Edge
from gainnet.service.node.frames import Frame, error_frame

try:
    from fastapi import APIRouter, WebSocket
except ImportError:
    raise MissingExtraError("FastAPI", "serve") from None

HELLO_S: Final = 10.0
"""How long a device may take to say who it is."""
MOST_QUEUED: Final = 1024
"""Frames that wait for a device that reads slowly."""

Admit = Callable[[Mapping[str, str], str | None, str], Callable[[], None]]
"""Lets a device in, by the headers of its connection, the token of its hello and its address; what it returns is called
before each of its requests. Both raise `GainnetError` otherwise."""


def anybody(headers: Mapping[str, str], token: str | None, address: str) -> Callable[[], None]:
    """Lets everybody in, as often as they like; arguments as of `Admit`."""
    return lambda: None


def device_router(edges: Sequence[Edge], admit: Admit = anybody) -> APIRouter:
    """The route `/v1/device`.

    Args:
        edges: of this process, one per model; a device that names no model is connected to the first.
        admit: says who may come in.
    """
    router = APIRouter()

    @router.websocket("/v1/device")
    async def device(socket: WebSocket) -> None:
        await socket.accept()
        peer = SocketPeer(socket)
        writing = asyncio.create_task(peer.write())
        try:
            await _met(edges, socket, peer, admit)
        except GainnetError as error:
            peer.send(error_frame(error))
        except _Gone:
            pass
        finally:
            for edge in edges:
                edge.lose(peer)
            peer.close()
            with contextlib.suppress(Exception):
                await asyncio.wait_for(writing, HELLO_S)

    return router


async def _met(edges: Sequence[Edge], socket: WebSocket, peer: SocketPeer, admit: Admit) -> None:
    """Frames of one device until it goes; raises `GainnetError` for one that ends the connection."""
    try:
        hello, _ = await asyncio.wait_for(_read(socket), HELLO_S)
    except TimeoutError:
        raise ConfigError("hello: it did not come; say who you are first") from None
    if hello.kind != "hello":
        raise PayloadError(f"frame: {hello.kind} came in the place of hello")
    token, weights = hello.head.get("token"), hello.head.get("weights", {})
    address = "" if socket.client is None else socket.client.host
    ask = admit(socket.headers, None if token is None else read_text(token, "token", 200), address)
    if not isinstance(weights, dict):
        raise PayloadError("weights: they must be an object of digests")
    named, names = hello.head.get("model"), [each.engine.model.name for each in edges]
    # A name that is not served is no mistake here: the digests of weights say whether two nodes fit each other.
    edge = edges[names.index(named) if named in names else 0]
    own = edge.hello(weights)
    peer.send(replace(own, head={**own.head, "models": names}))
    edge.meet(peer)
    while True:
        frame, octets = await _read(socket)
        if frame.kind == "bye" and "request" not in frame.head:
            return
        if frame.kind != "request":
            edge.receive(peer, None, frame, octets)
            continue
        try:
            ask()
            await edge.open(peer, frame)
        except GainnetError as error:
            peer.send(error_frame(error, frame.head.get("request")))
        except Exception:
            # Whatever a request makes fail ends that request alone, and its text goes to nobody.
            logging.getLogger(__name__).exception("a request could not be opened")
            peer.send(Frame("error", {"request": frame.head.get("request"), "message": "edge: it failed; ask again"}))


async def _read(socket: WebSocket) -> tuple[Frame, bytes]:
    message: Mapping[str, Any] = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise _Gone
    octets = message.get("bytes")
    if octets is None:
        raise PayloadError("frame: a text came; send binary messages")
    return Frame.of_bytes(octets), octets


class _Gone(Exception):
    """The device has closed its connection."""


@final
class SocketPeer:
    """A device behind a WebSocket: frames wait in a queue until it reads them.

    Args:
        socket: accepted.
    """

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._waiting: asyncio.Queue[bytes | None] = asyncio.Queue(MOST_QUEUED)

    def send(self, frame: Frame | bytes) -> None:
        """As `Peer.send`."""
        octets = frame.to_bytes() if isinstance(frame, Frame) else frame
        try:
            self._waiting.put_nowait(octets)
        except asyncio.QueueFull:
            self.close()

    def close(self) -> None:
        """As `Peer.close`; what is queued already still goes out, unless the queue is full."""
        if self._waiting.full():
            self._waiting.get_nowait()
        self._waiting.put_nowait(None)

    async def write(self) -> None:
        """Sends what is queued until the connection is closed."""
        with contextlib.suppress(Exception):  # the server's library raises its own errors when a device is gone
            while (octets := await self._waiting.get()) is not None:
                await self._socket.send_bytes(octets)
            await self._socket.close()
