"""A whole run of split learning over streams: `serve` on the edge, `join` on every device."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, final

import torch

from gainnet.core.errors import ConfigError, PayloadError
from gainnet.core.types import NodeId
from gainnet.learning.clients import Client, devices_of
from gainnet.learning.config import LearnConfig, Session, config_of, open_model, open_session, texts_of
from gainnet.learning.payloads import KINDS, PRIVATE
from gainnet.learning.runner import Progress, Run, run_rounds, silent
from gainnet.learning.stream import accept, allowed_on, connect, over_streams, serve_turns
from gainnet.learning.wire import Wire
from gainnet.models.language import pack


@final
@dataclass(frozen=True)
class Traffic:
    """What went through the edge's sockets, before TLS.

    Args:
        num_bits_up: payload from the devices.
        num_bits_down: payload to the devices.
        num_bytes_up: all bytes from the devices, framing included.
        num_bytes_down: all bytes to the devices, framing included.
    """

    num_bits_up: int
    num_bits_down: int
    num_bytes_up: int
    num_bytes_down: int

    @staticmethod
    def of(wires: Iterable[Wire]) -> Traffic:
        """The sum over wires of the edge."""
        ends = tuple(wires)
        return Traffic(
            sum(w.num_bits_received for w in ends),
            sum(w.num_bits_sent for w in ends),
            sum(w.num_bytes_received for w in ends),
            sum(w.num_bytes_sent for w in ends),
        )


def serve(
    config: LearnConfig,
    listener: socket.socket,
    keys: Path,
    timeout_s: float,
    out: Path | None = None,
    progress: Progress = silent,
) -> tuple[Run, Traffic]:
    """All rounds on the edge, once every device has come; a device that fails has fallen away.

    Args:
        config: who learns what and how; the devices are told.
        listener: where devices connect.
        keys: folder of `write_certificates`.
        timeout_s: to wait for the devices, and for every answer.
        out: folder for checkpoint and records; nowhere when `None`.
        progress: told after every round.

    Raises:
        ConfigError: it is not split learning, devices do not come in time, or `out` holds another run.
    """
    session = open_session(config)
    over_streams(session.algorithm, {})  # refused before anybody connects
    allowed = allowed_on(session.algorithm)  # type: ignore[arg-type]
    wires = accept(listener, keys, devices_of(config.clients), allowed, timeout_s)
    there = tuple(wires.values())
    try:
        clients = [_introduced(name, wire, config) for name, wire in sorted(wires.items())]
        run = _run(config, session, clients, wires, out, progress)
    finally:
        for wire in there:
            wire.close()
    return run, Traffic.of(there)


def join(
    host: str, port: int, keys: Path, name: str, texts: Path | None, allow_labels: bool, timeout_s: float
) -> Traffic:
    """A device's part of a run, until the edge ends it; traffic as the device sees it, up is what it has sent.

    Args:
        host: of the edge.
        port: of the edge.
        keys: folder with the device's own keys.
        name: of the device, as in its certificate.
        texts: the device's own text, one per line; its share of the synthetic abstracts when `None`.
        allow_labels: whether labels, which are the text of a causal model, may leave the device.
        timeout_s: to connect, and for every answer.

    Raises:
        ConfigError: the edge is not there, turns this device away, or wants labels that may not leave.
    """
    wire = connect(host, port, keys, name, KINDS if allow_labels else PRIVATE, timeout_s)
    try:
        config = config_of(wire.told()["config"])
        session = open_session(config)
        if allowed_on(session.algorithm) > PRIVATE and not allow_labels:  # type: ignore[arg-type]
            raise ConfigError(f"cut: {config.cut} takes the labels off this device; allow it or cut as u_shape")
        client = _own(session, config, NodeId(name), texts)
        wire.tell({"num_rows": len(client.rows)})
        serve_turns(session.algorithm, client, wire)  # type: ignore[arg-type]
    except (KeyError, OSError) as error:
        raise ConfigError(f"keys: the edge has turned {name} away or is gone ({error}); see its keys") from None
    finally:
        wire.close()
    return Traffic(wire.num_bits_sent, wire.num_bits_received, wire.num_bytes_sent, wire.num_bytes_received)


def _run(
    config: LearnConfig,
    session: Session,
    clients: list[Client],
    wires: dict[NodeId, Wire],
    out: Path | None,
    progress: Progress,
) -> Run:
    told: dict[str, Any] = {k: str(v) for k, v in asdict(config).items() if k not in ("rounds", "random_seed")}
    algorithm = over_streams(session.algorithm, wires)
    return run_rounds(
        algorithm,
        clients,
        session.test_rows,
        config.rounds,
        config.random_seed,
        out,
        told | {"engine": "stream"},
        progress,
    )


def _introduced(name: NodeId, wire: Wire, config: LearnConfig) -> Client:
    """A client as the edge knows it: how many rows it has, and none of what stands in them."""
    try:
        wire.tell({"config": asdict(config)})
        num_rows = wire.told().get("num_rows")
    except OSError as error:
        raise ConfigError(f"clients: {name} left before the first round ({error}); see what it says") from None
    if not isinstance(num_rows, int) or num_rows < 1:
        raise PayloadError(f"stream: {name} has {num_rows} rows")
    return Client(name, torch.zeros(1, dtype=torch.long).expand(num_rows, config.row_length))


def _own(session: Session, config: LearnConfig, name: NodeId, texts: Path | None) -> Client:
    if texts is None:
        return next(client for client in session.clients if client.name == name)
    (lines,), _ = texts_of(replace(config, texts=str(texts)))
    return Client(name, pack(lines, open_model(config.model)[1], config.row_length))
