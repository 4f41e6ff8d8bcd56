"""Edges that join: the first edge listens for them, and one that joins takes its part in every request.

    first edge  <==frames over TLS 1.3, certificates on both sides==  edges that join

Who joins is who its certificate says; nobody else made one, since the authority's key was thrown away.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import time
from collections.abc import AsyncIterator, Callable
from importlib.metadata import version
from pathlib import Path
from typing import Final, final
from urllib.parse import urlsplit

from gainnet.core.errors import ConfigError, GainnetError, PayloadError
from gainnet.core.outside import read_text
from gainnet.core.types import NodeId
from gainnet.service.engine import Engine
from gainnet.service.node.edge import Edge, Joined, digests_of, read_id
from gainnet.service.node.frames import Frame, error_frame
from gainnet.service.node.order import Order, order_of, read_asked
from gainnet.service.node.release import Releaser
from gainnet.service.node.seat import Seat
from gainnet.service.node.stream import StreamPeer, read_frame
from gainnet.wire import client_context, name_in, server_context
from gainnet.wire.tls import HANDSHAKE_S

ALIVE_S: Final = 1.0
"""How often an edge that has joined says that it is alive."""
AGAIN_S: Final = 1.0
"""How long an edge waits before it joins again."""
MOST_REFUSED: Final = 3
"""Connections in a row that the first edge may end without a word."""


@contextlib.asynccontextmanager
async def listening(edge: Edge, host: str, port: int, keys: Path) -> AsyncIterator[int]:
    """A block in which edges can join: the port that they join at. Edges that fall silent are cut off meanwhile.

    Args:
        edge: that they join.
        host: address.
        port: 0 for any that is free.
        keys: folder of `gainnet serve keys`.

    Raises:
        ConfigError: the address is not free, or there are no keys.
    """

    async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = StreamPeer(writer)
        try:
            await _host(edge, reader, peer, str(name_in(writer.get_extra_info("peercert"))))
        except (GainnetError, KeyError, TimeoutError) as error:
            logging.getLogger(__name__).warning("an edge is cut off: %s", error)
            peer.send(Frame("error", {"message": str(error)}))
        finally:
            # Its requests go on without it before anything else of it can arrive.
            edge.lose(peer)
            with contextlib.suppress(OSError):
                writer.close()

    try:
        server = await asyncio.start_server(
            met, host, port, ssl=server_context(keys), ssl_handshake_timeout=HANDSHAKE_S, backlog=64
        )
    except OSError as error:
        raise ConfigError(f"join_port: cannot listen on {host}:{port} ({error.strerror}); give another one") from None
    watching = asyncio.create_task(_cut_off_silent(edge))
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        watching.cancel()
        server.close()


async def _cut_off_silent(edge: Edge) -> None:
    while True:
        await asyncio.sleep(ALIVE_S)
        edge.cut_off_silent()


async def _host(edge: Edge, reader: asyncio.StreamReader, peer: StreamPeer, name: str) -> None:
    """Frames of an edge that joins, until it goes."""
    came = await asyncio.wait_for(read_frame(reader), HANDSHAKE_S)
    if came is None:
        return
    hello = came[0]
    model = edge.engine.model
    for field, mine in {"sha256": model.sha256, "runtime": model.runtime, "version": version("gainnet")}.items():
        if hello.kind != "hello" or hello.head.get(field) != mine:
            raise PayloadError(f"hello: {name} has another {field} than {mine}; give both edges the same")
    if (before := edge.joined.get(name)) is not None:
        # It was restarted, and its old connection has not been found dead yet.
        before.peer.close()
        edge.lose(before.peer)
    joined = edge.joined[name] = Joined(peer)
    peer.send(edge.hello({}))
    while (came := await read_frame(reader)) is not None:
        joined.heard_s = time.monotonic()
        edge.receive(peer, name, *came)


@final
class Guest:
    """An edge that joins another one.

    Args:
        engine: runs the parts of its nodes.
        url: of the first edge, `tls://host:port`.
        keys: folder with ca.pem, `name`.pem and `name`.key.
        name: of this edge, as in its certificate.
        joined: called when it has joined.
    """

    def __init__(
        self, engine: Engine, url: str, keys: Path, name: str, joined: Callable[[], None] = lambda: None
    ) -> None:
        parts = urlsplit(url if "//" in url else f"//{url}")
        if not parts.hostname or parts.port is None or parts.scheme not in ("", "tls"):
            raise ConfigError(f"join: {url!r} is not the address of an edge; give for example tls://127.0.0.1:8444")
        self._host, self._port, self._joined = parts.hostname, parts.port, joined
        self._engine, self._name, self._context = engine, name, client_context(keys, name)
        self._seats: dict[str, Seat] = {}
        self._releaser = Releaser()
        self._is_in = False

    async def run(self) -> None:
        """Joins, and joins again whenever the first edge has gone and come back.

        Raises:
            ConfigError: the first edge refuses this one.
        """
        where, num_refused = f"{self._host}:{self._port}", 0
        while num_refused < MOST_REFUSED:
            try:
                reader, writer = await asyncio.open_connection(self._host, self._port, ssl=self._context)
            except ssl.SSLError as error:
                raise ConfigError(f"keys: the edge at {where} is not trusted ({error.reason})") from None
            except OSError:
                await asyncio.sleep(AGAIN_S)
                continue
            self._is_in = False
            await self._connected(reader, StreamPeer(writer))
            # An edge that does not know a certificate hangs up, and so does one that is just going down.
            num_refused = 0 if self._is_in else num_refused + 1
            await asyncio.sleep(AGAIN_S)
        raise ConfigError(f"keys: the edge at {where} refuses them; take those that were made with its own")

    async def _connected(self, reader: asyncio.StreamReader, peer: StreamPeer) -> None:
        """One connection, to its end."""
        alive = asyncio.create_task(self._say_alive(peer))
        try:
            await self._take_part(reader, peer)
        except PayloadError as error:
            logging.getLogger(__name__).warning("the first edge is cut off: %s", error)
        finally:
            alive.cancel()
            for seat in self._seats.values():
                seat.end()
            self._seats.clear()
            peer.close()

    async def _take_part(self, reader: asyncio.StreamReader, peer: StreamPeer) -> None:
        model = self._engine.model
        head = {"role": "edge", "name": self._name, "version": version("gainnet"), "weights": digests_of(self._engine)}
        peer.send(Frame("hello", head | {"sha256": model.sha256, "runtime": model.runtime}))
        while (came := await read_frame(reader)) is not None:
            frame = came[0]
            if frame.kind == "error" and "request" not in frame.head:
                raise ConfigError(f"join: {read_text(frame.head.get('message'), 'message', 2000)}")
            if frame.kind == "hello":
                self._releaser.close()
                self._releaser = Releaser(_pace(frame.head.get("pace")))
                self._is_in = True
                self._joined()
            elif frame.kind == "request":
                await self._sit(frame, peer)
            elif (seat := self._seats.get(read_id(frame.head.get("request")))) is not None:
                seat.receive(frame)
                if frame.kind == "bye":
                    del self._seats[seat.request_id]

    async def _sit(self, frame: Frame, peer: StreamPeer) -> None:
        """Takes this edge's node in a request; says so when that fails, and the others go on without it."""
        request_id, node = read_id(frame.head.get("request")), NodeId(read_text(frame.head.get("node"), "node", 64))
        try:
            # Frames of others wait meanwhile in the stream, and so none comes for an order that is not there yet.
            order = await asyncio.get_running_loop().run_in_executor(None, self._order, frame)
            seat = Seat(request_id, order, node, peer, self._engine, self._releaser)
        except GainnetError as error:
            peer.send(error_frame(error, request_id))
            return
        if (before := self._seats.pop(request_id, None)) is not None:
            before.end()
        self._seats[request_id] = seat
        seat.start()

    def _order(self, frame: Frame) -> Order:
        asked = read_asked(frame.head, frame.tensors())
        return order_of(asked, self._engine.model_with(asked.config.num_steps, asked.config.guidance_scale))

    async def _say_alive(self, peer: StreamPeer) -> None:
        while True:
            await asyncio.sleep(ALIVE_S)
            peer.send(Frame("progress", {}))


def _pace(found: object) -> float:
    if type(found) not in (int, float) or not 0.0 <= found <= 1000.0:  # type: ignore[operator]
        raise PayloadError("pace: it must be a number from 0 to 1000")
    return float(found)  # type: ignore[arg-type]
