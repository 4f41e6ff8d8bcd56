"""A device's connection to its edge: frames over a WebSocket, from a program without an event loop."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, Literal, final
from urllib.parse import urlsplit

from gainnet.core.errors import ConfigError, GainnetError, PayloadError, import_extra
from gainnet.core.outside import read_text
from gainnet.service.node.frames import MOST_BYTES, Frame, Kind

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

OPEN_S: Final = 10.0
"""How long an edge may take to answer a connection."""
PATH: Final = "/v1/device"


Tap = Callable[[Literal["out", "in"], Frame], None]


@final
class LostError(GainnetError):
    """The connection to the edge has ended."""


@final
class Line:
    """Frames to and from an edge; one thread may read while another one sends.

    Args:
        socket: connected.
        tap: called with each frame, and whether it goes "out" or comes "in".
    """

    def __init__(self, socket: ClientConnection, tap: Tap = lambda way, frame: None) -> None:
        self._socket, self._tap = socket, tap
        self._sending = threading.Lock()

    def send(self, frame: Frame) -> None:
        """Sends a frame; raises `LostError` when the edge is gone."""
        with self._sending, _lost():
            self._socket.send(frame.to_bytes())
        self._tap("out", frame)

    def receive(self) -> Frame:
        """The next frame.

        Raises:
            LostError: the edge is gone.
            PayloadError: it sent something else.
        """
        with _lost():
            content = self._socket.recv()
        if isinstance(content, str):
            raise PayloadError("frame: the edge sent a text; it must send frames")
        frame = Frame.of_bytes(content)
        self._tap("in", frame)
        return frame

    def expect(self, kind: Kind) -> Frame:
        """The next frame, which is of that kind; raises `ConfigError` with the edge's own words when it refuses."""
        frame = self.receive()
        if frame.kind == "error":
            raise ConfigError(read_text(frame.head.get("message"), "message", 2000))
        if frame.kind != kind:
            raise PayloadError(f"frame: {frame.kind} came in the place of {kind}")
        return frame


@contextlib.contextmanager
def connected(url: str, tap: Tap = lambda way, frame: None) -> Iterator[Line]:
    """A connection to an edge.

    Args:
        url: `http://host:port`, `https://host:port`, `ws://...` or `wss://...`.
        tap: as of `Line`.

    Raises:
        ConfigError: it is no such URL.
        LostError: there is no edge.
        MissingExtraError: websockets is not installed.
    """
    client: Any = import_extra("websockets.sync.client", "websockets", "serve")
    parts = urlsplit(url)
    schemes = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
    if parts.scheme not in schemes or not parts.hostname:
        raise ConfigError(f"url: {url!r} is not the address of an edge; give for example http://127.0.0.1:8080")
    target = f"{schemes[parts.scheme]}://{parts.netloc}{PATH}"
    with contextlib.ExitStack() as stack:
        try:
            # Seeds do not compress, and pings find out about an edge that has stopped.
            opening = client.connect(
                target, max_size=MOST_BYTES, compression=None, open_timeout=OPEN_S, close_timeout=1.0,
                ping_interval=5.0, ping_timeout=10.0, proxy=None,
            )  # fmt: skip
            socket = stack.enter_context(opening)
        except (OSError, EOFError, _exceptions().WebSocketException) as error:
            raise LostError(f"url: no edge at {url} ({type(error).__name__}); start it with gainnet serve") from None
        yield Line(socket, tap)


@contextlib.contextmanager
def _lost() -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, _exceptions().ConnectionClosed):
        raise LostError("url: the edge has closed the connection; ask again") from None


def _exceptions() -> Any:
    return import_extra("websockets.exceptions", "websockets", "serve")
