"""Only devices of the authority come in, and connections that say nothing keep nobody waiting."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("cryptography")

from gainnet.core.errors import ConfigError
from gainnet.core.types import NodeId
from gainnet.wire.connection import Connection
from gainnet.wire.keys import write_certificates
from gainnet.wire.tls import HANDSHAKE_S, MAX_HANDSHAKES, accept, connect, listening

ALLOWED, NAME = frozenset({"metrics"}), NodeId("device_0")


def greeted(keys: Path, port: int, name: str, found: list[object]) -> None:
    try:
        with contextlib.closing(connect("127.0.0.1", port, keys, name, ALLOWED, 60.0)) as connection:
            found.append(connection.receive_words())
    except (ConfigError, OSError) as error:
        found.append(error)


@pytest.mark.parametrize("num_silent", [1, 3, MAX_HANDSHAKES + 3])
def test_silent_connections_keep_nobody_waiting(num_silent: int, tmp_path: Path) -> None:
    write_certificates(tmp_path, devices=[NAME])
    found: list[object] = []
    with listening("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        silent: list[socket.socket] = []

        def come() -> None:
            silent.extend(socket.create_connection(("127.0.0.1", port)) for _ in range(num_silent))
            greeted(tmp_path, port, NAME, found)

        device = threading.Thread(target=come, daemon=True)
        device.start()
        begin_s = time.monotonic()
        connections = accept(listener, tmp_path, [NAME], ALLOWED, 60.0)
        assert time.monotonic() - begin_s < HANDSHAKE_S, "nobody's handshake was waited for"
        connections[NAME].send_words({"hello": 1})
        device.join(30.0)
        connections[NAME].close()
        for stream in silent:
            stream.close()
    assert found == [{"hello": 1}]


def test_strangers_and_unknown_names_are_turned_away(tmp_path: Path) -> None:
    write_certificates(tmp_path / "ours", devices=[NAME, "device_7"])
    write_certificates(tmp_path / "theirs", devices=[NAME])
    (tmp_path / "theirs" / "ca.pem").write_bytes((tmp_path / "ours" / "ca.pem").read_bytes())
    found: dict[str, list[object]] = {"stranger": [], "unknown": [], "known": []}
    with listening("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]

        def come() -> None:
            greeted(tmp_path / "theirs", port, NAME, found["stranger"])
            greeted(tmp_path / "ours", port, "device_7", found["unknown"])
            greeted(tmp_path / "ours", port, NAME, found["known"])

        devices = threading.Thread(target=come, daemon=True)
        devices.start()
        connections: dict[NodeId, Connection] = accept(listener, tmp_path / "ours", [NAME], ALLOWED, 60.0)
        connections[NAME].send_words({"hello": 1})
        devices.join(30.0)
        connections[NAME].close()
    assert found["known"] == [{"hello": 1}]
    assert [type(some[0]).__name__ for some in (found["stranger"], found["unknown"])] != ["dict", "dict"]
    assert isinstance(found["stranger"][0], Exception)
    assert isinstance(found["unknown"][0], Exception)


@pytest.mark.slow
def test_who_does_not_come_is_named(tmp_path: Path) -> None:
    write_certificates(tmp_path, devices=[NAME])
    with listening("127.0.0.1", 0) as listener, pytest.raises(ConfigError, match=r"device_0 did not come in 0\.2 s"):
        accept(listener, tmp_path, [NAME], ALLOWED, 0.2)
