"""Devices of split learning that died and come again while rounds go on: they take part from their next turn on."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, final

from gainnet.core.errors import PayloadError
from gainnet.core.outside import reading
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.algorithm import State
from gainnet.learning.algorithms.fsl import Turn
from gainnet.learning.engines.asking import check_version, versions
from gainnet.learning.engines.stream import OverConnections
from gainnet.wire import Connection, Reception

_LOOK_S: Final = 0.5


@final
@dataclass(frozen=True)
class Missed:
    """As `OverConnections`, and who was missed in a round.

    Args:
        connections: to the devices that are there, by name.
    """

    connections: MutableMapping[NodeId, Connection]
    _names: set[NodeId] = field(default_factory=set, init=False, repr=False)

    def __call__(self, turn: Turn) -> State | None:
        """As `Place`."""
        held = OverConnections(self.connections)(turn)
        if held is None:
            self._names.add(turn.client.name)
        return held

    def of_round(self) -> tuple[NodeId, ...]:
        """Devices that failed in their turn, or were not there, since this was called last."""
        names = tuple(sorted(self._names))
        self._names.clear()
        return names


@contextlib.contextmanager
def letting_back_in(
    listener: socket.socket,
    keys: Path,
    offered: Mapping[str, Any],
    rows: Mapping[NodeId, int],
    connections: MutableMapping[NodeId, Connection],
    there: list[Connection],
    allowed: frozenset[str],
    timeout_s: float,
) -> Iterator[None]:
    """A block during which devices may come again; who does is as it was before.

    Args:
        listener: where they connect.
        keys: folder of `write_certificates`.
        offered: settings as they are sent them.
        rows: of text that each has said to have; another number is refused.
        connections: of the devices that are there, by name; changes.
        there: all connections that there were; grows.
        allowed: kinds of payload that may cross.
        timeout_s: of every frame.
    """
    reception, is_over = Reception.of(listener, keys), threading.Event()

    def welcome(name: NodeId, stream: socket.socket) -> None:
        connection = _greeted(name, stream, offered, rows[name], allowed, timeout_s)
        if connection is None:
            return
        there.append(connection)
        # The last one counts: who has died may not have been missed here yet.
        before, connections[name] = connections.get(name), connection
        if before is not None:
            before.close()

    def stand() -> None:
        while not is_over.is_set():
            for name, stream in reception.arrivals(_LOOK_S):
                if name not in rows:
                    stream.close()
                    continue
                # In a thread each: one that says nothing keeps nobody else out.
                threading.Thread(target=welcome, args=(name, stream), daemon=True).start()

    doorman = threading.Thread(target=stand, daemon=True)
    doorman.start()
    try:
        yield
    finally:
        is_over.set()
        doorman.join()
        reception.close()


def _greeted(
    name: NodeId,
    stream: socket.socket,
    offered: Mapping[str, Any],
    num_rows: int,
    allowed: frozenset[str],
    timeout_s: float,
) -> Connection | None:
    """A connection to a device that agrees and is as it was before; `None` for any other, which is turned away."""
    stream.settimeout(timeout_s)
    connection = Connection(stream, allowed)
    try:
        with reading(f"stream: {name}"):
            connection.send_words({"config": offered, **versions()})
            words = connection.receive_words()
            check_version(words)
            if words.get("num_rows") != num_rows:
                raise PayloadError(f"num_rows: it had {num_rows} rows before, and has another number now")
    except (OSError, ValueError) as error:
        logging.getLogger(__name__).warning("%s is turned away: %s", name, error)
        connection.close()
        return None
    return connection
