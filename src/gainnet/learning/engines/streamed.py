"""A whole run of split learning over streams: `serve` on the edge, `join` on every device."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

from gainnet.core.errors import ConfigError, system_reason
from gainnet.core.run.loop import silent
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.fsl import SplitLearning, kinds_over
from gainnet.learning.clients import Client
from gainnet.learning.engines.asking import check_version, versions
from gainnet.learning.engines.averaged import join_averaging
from gainnet.learning.engines.returning import Missed, letting_back_in
from gainnet.learning.engines.stream import END, TurnsAtDevice, cut_off_on_failure, over_streams
from gainnet.learning.engines.turns import MAX_ROWS, MAX_STEPS, Admit, Member, blank_rows, check_rows
from gainnet.learning.exchange import KINDS, PRIVATE
from gainnet.learning.runner import Progress, Run
from gainnet.learning.session import Session
from gainnet.wire import Connection, accept, connect
from gainnet.wire.tls import AGAIN_S


@final
@dataclass(frozen=True)
class Traffic:
    """Traffic on the edge's sockets, before TLS.

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
    def of(connections: Iterable[Connection]) -> Traffic:
        """The sum over connections of the edge."""
        counts = ((c.num_bits_received, c.num_bits_sent, c.num_bytes_received, c.num_bytes_sent) for c in connections)
        return Traffic(*(sum(column) for column in zip(*counts, strict=True)))


def serve(
    session: Session,
    offered: Mapping[str, Any],
    listener: socket.socket,
    keys: Path,
    timeout_s: float,
    out: Path | None = None,
    progress: Progress = silent,
    max_rows: int = MAX_ROWS,
) -> tuple[Run, Traffic]:
    """All rounds on the edge, once every device has come; a device that fails has fallen away until it comes again.

    Args:
        session: who learns what, opened before the listener is: who connects would wait while a model is loaded.
        offered: settings as the devices are sent them, as JSON.
        listener: where devices connect.
        keys: folder of `write_certificates`.
        timeout_s: to wait for the devices, and for every answer.
        out: folder for checkpoint and records; nowhere when `None`.
        progress: called after every round.
        max_rows: of text that a device may say it has, which is what it counts in an average.

    Raises:
        ConfigError: it is not split learning, devices do not come in time, or `out` holds another run.
    """
    algorithm = over_streams(session.algorithm, {})  # refused before anybody connects
    names = tuple(client.name for client in session.clients)
    kinds = kinds_over([algorithm.cut])
    connections = accept(listener, keys, names, kinds, timeout_s)
    there = list(connections.values())
    try:
        clients = _introduce(connections, offered, session.test_rows.shape[1], timeout_s, max_rows)
        settings = {key: str(value) for key, value in session.settings.items()} | {"engine": "stream"}
        missed = Missed(connections)
        streamed = replace(over_streams(algorithm, connections), place=missed)
        rows = {client.name: len(client.rows) for client in clients}
        with letting_back_in(listener, keys, offered, rows, connections, there, kinds, timeout_s):
            there_is = replace(session, algorithm=streamed, clients=tuple(clients), settings=settings)
            run = there_is.run(out, progress, missed.of_round)
        for name in list(connections):
            with cut_off_on_failure(connections, name) as connection:
                connection.send_words(END)
    finally:
        for connection in there:
            connection.close()
    return run, Traffic.of(there)


def join(
    host: str,
    port: int,
    keys: Path,
    name: str,
    admit: Admit,
    allow_labels: bool,
    timeout_s: float,
    max_steps: int = MAX_STEPS,
    show: Callable[[str], None] = lambda summary: None,
    kept: Path | None = None,
) -> Traffic:
    """A device's part of a run, until the edge ends it; traffic as the device sees it, up is what it has sent.

    Args:
        host: of the edge.
        port: of the edge.
        keys: folder with the device's own keys.
        name: of the device, as in its certificate.
        admit: makes this device's side of the run, by its own terms.
        allow_labels: whether labels, which are the text of a causal model, may leave the device.
        timeout_s: to connect, and for every answer.
        max_steps: mini-batches that the edge may ask for in a turn.
        show: called with what this device is about to run.
        kept: folder for updates that were sent, where the run averages.

    Raises:
        ConfigError: the edge is not there, turns this device away, asks for what the terms exclude, wants labels that
            may not leave, or ends before the run does.
    """
    allowed, dialled = KINDS if allow_labels else PRIVATE, list[Connection]()

    def dial() -> Connection:
        # An edge that is not there yet, or not yet again, is waited for.
        dialled.append(connect(host, port, keys, name, allowed, timeout_s, timeout_s))
        return dialled[-1]

    connection = dial()
    try:
        offered = _offered(connection, name)
        member = admit(offered, name)
        show(member.summary)
        if isinstance(member.algorithm, SplitLearning):
            _serve_turns(member, connection, dial, offered, allow_labels, max_steps, timeout_s)
        elif kept is None:
            raise ConfigError("kept: a run of averaging needs a folder for what this device sends; give one")
        else:
            # Each connection of a member begins with a greeting of its own.
            connection.close()
            join_averaging(dial, member, offered, kept, timeout_s)
    except OSError as error:
        raise ConfigError(
            f"host: the edge is gone before the end of the run ({system_reason(error)}); see what it says"
        ) from None
    finally:
        for each in dialled:
            each.close()
    ours = Traffic.of(dialled)
    return Traffic(ours.num_bits_down, ours.num_bits_up, ours.num_bytes_down, ours.num_bytes_up)


