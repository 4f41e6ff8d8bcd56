"""Members of a masked sum in other processes: the edge asks each for one step after the other."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch

from gainnet.core.errors import PayloadError
from gainnet.core.run.checkpoint import fingerprint
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.algorithm import State
from gainnet.learning.engines.asking import PIECES, STEP, Question, Roll, blank, cut_of, pieces_of
from gainnet.learning.safeguards.crowd import Summing
from gainnet.learning.safeguards.masking import SHARE_BYTES, Ring
from gainnet.learning.safeguards.member import Shares
from gainnet.learning.safeguards.own_sums import PUBLIC_BYTES, SEALED_BYTES, read_numbers

_RING = "ring"


@final
@dataclass(frozen=True)
class Distant:
    """As `Crowd`; whoever is silent, refuses or sends what cannot be read falls out of the sum.

    Args:
        roll: reaches the members, and has their public keys.
        summing: what is to be summed.
        share: of the members that have to stay.
    """

    roll: Roll
    summing: Summing
    share: float

    @property
    def names(self) -> Mapping[int, NodeId]:
        """As `Crowd.names`."""
        return {i: client.name for i, client in enumerate(self.summing.clients, 1)}

    @property
    def num_values(self) -> int:
        """As `Crowd.num_values`."""
        return self.summing.portion.num_values(self.summing.start)

    def publics(self) -> Mapping[int, bytes]:
        """As `Crowd.publics`: they came with the news that training is over."""
        return {i: self.roll.publics.get(name, bytes(PUBLIC_BYTES)) for i, name in self.names.items()}

    def shares(self, publics: Mapping[int, bytes], reached: Collection[int]) -> Mapping[int, Shares]:
        """As `Crowd.shares`."""
        numbers = sorted(publics)
        words = {STEP: "shares", "numbers": numbers, "names": [self.names[i] for i in numbers], "share": self.share}
        words |= {"num_members": len(self.names)}
        down, up = (
            ("keys", pieces_of([publics[i] for i in numbers])),
            ("shares", {PIECES: blank(len(numbers), SEALED_BYTES)}),
        )
        read = lambda _, values: dict(zip(numbers, cut_of(values), strict=True))  # noqa: E731
        return self._ask_for_good({i: Question({**words, "number": i}, read, down, up) for i in reached})

    def damaged(self, held: Mapping[int, Shares]) -> Mapping[int, Collection[int]]:
        """As `Crowd.damaged`."""

        def question(some: Shares) -> Question:
            numbers = sorted(some)
            words, pieces = {STEP: "opened", "numbers": numbers}, pieces_of([some[j] for j in numbers])

            def read(said: Mapping[str, Any], _: State) -> list[int]:
                if not {*(named := read_numbers(said.get("damaged")))} <= {*numbers}:
                    raise PayloadError("damaged: names shares that it was not given")
                return named

            return Question(words, read, ("shares", pieces))

        return self._ask({i: question(some) for i, some in held.items()})

    def masked(self, publics: Mapping[int, bytes], reached: Collection[int]) -> Mapping[int, Ring]:
        """As `Crowd.masked`."""
        start, summing = self.summing.start, self.summing
        words = {STEP: "masked", "numbers": sorted(publics), "num_fraction_bits": summing.num_fraction_bits}
        # A start that came in a smaller type than it has here would move every update a little.
        sends = self.roll.forgets or fingerprint(start) != self.roll.given
        words |= {**summing.portion.to_json(), "brings_start": sends}
        down, up = (self.roll.kind, start) if sends else None, (self.roll.kind, self._blank_ring())
        read = lambda _, values: values[_RING].numpy().view(np.uint32)  # noqa: E731
        return self._ask_for_good(dict.fromkeys(reached, Question(words, read, down, up)))

    def revealed(
        self, arrived: Collection[int], lost: Collection[int], reached: Collection[int]
    ) -> Mapping[int, Shares]:
        """As `Crowd.revealed`."""
        about = [*arrived, *lost]
        words = {STEP: "revealed", "arrived": list(arrived), "lost": list(lost)}
        read = lambda _, values: dict(zip(about, cut_of(values), strict=True))  # noqa: E731
        up = ("shares", {PIECES: blank(len(about), SHARE_BYTES)})
        return self._ask(dict.fromkeys(reached, Question(words, read, None, up)))

    def refuse(self, number: int, reason: PayloadError) -> None:
        """As `Crowd.refuse`: it is asked for nothing any more; of number 0 nobody is to blame that is known."""
        if number in self.names:
            return self.roll.ban(self.names[number], reason)
        self.roll.miss(self.names.values())
        return logging.getLogger(__name__).warning("a masked sum of %d is lost: %s", len(self.names), reason)

    def _blank_ring(self) -> State:
        return {_RING: torch.empty(self.num_values, dtype=torch.int32)}

    def _ask_for_good(self, questions: Mapping[int, Question]) -> dict[int, Any]:
        """As `_ask`; who does not answer will not be in the sum."""
        found = self._ask(questions)
        self.roll.miss([self.names[i] for i in questions if i not in found])
        return found

    def _ask(self, questions: Mapping[int, Question]) -> dict[int, Any]:
        found = self.roll.ask({self.names[i]: question for i, question in questions.items()})
        return {i: found[self.names[i]] for i in questions if self.names[i] in found}


def distant(roll: Roll, share: float) -> Callable[[Summing], Distant]:
    """`Crowds` of other processes.

    Args:
        roll: reaches the members.
        share: of the members that have to stay.
    """
    return lambda summing: Distant(roll, summing, share)
