"""A whole run of averaging over streams: `serve_averaging` on the edge, `join_averaging` on every device."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.run.loop import silent
from gainnet.learning.algorithms.flora import as_averaging
from gainnet.learning.engines.answering import Respondent
from gainnet.learning.engines.asking import Roll
from gainnet.learning.engines.attending import OwnText, attend
from gainnet.learning.engines.gathering import Gathering
from gainnet.learning.engines.guarding import guarded_elsewhere
from gainnet.learning.engines.remote import elsewhere
from gainnet.learning.engines.turns import MAX_ROWS, Member, blank_rows
from gainnet.learning.runner import Progress, Run
from gainnet.learning.safeguards.accounting import Guarantee
from gainnet.learning.safeguards.notes import Notes
from gainnet.learning.safeguards.own_record import OwnRecord
from gainnet.learning.safeguards.own_sums import OwnSums
from gainnet.learning.safeguards.releases import Releases
from gainnet.learning.safeguards.settings import Guards
from gainnet.learning.session import Session
from gainnet.wire import Connection


@final
@dataclass(frozen=True)
class Served:
    """Result of a run of averaging over streams.

    Args:
        run: state and rounds.
        connections: that there were, for their counts of bytes.
        guarantee: of privacy, after what devices say that they have drawn; `None` without.
    """

    run: Run
    connections: tuple[Connection, ...]
    guarantee: Guarantee | None


def serve_averaging(
    session: Session,
    offered: Mapping[str, Any],
    listener: socket.socket,
    keys: Path,
    timeout_s: float,
    out: Path | None,
    progress: Progress = silent,
    max_rows: int = MAX_ROWS,
    pinned: Mapping[str, str] | None = None,
) -> Served:
    """All rounds with devices that train in their own processes, and may die and come again; so may this one.

    Args:
        session: who learns what; with safeguards, the rule and noise of the edge are applied here; devices draw the
            noise of their rows, mask their updates and sign them themselves.
        offered: settings as the devices are sent them, as JSON.
        listener: where devices connect.
        keys: folder of `write_certificates`.
        timeout_s: to wait for the devices, and for the answers of a round.
        out: folder for checkpoint and records; nowhere when `None`.
        progress: called after every round.
        max_rows: of text that a device may say it has, which is what it counts in an average.
        pinned: public keys of the devices, as known from elsewhere; the first that each says counts when `None`.

    Raises:
        ConfigError: the algorithm does not average, devices do not come in time, or `out` holds another run.
    """
    names = tuple(client.name for client in session.clients)
    averaging = as_averaging(session.algorithm)  # refused before anybody connects
    safeguards = session.safeguards
    elsewhere(averaging if safeguards is None else safeguards.without_record(averaging, out), lambda *_: {})
    guards = Guards() if safeguards is None else safeguards.guards
    gathering = Gathering(listener, keys, offered, names, timeout_s)
    roll = Roll(gathering.ask, averaging.kind, max_rows, guards.masked)
    try:
        gathering.wait_for(names)
        algorithm = guarded_elsewhere(averaging, safeguards, roll, names, out, pinned)
        # The edge knows the names of its clients and none of their text.
        clients = tuple(replace(client, rows=blank_rows(1, session.test_rows.shape[1])) for client in session.clients)
        settings = {**session.settings, "engine": "stream"}
        there = replace(session, algorithm=algorithm, clients=clients, settings=settings, safeguards=None)
        run = there.run(out, progress, lambda: roll.left_out)
    finally:
        gathering.close()
    spent = None if safeguards is None else safeguards.spent_elsewhere(out, roll.num_events)
    return Served(run, tuple(gathering.connections), spent)


def join_averaging(
    dial: Callable[[], Connection],
    member: Member,
    offered: object,
    kept: Path,
    patience_s: float,
) -> None:
    """A device's part of a run of averaging, until the edge ends it.

    Args:
        dial: a new connection to the edge.
        member: this device's side of the run.
        offered: settings that it was made of; an edge that comes back with others is refused.
        kept: folder for what is sent, so that a device that died sends the same again.
        patience_s: how long the edge may be away.

    Raises:
        ConfigError: the edge stays away, or comes back with other settings.
    """
    respondent = respondent_of(member, offered, kept)

    def admit(words: object) -> Respondent:
        if words != offered:
            raise ConfigError("config: the edge has come back with other settings; join anew")
        return respondent

    attend(dial, admit, patience_s)


def respondent_of(member: Member, offered: object, kept: Path | None) -> Respondent:
    """Who answers an edge for a device.

    Args:
        member: the device's side of the run.
        offered: settings that it was made of.
        kept: folder of its signing key, and of what it sends, by run; nothing is kept when `None`.

    Raises:
        ConfigError: the algorithm does not train elsewhere, or safeguards need what is to be kept.
    """
    algorithm, name, guards = elsewhere(member.algorithm, lambda *_: {}), member.client.name, member.guards
    if kept is None and guards != Guards():
        raise ConfigError("kept: safeguards need a folder for keys and for what was sent; give this device one")
    # By its settings: an update of another run that began alike is no update of this one.
    run = hashlib.sha256(json.dumps(offered, sort_keys=True).encode()).hexdigest()[:16]
    folder = None if kept is None else kept / f"{name}.{run}"
    notes, record = Notes(folder), None
    if kept is not None and folder is not None and guards.recorded:
        record = OwnRecord(name, kept, folder, notes, member.edge_key)
    like, part = algorithm.on_the_air(algorithm.init(Random.of(0))), OwnText(algorithm, member.client)
    sums = OwnSums(notes) if guards.masked else None
    return Respondent(name, part, like, algorithm.kind, Releases(folder), sums, record, member.cost)
