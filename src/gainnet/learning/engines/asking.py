"""The edge's side of rounds whose members are elsewhere: what it asks them, and how their answers are read.

edge ==question: words, values==> members ==answer: words, values==> edge; over streams or over Flower
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final, final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError, PayloadError
from gainnet.core.outside import read_integer, read_list, read_text, shorten
from gainnet.core.randomness import Random
from gainnet.core.run.checkpoint import fingerprint
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.algorithm import State
from gainnet.learning.algorithms.fedavg import Trained, weighing
from gainnet.learning.engines.turns import MAX_ROWS, check_rows
from gainnet.learning.safeguards.incentives import MAX_COST
from gainnet.learning.safeguards.own_sums import LONGEST_NAME, MAX_MEMBERS, PUBLIC_BYTES

VERSION: Final = 2
"""Of the words between the two sides."""
MAX_EVENTS: Final = 1_000_000_000
STEP: Final = "step"
"""Word that says what is asked for."""
REFUSED: Final = "refused"
"""Word of an answer without values: why there is none."""
PIECES: Final = "pieces"


@final
@dataclass(frozen=True)
class Question:
    """A question to one member, and how its answer is read.

    Args:
        words: as JSON.
        read: makes an object of the answer's words and values, or raises `PayloadError`.
        down: (kind of payload, values) that go with the words; none when `None`.
        up: (kind of payload, names and shapes) of the values that have to come back; none when `None`.
    """

    words: Mapping[str, Any]
    read: Callable[[Mapping[str, Any], State], Any]
    down: tuple[str, State] | None = None
    up: tuple[str, State] | None = None

    def answered(self, words: Mapping[str, Any], values: State | None) -> Any:
        """Object that an answer stands for.

        Args:
            words: that came back.
            values: that came with them; `None` where the words say that it was refused.

        Raises:
            PayloadError: it was refused, or the answer is malformed.
        """
        if REFUSED in words:
            raise PayloadError(f"answer: refused; {read_text(words[REFUSED], REFUSED, 256)}")
        found = {} if values is None else values
        # Said and sent are compared, so that what is acknowledged is what the member has meant.
        if self.up is not None and words.get("update") != fingerprint(found):
            raise PayloadError("digest: the update is not the one that it was said to be")
        return self.read(words, found)


Reach = Callable[[Mapping[NodeId, Question]], Mapping[NodeId, Any]]
"""Asks several members at once, and gives what was read of their answers; whoever is missing did not answer in time."""


@final
@dataclass(frozen=True)
class _Training:
    """Answer of a member to a round of training."""

    values: State
    num_rows: int
    num_events: int
    left_out: tuple[NodeId, ...]
    public: bytes
    cost: float


@final
class Roll:
    """Members elsewhere as the rounds of an algorithm see them: `Ask`, and who was left out.

    Nothing of a round is kept here: after a death of this process the round is asked anew, and members send again what
    they have kept.

    Args:
        reach: asks them.
        kind: of payload.
        max_rows: of text that a member may say it has.
        hides: whether updates stay with the members until they are masked.
        forgets: whether members are asked by messages that know nothing of each other, so that each brings the start of
            the round along.
    """

    def __init__(
        self, reach: Reach, kind: str, max_rows: int = MAX_ROWS, hides: bool = False, forgets: bool = False
    ) -> None:
        self._reach, self.kind, self._max_rows, self._hides, self.forgets = reach, kind, max_rows, hides, forgets
        self.publics: dict[NodeId, bytes] = {}
        self.costs: dict[NodeId, float] = {}
        self.given = ""
        self.num_events = 0
        self._missed: set[NodeId] = set()
        self._banned: set[NodeId] = set()

    @property
    def left_out(self) -> tuple[NodeId, ...]:
        """Who was asked in the last round, and is not in its state."""
        return tuple(sorted(self._missed))

    @property
    def present(self) -> tuple[NodeId, ...]:
        """Who has answered everything that it was asked in the last round."""
        return tuple(sorted(self.publics.keys() - self._missed))

    def __call__(self, names: Sequence[NodeId], values: State, random: Random) -> Mapping[NodeId, Trained]:
        """As `Ask`: answers of those who answer in time; without values where these are hidden."""
        (random_seed,) = random.random_seeds
        self.given = fingerprint(values)
        words = {STEP: "train", "num_steps": 0, "random_seed": random_seed, "path": list(random.path)}
        words |= {"state": self.given}
        up = {"public": blank(PUBLIC_BYTES)} if self._hides else values
        question = Question(words, self._read, (self.kind, values), ("keys" if self._hides else self.kind, up))
        self._missed = set()
        found: Mapping[NodeId, _Training] = self.ask(dict.fromkeys(names, question))
        self.miss(set(names) - found.keys())
        self._missed |= {name for answer in found.values() for name in answer.left_out}
        self.num_events = max([self.num_events, *(answer.num_events for answer in found.values())])
        self.publics = {name: answer.public for name, answer in found.items()}
        self.costs = {name: answer.cost for name, answer in found.items()}
        return {name: Trained(each.values, weighing(name, each.num_rows)) for name, each in found.items()}

    def ask(self, questions: Mapping[NodeId, Question]) -> Mapping[NodeId, Any]:
        """As `Reach`, without those who were found out."""
        return self._reach({name: question for name, question in questions.items() if name not in self._banned})

    def miss(self, names: Collection[NodeId]) -> None:
        """Counts members as left out of this round."""
        self._missed |= {*names}

    def ban(self, name: NodeId, reason: Exception) -> None:
        """Asks a member for nothing any more in this run."""
        logging.getLogger(__name__).warning("%s is left out from now on: %s", name, reason)
        self._banned.add(name)
        self._missed.add(name)

    def _read(self, words: Mapping[str, Any], values: State) -> _Training:
        if words.get("state") != self.given:
            raise PayloadError("digest: the update is not of the state that was sent")
        names = [
            NodeId(read_text(each, "left_out", LONGEST_NAME))
            for each in read_list(words.get("left_out"), "left_out", MAX_MEMBERS)
        ]
        num_events = read_integer(words.get("num_events"), "num_events", 0, MAX_EVENTS)
        num_rows = check_rows(words.get("num_rows"), self._max_rows)
        public = bytes_of(values["public"]) if self._hides else b""
        cost = words.get("cost", 0.0)
        if not isinstance(cost, float) or not 0.0 <= cost <= MAX_COST:
            raise PayloadError(f"cost: must be a number from 0 to {MAX_COST:g}, not {shorten(cost)}")
        return _Training({} if self._hides else values, num_rows, num_events, tuple(names), public, cost)


def versions() -> dict[str, Any]:
    """First words of both sides: the version of the words, and that of the package, which trains and draws alike."""
    return {"version": VERSION, "gainnet": version("gainnet")}


def check_version(words: Mapping[str, Any]) -> None:
    """Raises `ConfigError` unless the other side says the same versions."""
    for name, own in versions().items():
        if (said := words.get(name)) != own:
            there = shorten(said)
            raise ConfigError(f"{name}: the other side has {there} and this one {own!r}; install the same on both")


def blank(*shape: int) -> Tensor:
    """Octets of a shape, which say how much has to come."""
    return torch.zeros(shape, dtype=torch.uint8)


def bytes_of(octets: Tensor) -> bytes:
    """The bytes of [num_bytes] uint8."""
    return octets.numpy().tobytes()


def pieces_of(pieces: Collection[bytes]) -> dict[str, Tensor]:
    """Pieces of equal length as they cross: [num_pieces, num_bytes] uint8 by their name.

    >>> pieces_of([b"ab", b"cd"])["pieces"].shape
    torch.Size([2, 2])
    """
    return {PIECES: torch.stack([torch.frombuffer(bytearray(piece), dtype=torch.uint8) for piece in pieces])}


def cut_of(values: State) -> list[bytes]:
    """The inverse of `pieces_of`."""
    return [bytes_of(row) for row in values[PIECES]]
