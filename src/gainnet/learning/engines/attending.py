"""The lower side of averaging between processes: a member that answers rounds, keeps what it sends, and comes again."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from gainnet.core.errors import ConfigError, PayloadError, system_reason
from gainnet.core.randomness import Random
from gainnet.core.run.loop import silent
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.algorithm import Rule, State
from gainnet.learning.algorithms.fedavg import FedAvg, Place, Trained, on_this_machine, weighing
from gainnet.learning.algorithms.fpl import Fpl
from gainnet.learning.clients import Client
from gainnet.learning.engines.answering import Respondent
from gainnet.learning.engines.asking import REFUSED, Roll, check_version, versions
from gainnet.learning.engines.gathering import Tap
from gainnet.wire import Connection

_PAUSE_S = 0.05


@final
@dataclass(frozen=True)
class OwnText:
    """The part of a device: it trains on its own text.

    Args:
        algorithm: as the edge has it.
        client: this device.
    """

    algorithm: FedAvg | Fpl
    client: Client

    def answer(self, given: State, random: Random) -> Trained:
        """As `Part.answer`."""
        return Trained(self.algorithm.train_client(self.client, given, random), self.client)

    def left_out(self) -> tuple[NodeId, ...]:
        """As `Part.left_out`: it has none."""
        return ()

    def num_events(self, own: int) -> int:
        """As `Part.num_events`."""
        return own


@final
@dataclass(frozen=True)
class OwnMembers:
    """The part of an edge below a cloud: it asks its devices, and merges what they answer.

    Args:
        name: of the edge.
        roll: reaches the devices.
        names: of the devices.
        rule: how the edge merges.
    """

    name: NodeId
    roll: Roll
    names: tuple[NodeId, ...]
    rule: Rule

    def answer(self, given: State, random: Random) -> Trained:
        """As `Part.answer`; it waits until anybody is there."""
        found: Mapping[NodeId, Trained] = {}
        while not found:
            found = self.roll(self.names, given, random)
        return merged_at(self.name, self.rule, given, found, random)

    def left_out(self) -> tuple[NodeId, ...]:
        """As `Part.left_out`."""
        return self.roll.left_out

    def num_events(self, own: int) -> int:
        """As `Part.num_events`; an edge draws none."""
        return self.roll.num_events


def merged_at(name: NodeId, rule: Rule, given: State, answers: Mapping[NodeId, Trained], random: Random) -> Trained:
    """Result of the answers of an edge's devices, as it is sent on: in the type of the air, weighing all of them.

    Args:
        name: of the edge.
        rule: how it merges.
        given: what the round begins with, in the type of the air.
        answers: of its devices, at least one.
        random: of the round.
    """
    # By name: sums of floating-point numbers must not depend on who was faster.
    arrived = [(answers[each].client, answers[each].values) for each in sorted(answers)]
    merged = rule(given, arrived, random)
    return Trained(merged.state, weighing(name, sum(len(client.rows) for client, _ in arrived)))


def through_edges(members: Mapping[NodeId, Sequence[Client]], rule: Rule) -> Place:
    """A `Place` of edges below a cloud, all in this process: what `OwnMembers` computes between processes.

    Args:
        members: devices with their text, by the name of their edge.
        rule: how an edge merges.
    """

    def place(algorithm: Any, given: Mapping[Client, State], values: State, random: Random) -> Mapping[NodeId, Trained]:
        found = {}
        for edge, held in given.items():
            answers = on_this_machine(algorithm, dict.fromkeys(members[edge.name], held), values, random)
            found[edge.name] = merged_at(edge.name, rule, held, answers, random)
        return found

    return place


def attend(
    dial: Callable[[], Connection],
    admit: Callable[[object], Respondent],
    patience_s: float,
    tap: Tap = silent,
) -> None:
    """A member's side of a run until its end; after every death of the other side it comes again.

    Args:
        dial: a new connection.
        admit: makes of the settings that came who answers.
        patience_s: how long the other side may be away.
        tap: see `Tap`.

    Raises:
        ConfigError: the other side stays away, or has asked for what this member excludes.
    """
    last_s = time.monotonic()
    while True:
        try:
            with contextlib.closing(dial()) as connection:
                words = connection.receive_words(patience_s)
                check_version(words)
                respondent = admit(words.get("config"))
                connection.send_words(versions())
                while (words := connection.receive_words(patience_s)) != {"end": True}:
                    _answer(respondent, connection, words, tap)
                    last_s = time.monotonic()
                return
        except OSError as error:
            if time.monotonic() - last_s > patience_s:
                raise ConfigError(
                    f"host: the edge is gone before the end ({system_reason(error)}); see what it says"
                ) from None
        time.sleep(_PAUSE_S)


def _answer(respondent: Respondent, connection: Connection, words: Mapping[str, Any], tap: Tap) -> None:
    brought = respondent.expects(words)
    given = None if brought is None else connection.receive_file(*brought)
    said, file = respondent.answer(words, given)
    connection.send_words(said)
    tap("sending")
    if file is not None:
        connection.send_file(*file)
    receipt = connection.receive_words()
    if receipt.get("received") != said.get("update"):
        raise PayloadError("receipt: the edge has received something else")
    if receipt.get("counts") is not True and REFUSED not in said:
        logging.getLogger(__name__).warning("an answer came too late, and does not count in this round")
