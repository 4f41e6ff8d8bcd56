"""The member's side of rounds that an edge elsewhere leads: what it answers, whoever carries the messages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, final

import numpy as np
import torch

from gainnet.core.errors import PayloadError, PlanError
from gainnet.core.outside import read_list, reading, shorten
from gainnet.core.randomness import Random
from gainnet.core.run.checkpoint import fingerprint
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.algorithm import State
from gainnet.learning.algorithms.fedavg import Trained
from gainnet.learning.engines.asking import PIECES, REFUSED, STEP, blank, cut_of, pieces_of
from gainnet.learning.engines.turns import read_turn
from gainnet.learning.safeguards.own_record import OwnRecord
from gainnet.learning.safeguards.own_sums import MAX_MEMBERS, PUBLIC_BYTES, SEALED_BYTES, OwnSums
from gainnet.learning.safeguards.releases import Releases

_WORDS = "words"
"""Name of the octets, beside the values of an update, that say what was said with it."""

File = tuple[str, State]
"""(kind of payload, values) that cross with words."""


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
class Respondent:
    """A member and what it keeps, as it answers an edge.

    An update is written down before it is sent, and a round that is asked again is answered with the same bytes, so
    that noise is drawn once.

    Args:
        name: of the member.
        part: of every round.
        like: names and shapes of what crosses, in the type of the air.
        kind: of payload.
        kept: what it has sent.
        sums: masks what it sends, of which nothing else leaves it then; in the open when `None`.
        record: signs what it sends; nothing is signed when `None`.
        cost: of a round, as it reports it, in nats per token that the loss should fall by for it.
    """

    name: NodeId
    part: Part
    like: State
    kind: str
    kept: Releases
    sums: OwnSums | None = None
    record: OwnRecord | None = None
    cost: float = 0.0
    _round: dict[str, State] = field(default_factory=dict, init=False, repr=False)

    def expects(self, words: Mapping[str, Any]) -> File | None:
        """(kind, names and shapes) of the values that come with words; `None` where none do.

        Raises:
            PayloadError: the words are malformed.
        """
        step = words.get(STEP)
        if step == "train":
            return self.kind, self.like
        if step in ("shares", "opened"):
            num_bytes = PUBLIC_BYTES if step == "shares" else SEALED_BYTES
            many = len(read_list(words.get("numbers"), "numbers", MAX_MEMBERS))
            return ("keys" if step == "shares" else "shares"), {PIECES: blank(many, num_bytes)}
        if step == "masked" and words.get("brings_start") is True:
            # It may come in a larger type than what is on the air.
            return self.kind, {name: x.new_empty(x.shape, dtype=torch.float64) for name, x in self.like.items()}
        return None

    def answer(self, words: Mapping[str, Any], given: State | None) -> tuple[dict[str, Any], File | None]:
        """(words, what goes with them) in answer.

        Args:
            words: of the question.
            given: that came with them.

        Raises:
            PayloadError: the words are malformed.
            ConfigError: they ask for what this member excludes.
        """
        held = {} if given is None else given
        try:
            if words.get(STEP) == "train":
                said, file = self._train(words, held)
            else:
                with reading(f"{STEP}: {shorten(words.get(STEP))}"):
                    said, file = self._answered(words, held)
        except PlanError as error:
            # What would say more than an honest edge asks for is declined; the run goes on without it.
            return {REFUSED: str(error)[:256]}, None
        return said if file is None else {**said, "update": fingerprint(file[1])}, file

    def _answered(self, words: Mapping[str, Any], given: State) -> tuple[dict[str, Any], File | None]:
        step, sums, record = words.get(STEP), self.sums, self.record
        if sums is not None and step == "shares":
            return {}, ("shares", pieces_of(sums.shares(words, cut_of(given))))
        if sums is not None and step == "opened":
            return {"damaged": sums.opened(words, cut_of(given))}, None
        if sums is not None and step == "masked":
            values, said = self._kept()
            ring = sums.masked(words, float(said["num_rows"]), self._start(words, given), values)
            return {}, (self.kind, {"ring": torch.from_numpy(ring.view(np.int32))})
        if sums is not None and step == "revealed":
            return {}, ("shares", pieces_of(sums.revealed(words)))
        if record is not None and step == "enrol":
            return record.enrol(words), None
        if record is not None and step == "sign":
            values, said = self._kept()
            return record.sign(words, float(said["num_rows"]), values), None
        if record is not None and step in ("receipt", "head"):
            record.keep(words)
            return {}, None
        raise PayloadError(f"{STEP}: the edge asks for what was not agreed on at joining")

    def _train(self, words: Mapping[str, Any], given: State) -> tuple[dict[str, Any], File | None]:
        _, random = read_turn(words, 0)
        if words.get("state") != fingerprint(given):
            raise PayloadError("digest: the state is not the one that it was said to be")

        def make() -> State:
            trained = self.part.answer(given, random)
            said: dict[str, Any] = {"num_rows": len(trained.client.rows), "left_out": list(self.part.left_out())}
            said["num_events"] = self.part.num_events(self.kept.num_events())
            # With the values in one file: a retry says the same about them.
            octets = torch.frombuffer(bytearray(json.dumps(said).encode()), dtype=torch.uint8)
            return {**trained.values, _WORDS: octets}

        found = self.kept.once(self.name, given, make)
        self._round.update(given=given, found=found)
        values, said = _parted(found)
        said |= {"state": words["state"], "cost": self.cost}
        if self.sums is None:
            return said, (self.kind, values)
        # Nothing that says anything about the update: a digest of it would confirm a guess.
        place = json.dumps([words["state"], words["random_seed"], words["path"]])
        public = self.sums.begin(place)
        return said, ("keys", {"public": torch.frombuffer(bytearray(public), dtype=torch.uint8)})

    def _kept(self) -> tuple[State, dict[str, Any]]:
        """Values of the last round, and what was said with them; also after a death."""
        found = self._round.get("found") or self.kept.last(self.name)
        if found is None:
            raise PlanError("update: this member has none of the round; it sits this one out")
        return _parted(found)

    def _start(self, words: Mapping[str, Any], given: State) -> State:
        if words.get("brings_start") is True:
            return given
        if "given" not in self._round:
            raise PlanError("start: this member has begun anew since; it sits this round out")
        return self._round["given"]


def _parted(found: State) -> tuple[State, dict[str, Any]]:
    """(values, words) of what is kept in one file."""
    return {name: x for name, x in found.items() if name != _WORDS}, json.loads(found[_WORDS].numpy().tobytes())
