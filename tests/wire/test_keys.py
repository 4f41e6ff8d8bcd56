"""Keys of a federation: no name writes outside its folder or over another file, and nothing is half written."""

from __future__ import annotations

from pathlib import Path

import pytest

from gainnet.cli import app
from gainnet.core.errors import ConfigError

pytest.importorskip("cryptography")

from click.testing import CliRunner

from gainnet.wire.keys import write_certificates, write_node_key
from gainnet.wire.tls import connect, listening

ODD = ("ca", "server", "", ".", "..", "../outside", "/tmp/outside", "a/b", "a b", "x" * 65, "\n")


@pytest.mark.parametrize("name", ODD)
def test_a_name_is_no_path_and_no_other_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="device: "):
        write_certificates(tmp_path / "keys", devices=("device_0", name))
    with pytest.raises(ConfigError, match="node: "):
        write_node_key(tmp_path / "keys", name)
    told = CliRunner().invoke(
        app, ["flower", "keys", str(tmp_path / "keys"), "--host", "localhost", "--node", "a", "--node", name]
    )
    assert isinstance(told.exception, ConfigError)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("host", ["", " ", "a/b", "https://edge", "bücher.example", "a..b"])
def test_a_host_is_a_name_or_an_address(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigError, match="host: "):
        write_certificates(tmp_path / "keys", ("localhost", host))
    assert list(tmp_path.iterdir()) == []


def test_hosts_of_every_kind_are_taken(tmp_path: Path) -> None:
    write_certificates(tmp_path, ("localhost", "127.0.0.1", "::1", "edge-1.example.org", "*.example.org"))
    assert (tmp_path / "server.key").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_cannot_be_is_named(tmp_path: Path, port: int) -> None:
    with pytest.raises(ConfigError, match="port: "), listening("127.0.0.1", port):
        pass
    with pytest.raises(ConfigError, match="port: "):
        connect("127.0.0.1", port, tmp_path, "device_0", frozenset(), 1.0)
    with pytest.raises(ConfigError, match="timeout_s: "):
        connect("127.0.0.1", 8443, tmp_path, "device_0", frozenset(), -1.0)
