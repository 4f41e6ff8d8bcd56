"""The lower side of averaging between processes: a member that answers rounds, keeps what it sends, and comes again."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, final

import torch

from gainnet.core.errors import ConfigError, PayloadError
from gainnet.core.randomness import Random
from gainnet.core.run.checkpoint import fingerprint
from gainnet.core.run.loop import silent
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.algorithm import Rule, State
from gainnet.learning.algorithms.fedavg import FedAvg, Place, Trained, on_this_machine, weighing
from gainnet.learning.algorithms.fpl import Fpl
from gainnet.learning.clients import Client
from gainnet.learning.engines.gathering import VERSION, Gathering, Tap, check_version
from gainnet.learning.engines.turns import read_turn
from gainnet.learning.safeguards.releases import Releases
from gainnet.wire import Connection

_WORDS = "words"
"""Name of the octets, beside the values of an update, that say what was said with it."""
_PAUSE_S = 0.05


class Part(Protocol):
    """A member's part of every round."""

    def answer(self, given: State, random: Random) -> Trained:
        """Values that it sends back.

        Args:
            given: what the round begins with, in the type of the air.
            random: of the round.
        """

    def left_out(self) -> tuple[NodeId, ...]:
        """Members of its own that have not answered the last time."""

    def num_events(self, own: int) -> int:
        """How often it, or whoever of its members did most often, has drawn noise; `own` is what its journal says."""


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
        gathering: reaches the devices.
        names: of the devices.
        rule: how the edge merges.
    """

    name: NodeId
    gathering: Gathering
    names: tuple[NodeId, ...]
    rule: Rule

    def answer(self, given: State, random: Random) -> Trained:
        """As `Part.answer`; it waits until anybody is there."""
        found: Mapping[NodeId, Trained] = {}
        while not found:
            found = self.gathering(self.names, given, random)
        return merged_at(self.name, self.rule, given, found, random)

    def left_out(self) -> tuple[NodeId, ...]:
        """As `Part.left_out`."""
        return self.gathering.left_out

    def num_events(self, own: int) -> int:
        """As `Part.num_events`; an edge draws none."""
        return self.gathering.num_events


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
    name: NodeId,
    dial: Callable[[], Connection],
    admit: Callable[[object], tuple[Part, State, str]],
    kept: Releases,
    patience_s: float,
    tap: Tap = silent,
) -> None:
    """A member's side of a run until its end; after every death of the other side it comes again.

    An update is written down before it is sent, and a round that is asked again is answered with the same bytes, so
    that noise is drawn once.

    Args:
        name: of this member.
        dial: a new connection.
        admit: makes of the settings that came (its part, names and shapes of what crosses, kind of payload).
        kept: what it has sent.
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
                part, like, kind = admit(words.get("config"))
                connection.send_words({"version": VERSION})
                while (words := connection.receive_words(patience_s)) != {"end": True}:
                    _answer(name, connection, words, (part, like, kind), kept, tap)
                    last_s = time.monotonic()
                return
        except OSError as error:
            if time.monotonic() - last_s > patience_s:
                raise ConfigError(f"host: the edge is gone before the end ({error}); see what it says") from None
        time.sleep(_PAUSE_S)


def _answer(
    name: NodeId,
    connection: Connection,
    words: Mapping[str, Any],
    own: tuple[Part, State, str],
    kept: Releases,
    tap: Tap,
) -> None:
    part, like, kind = own
    _, random = read_turn(words, 0)
    given = connection.receive_file(kind, like)
    if words.get("state") != fingerprint(given):
        raise PayloadError("digest: the state is not the one that it was said to be")

    def make() -> State:
        trained = part.answer(given, random)
        said: dict[str, Any] = {"num_rows": len(trained.client.rows), "left_out": list(part.left_out())}
        said["num_events"] = part.num_events(kept.num_events())
        # With the values in one file: a retry says the same about them.
        octets = torch.frombuffer(bytearray(json.dumps(said).encode()), dtype=torch.uint8)
        return {**trained.values, _WORDS: octets}

    found = dict(kept.once(name, given, make))
    said = json.loads(found.pop(_WORDS).numpy().tobytes())
    update = fingerprint(found)
    connection.send_words({**said, "state": words["state"], "update": update})
    tap("sending")
    connection.send_file(kind, found)
    if connection.receive_words().get("received") != update:
        raise PayloadError("receipt: the edge has received something else")
