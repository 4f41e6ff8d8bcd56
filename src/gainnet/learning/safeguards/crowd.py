"""Members of a masked sum as the edge sees them, wherever they are; and what of its update a member adds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, final

import torch
from torch import Tensor

from gainnet.core.errors import PayloadError
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.algorithm import State, update_of
from gainnet.learning.clients import Client
from gainnet.learning.safeguards import masking
from gainnet.learning.safeguards.masking import Ring
from gainnet.learning.safeguards.member import Member, Shares
from gainnet.learning.safeguards.privacy import clip


class Portion(Protocol):
    """The part of its update that a member adds to a sum."""

    def vector(self, weight: float, start: State, values: State) -> Tensor:
        """[num_values] float64.

        Args:
            weight: of the member in an average.
            start: state that the round began with.
            values: that it has trained.
        """

    def num_values(self, start: State) -> int:
        """Length of the vector."""

    def to_json(self) -> dict[str, float]:
        """The same for a member in another process."""


@final
@dataclass(frozen=True)
class Weighted:
    """The update times the weight, and the weight itself, both divided by a scale: for a weighted mean.

    Args:
        scale: power of two, see `MaskedSum.scale`.
    """

    scale: float

    def vector(self, weight: float, start: State, values: State) -> Tensor:
        """As `Portion.vector`."""
        # The weight travels in the vector: the edge learns the total weight of a group and no single one.
        return torch.cat([weight * update_of(start, values), torch.tensor([weight], dtype=torch.float64)]) / self.scale

    def num_values(self, start: State) -> int:
        """As `Portion.num_values`."""
        return sum(x.numel() for x in start.values()) + 1

    def to_json(self) -> dict[str, float]:
        """As `Portion.to_json`."""
        return {"scale": self.scale}


@final
@dataclass(frozen=True)
class Clipped:
    """The update, clipped to a norm: for a sum with noise, in which every member counts once.

    Args:
        norm: the largest, > 0.
    """

    norm: float

    def vector(self, weight: float, start: State, values: State) -> Tensor:
        """As `Portion.vector`."""
        return clip(update_of(start, values), self.norm)

    def num_values(self, start: State) -> int:
        """As `Portion.num_values`."""
        return sum(x.numel() for x in start.values())

    def to_json(self) -> dict[str, float]:
        """As `Portion.to_json`."""
        return {"clip_norm": self.norm}


class Crowd(Protocol):
    """Members of one masked sum, by their numbers from 1; whoever does not answer is missing in the result."""

    @property
    def names(self) -> Mapping[int, NodeId]:
        """Of all, by number."""

    @property
    def num_values(self) -> int:
        """Length of what each adds."""

    def publics(self) -> Mapping[int, bytes]:
        """Two public keys of each, 64 bytes."""

    def shares(self, publics: Mapping[int, bytes], reached: Collection[int]) -> Mapping[int, Shares]:
        """Sealed shares that those who were reached make for the owners of these keys."""

    def damaged(self, held: Mapping[int, Shares]) -> Mapping[int, Collection[int]]:
        """Numbers of those whose shares each cannot open, of whoever answers.

        Args:
            held: shares that others have made, by the number of whom they are for.
        """

    def masked(self, publics: Mapping[int, bytes], reached: Collection[int]) -> Mapping[int, Ring]:
        """[num_values] masked vectors of those who were reached, with masks for the owners of these keys."""

    def revealed(
        self, arrived: Collection[int], lost: Collection[int], reached: Collection[int]
    ) -> Mapping[int, Shares]:
        """As `Member.revealed`, of those who were reached."""

    def refuse(self, number: int, reason: PayloadError) -> None:
        """Takes note that a member has given what nobody can use."""


@final
@dataclass(frozen=True)
class Summing:
    """A sum that is to be taken.

    Args:
        clients: who adds, with their weights.
        values: that they have trained; empty where these are elsewhere.
        start: state that the round began with.
        portion: what of its update each adds.
        threshold: how many have to stay.
        num_fraction_bits: of the fixed-point numbers.
    """

    clients: tuple[Client, ...]
    values: tuple[State, ...]
    start: State
    portion: Portion
    threshold: int
    num_fraction_bits: int


Crowds = Callable[[Summing], Crowd]
"""Where the members of sums are."""


@final
@dataclass(frozen=True)
class Hosted:
    """Members in this process.

    Args:
        names: by number.
        num_values: of a vector.
        rings: [num_values] per member, what each adds.
        members: by number.
    """

    names: Mapping[int, NodeId]
    num_values: int
    rings: Mapping[int, Ring]
    members: Mapping[int, Member]
    _keys: dict[int, bytes] = field(default_factory=dict, init=False, repr=False)
    _held: dict[int, Shares] = field(default_factory=dict, init=False, repr=False)

    @staticmethod
    def of(vectors: Sequence[tuple[NodeId, Tensor]], threshold: int, num_fraction_bits: int) -> Hosted:
        """Members with vectors of their own, [num_values] each.

        Raises:
            ConfigError: a value does not fit the ring.
        """
        numbers = range(1, len(vectors) + 1)
        # Fixed-point numbers add exactly in any order; masks in floating point would leave rounding errors behind.
        rings = [masking.to_ring(x, num_fraction_bits, len(vectors)) for _, x in vectors]
        members = {i: Member(i, threshold) for i in numbers}
        names = dict(zip(numbers, (name for name, _ in vectors), strict=True))
        return Hosted(names, len(vectors[0][1]), dict(zip(numbers, rings, strict=True)), members)

    def publics(self) -> Mapping[int, bytes]:
        """As `Crowd.publics`."""
        return {i: member.public for i, member in self.members.items()}

    def shares(self, publics: Mapping[int, bytes], reached: Collection[int]) -> Mapping[int, Shares]:
        """As `Crowd.shares`."""
        self._keys.update(publics)
        return {i: self.members[i].shares(publics) for i in reached}

    def damaged(self, held: Mapping[int, Shares]) -> Mapping[int, Collection[int]]:
        """As `Crowd.damaged`: nothing is, in one memory."""
        self._held.update(held)
        return dict.fromkeys(held, ())

    def masked(self, publics: Mapping[int, bytes], reached: Collection[int]) -> Mapping[int, Ring]:
        """As `Crowd.masked`."""
        return {i: self.members[i].masked(self.rings[i], publics) for i in reached}

    def revealed(
        self, arrived: Collection[int], lost: Collection[int], reached: Collection[int]
    ) -> Mapping[int, Shares]:
        """As `Crowd.revealed`."""
        return {i: self.members[i].revealed(self._held[i], self._keys, arrived, lost) for i in reached}

    def refuse(self, number: int, reason: PayloadError) -> None:
        """As `Crowd.refuse`; raises the reason, since nobody here may be lying."""
        raise reason


def hosted(summing: Summing) -> Hosted:
    """`Crowds` of this process."""
    portion, start = summing.portion, summing.start
    vectors = [
        (client.name, portion.vector(client.weight, start, values))
        for client, values in zip(summing.clients, summing.values, strict=True)
    ]
    return Hosted.of(vectors, summing.threshold, summing.num_fraction_bits)


def portion_of(words: Mapping[str, Any]) -> Portion:
    """The portion that `to_json` says.

    Raises:
        PayloadError: it says something else.

    >>> portion_of({"scale": 4.0})
    Weighted(scale=4.0)
    """
    for name, kind in (("scale", Weighted), ("clip_norm", Clipped)):
        value = words.get(name)
        if isinstance(value, float) and 0.0 < value < 1e300:
            return kind(value)
    raise PayloadError("scale: the edge says neither scale nor clip_norm, a positive number")