def _offered(connection: Connection, name: str) -> Any:
    """Settings of the run, the first thing that an edge says."""
    try:
        words = connection.receive_words()
    except OSError as error:
        # In TLS 1.3 a device is through with its handshake before the edge has seen its certificate.
        raise ConfigError(
            f"keys: the edge has turned {name} away or is gone ({system_reason(error)}); see its keys"
        ) from None
    return _config_in(words)


def _config_in(words: Mapping[str, Any]) -> Any:
    check_version(words)
    if "config" not in words:
        raise ConfigError("config: the edge does not send it; both sides must run the same version")
    return words["config"]


def _serve_turns(
    member: Member,
    connection: Connection,
    dial: Callable[[], Connection],
    offered: object,
    allow_labels: bool,
    max_steps: int,
    timeout_s: float,
) -> None:
    """A device's part of split learning; it comes again whenever the edge is gone.

    Raises:
        ConfigError: labels would leave that may not, or the edge comes back with other settings.
        OSError: it stays away.
    """
    algorithm = over_streams(member.algorithm, {})
    if kinds_over([algorithm.cut]) > PRIVATE and not allow_labels:
        raise ConfigError(f"cut: {algorithm.cut.name} takes the labels off this device; allow it or cut as u_shape")
    turns, again, gone_s = TurnsAtDevice.of(algorithm, member.client), False, 0.0
    while True:
        began_s = time.monotonic()
        try:
            if again:
                connection = dial()
                if _config_in(connection.receive_words()) != offered:
                    raise ConfigError("config: the edge has come back with other settings; join anew")
            connection.send_words({"num_rows": len(member.client.rows), **versions()})
            # The others take their turns first, and each may be as slow as this one.
            return turns.serve(connection, max_steps, timeout_s * (len(algorithm.network.nodes) - 1))
        except OSError as error:
            connection.close()
            # Counted from the last connection that lasted: an edge that hangs up again and again at once is gone.
            gone_s += time.monotonic() - began_s + AGAIN_S
            gone_s = 0.0 if time.monotonic() - began_s > 10 * AGAIN_S else gone_s
            if gone_s > timeout_s:
                raise
            logging.getLogger(__name__).warning("the edge has hung up (%s); coming again", error)
        again = True
        time.sleep(AGAIN_S)


def _introduce(
    connections: dict[NodeId, Connection], offered: Mapping[str, Any], row_length: int, timeout_s: float, max_rows: int
) -> list[Client]:
    """Clients as the edge knows them: how many rows each has; whoever does not say it properly is cut off.

    Raises:
        ConfigError: nobody is left.
    """
    rows = dict.fromkeys(sorted(connections), 1)
    names, reasons, end_s = tuple(rows), dict[NodeId, str](), time.monotonic() + timeout_s
    # All are sent the settings before any answer is waited for: devices load their models at the same time.
    for name in names:
        with cut_off_on_failure(connections, name, reasons) as connection:
            connection.send_words({"config": offered, **versions()})
    for name in tuple(connections):
        with cut_off_on_failure(connections, name, reasons) as connection:
            # One wait for all: devices that say nothing do not add up.
            words = connection.receive_words(max(0.1, end_s - time.monotonic()))
            check_version(words)
            rows[name] = check_rows(words.get("num_rows"), max_rows)
    if not connections:
        said = "; ".join(f"{name} left before the first round ({reason})" for name, reason in sorted(reasons.items()))
        raise ConfigError(f"clients: {said}; see what they say")
    # Who was cut off stays a client that is never there: the others keep their places in the order of every round.
    return [Client(name, blank_rows(rows[name], row_length)) for name in names]
