"""Streams with TLS 1.3 and certificates on both sides: an edge that listens, and devices that connect."""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from gainnet.core.errors import ConfigError, check_range, system_reason
from gainnet.core.types import NodeId
from gainnet.wire.connection import Connection

MAX_PORT = 65535
MAX_TIMEOUT_S = 1e6
HANDSHAKE_S = 10.0
"""How long a connection may take to prove who it is."""
AGAIN_S = 0.1
"""Between two tries to reach an edge that is not there yet."""
MAX_HANDSHAKES = 64
"""Connections at once that have not proved yet who they are; the oldest makes room for one more."""


@contextlib.contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that devices connect to; port 0 for any that is free.

    Raises:
        ConfigError: there is no such port, or the address is not free or not of this machine.

    >>> with listening("127.0.0.1", 0) as listener:
    ...     host, port = listener.getsockname()
    >>> host, port > 0
    ('127.0.0.1', True)
    """
    check_range(0 <= port <= MAX_PORT, "port", port, f"0 to {MAX_PORT}")
    try:
        listener = socket.create_server((host, port), backlog=MAX_HANDSHAKES)
    except OSError as error:
        raise ConfigError(f"port: cannot listen on {host}:{port} ({error.strerror}); give another one") from None
    with listener:
        yield listener


def accept(
    listener: socket.socket, keys: Path, names: Collection[NodeId], allowed: frozenset[str], timeout_s: float
) -> dict[NodeId, Connection]:
    """A connection to each of these devices, once all have come; a device is who its certificate says.

    Whoever has no certificate of our authority, or one of a name that is not waited for, is turned away. Handshakes run
    beside each other and have `HANDSHAKE_S` each, so that a connection that says nothing keeps nobody waiting.

    Args:
        listener: of `listening`.
        keys: folder of `write_certificates`.
        names: of the devices.
        allowed: kinds of payload that may cross.
        timeout_s: to wait for all of them, and later for every frame.

    Raises:
        ConfigError: some do not come in time.
    """
    check_range(0.0 < timeout_s <= MAX_TIMEOUT_S, "timeout_s", timeout_s, f"up to {MAX_TIMEOUT_S:g} seconds")
    reception = Reception.of(listener, keys)
    found: dict[NodeId, Connection] = {}
    end_s = time.monotonic() + timeout_s
    try:
        while missing := sorted(set(names) - set(found)):
            if (left_s := end_s - time.monotonic()) <= 0.0:
                raise ConfigError(f"clients: {', '.join(missing)} did not come in {timeout_s:g} s; start them")
            for name, stream in reception.arrivals(left_s):
                if name in names and name not in found:
                    stream.settimeout(timeout_s)
                    found[name] = Connection(stream, allowed)
                else:
                    stream.close()
    except BaseException:
        for connection in found.values():
            connection.close()
        raise
    finally:
        reception.close()
    return found


def connect(
    host: str, port: int, keys: Path, name: str, allowed: frozenset[str], timeout_s: float, wait_s: float = 0.0
) -> Connection:
    """A device's connection to the edge.

    Args:
        host: name or address of the edge, as in its certificate.
        port: where it listens.
        keys: folder with ca.pem, `name`.pem and `name`.key.
        name: of this device.
        allowed: kinds of payload that may cross.
        timeout_s: to connect, and later for every frame.
        wait_s: how long it may take until the edge is there.

    Raises:
        ConfigError: the edge is not there in time, or one of the two is not who it says.
    """
    check_range(0 <= port <= MAX_PORT, "port", port, f"0 to {MAX_PORT}")
    check_range(0.0 < timeout_s <= MAX_TIMEOUT_S, "timeout_s", timeout_s, f"up to {MAX_TIMEOUT_S:g} seconds")
    context, end_s = client_context(keys, name), time.monotonic() + wait_s
    while True:
        try:
            plain = socket.create_connection((host, port), timeout_s)
            return Connection(context.wrap_socket(plain, server_hostname=host), allowed)
        except OSError as error:
            # An edge that starts, or starts again, refuses or breaks off; a certificate stays a wrong one.
            passes = not isinstance(error, ssl.SSLError) or isinstance(error, ssl.SSLEOFError)
            if not passes or time.monotonic() >= end_s:
                raise _unreachable(f"{host}:{port}", error) from None
        time.sleep(AGAIN_S)


def _unreachable(place: str, error: OSError) -> ConfigError:
    if isinstance(error, ssl.SSLError):
        return ConfigError(f"keys: the edge at {place} is not trusted ({error.reason})")
    if isinstance(error, ConnectionResetError):
        return ConfigError(f"host: the edge at {place} hung up; it has all its devices, or ended")
    return ConfigError(f"host: no edge at {place} ({system_reason(error)}); start it first")


@final
@dataclass(frozen=True, eq=False)
class Reception:
    """Handshakes beside each other in one thread: whichever socket can go on does, none is waited for.

    Args:
        listener: of `listening`.
        context: of TLS.
        selector: of everything that is open.
        end_s_of: when each handshake has to be over, on the clock `time.monotonic`.
    """

    listener: socket.socket
    context: ssl.SSLContext
    selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    end_s_of: dict[ssl.SSLSocket, float] = field(default_factory=dict)

    @staticmethod
    def of(listener: socket.socket, keys: Path) -> Reception:
        """With the certificate of a folder of `write_certificates`; errors as `client_context`."""
        return Reception(listener, server_context(keys))

    def __post_init__(self) -> None:
        self.listener.setblocking(False)
        self.selector.register(self.listener, selectors.EVENT_READ)

    def arrivals(self, timeout_s: float) -> Iterator[tuple[NodeId, ssl.SSLSocket]]:
        """Whoever has proved its name within a short while."""
        first_s = min(self.end_s_of.values(), default=float("inf")) - time.monotonic()
        # Until something happens or the first handshake runs out of time.
        for key, _ in self.selector.select(max(0.0, min(timeout_s, first_s))):
            if key.fileobj is self.listener:
                self._open()
            elif (arrived := self._advance(key.fileobj)) is not None:  # type: ignore[arg-type]
                yield arrived
        now_s = time.monotonic()
        for stream in [stream for stream, end_s in self.end_s_of.items() if end_s <= now_s]:
            self._drop(stream)

    def close(self) -> None:
        """Ends all handshakes; the listener stays open."""
        for stream in list(self.end_s_of):
            self._drop(stream)
        self.selector.close()
        self.listener.setblocking(True)

    def _open(self) -> None:
        try:
            plain, _ = self.listener.accept()
        except OSError:  # it has gone again
            return
        # An honest handshake takes milliseconds; of 64 open ones the oldest is the least likely to be one.
        if len(self.end_s_of) >= MAX_HANDSHAKES:
            self._drop(min(self.end_s_of, key=self.end_s_of.__getitem__))
        plain.setblocking(False)
        try:
            stream = self.context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        except OSError:
            plain.close()
            return
        self.end_s_of[stream] = time.monotonic() + HANDSHAKE_S
        self.selector.register(stream, selectors.EVENT_READ)

    def _advance(self, stream: ssl.SSLSocket) -> tuple[NodeId, ssl.SSLSocket] | None:
        """(name, stream) when the handshake is over; a stream whose other end fails in it is closed."""
        try:
            stream.do_handshake()
            name = name_in(stream.getpeercert())
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as wish:
            reads = isinstance(wish, ssl.SSLWantReadError)
            self.selector.modify(stream, selectors.EVENT_READ if reads else selectors.EVENT_WRITE)
            return None
        except (OSError, KeyError, ValueError):
            self._drop(stream)
            return None
        self.selector.unregister(stream)
        del self.end_s_of[stream]
        return name, stream

    def _drop(self, stream: ssl.SSLSocket) -> None:
        self.selector.unregister(stream)
        del self.end_s_of[stream]
        stream.close()


def server_context(keys: Path) -> ssl.SSLContext:
    """TLS 1.3 of the node that others connect to, with a certificate on both sides; errors as `client_context`."""
    return _context(ssl.PROTOCOL_TLS_SERVER, keys, "server")


def client_context(keys: Path, name: str) -> ssl.SSLContext:
    """TLS 1.3 of a node that connects, with a certificate on both sides.

    Args:
        keys: folder of `write_certificates`.
        name: of the node.

    Raises:
        ConfigError: the folder has no usable keys of that name.

    >>> import tempfile
    >>> from gainnet.wire.keys import write_certificates
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_certificates(Path(folder), devices=["device_0"])
    ...     context = client_context(Path(folder), "device_0")
    >>> context.minimum_version.name, context.verify_mode.name
    ('TLSv1_3', 'CERT_REQUIRED')
    >>> client_context(Path("nowhere"), "device_0")
    Traceback (most recent call last):
    gainnet.core.errors.ConfigError: keys: nowhere has no usable keys of device_0 (No such file or directory); ...
    """
    return _context(ssl.PROTOCOL_TLS_CLIENT, keys, name)


def name_in(certificate: Any) -> NodeId:
    """The common name in a certificate, as Python's ssl gives it, that the other end has proved to own.

    Raises:
        KeyError: there is none.

    >>> name_in({"subject": ((("commonName", "edge_2"),),)})
    'edge_2'
    """
    return NodeId(str(dict(pair for group in (certificate or {})["subject"] for pair in group)["commonName"]))


def _context(protocol: int, keys: Path, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    # Nobody speaks an older version here, and certificates travel encrypted from 1.3 on.
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_cert_chain(keys / f"{name}.pem", keys / f"{name}.key")
        context.load_verify_locations(keys / "ca.pem")
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"keys: {keys} has no usable keys of {name} ({system_reason(error)}); make them with gainnet split keys"
        ) from None
    return context
