"""Secure aggregation: the edge learns the sum of the updates, and of a single one nothing (Bonawitz et al. 2017)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np
import torch
from torch import Tensor

from gainnet.core.errors import ConfigError, PayloadError, check_range
from gainnet.core.randomness import Random
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.algorithm import (
    Finished,
    Merged,
    Rule,
    State,
    WeightedMean,
    in_order,
    with_update,
)
from gainnet.learning.clients import Client
from gainnet.learning.exchange import Uplink
from gainnet.learning.safeguards import masking
from gainnet.learning.safeguards.crowd import Clipped, Crowd, Crowds, Portion, Summing, Weighted, hosted
from gainnet.learning.safeguards.masking import KEY_BYTES, Ring
from gainnet.learning.safeguards.member import Shares, unmask_despite
from gainnet.learning.safeguards.privacy import NoisyMean
from gainnet.network import EDGE

_LARGEST_VALUE = 4.0
"""Updates up to this fit beside their weights; nothing that trains changes a value by as much in a round."""


@final
@dataclass(frozen=True)
class MaskedSum:
    """A sum over clients of which the edge sees the total alone; all that it takes crosses the air and is booked.

    members ==keys==> edge ==keys==> members ==sealed shares==> edge ==sealed shares==> members
            ==masked vectors==> edge ==who is there==> members ==shares==> edge: masks off

    A member that is lost on the way, before or after it has sent its vector, is left out of the sum, as long as enough
    stay. The edge is honest but curious: it follows the protocol and reads everything. Keys are not certified, so an
    edge that invents members is not caught, nor is a member that sends nonsense.

    Args:
        share: of the members that have to stay, in (1/2, 1]; fewer than that learn nothing about anybody together.
        num_fraction_bits: of the fixed-point numbers; values are off by less than 2^-f.
        crowds: where the members are.

    Raises:
        ConfigError: a field is out of range, or (when called) there is only one member or a value does not fit.
    """

    share: float = 2 / 3
    num_fraction_bits: int = 20
    crowds: Crowds = hosted

    def __post_init__(self) -> None:
        check_range(0.5 < self.share <= 1.0, "share", self.share, "in (1/2, 1], of the members that have to stay")
        bits = self.num_fraction_bits
        check_range(1 <= bits <= 30, "num_fraction_bits", bits, "1 to 30, for example 20")

    def threshold(self, num_members: int) -> int:
        """How many members have to stay, at least 2.

        >>> MaskedSum().threshold(10)
        7
        """
        # Above one half, so that the edge cannot ask two halves for the two secrets of one member.
        return max(2, math.ceil(self.share * num_members - 1e-9))

    def scale(self, largest: float, num_members: int) -> float:
        r"""Power of two that weights are divided by, so that updates up to 4 fit whatever the number of rows is.

        $s = 2^{\max(0, \lceil \log_2 (4 w n / 2^{31 - f}) \rceil)}$ for $n$ members of weight $w$ at most; the mean is
        then off by less than $2^{-f} n s / \sum_i w_i$ per value, and $2^{-28} n^2$ where $s > 1$.

        >>> MaskedSum().scale(120.0, 10), MaskedSum().scale(1e6, 10)
        (4.0, 32768.0)
        """
        room = 2.0 ** (masking.RING_BITS - 1 - self.num_fraction_bits)
        return 2.0 ** max(0, math.ceil(math.log2(_LARGEST_VALUE * largest * num_members / room)))

    def summed(
        self, uplink: Uplink, start: State, portion: Portion, finished: Finished
    ) -> tuple[Tensor, tuple[NodeId, ...]]:
        """As `total`, of what clients have trained.

        Args:
            uplink: of what is masked.
            start: state that the round began with.
            portion: what of its update each adds.
            finished: what clients have trained, at least two of them.
        """
        if len(finished) < 2:
            raise ConfigError("groups: a sum of one client hides nothing; ask more clients or make fewer groups")
        clients, values = tuple(client for _, client, _ in finished), tuple(state for _, _, state in finished)
        summing = Summing(clients, values, start, portion, self.threshold(len(clients)), self.num_fraction_bits)
        return self.total(uplink, self.crowds(summing))

    def total(self, uplink: Uplink, crowd: Crowd) -> tuple[Tensor, tuple[NodeId, ...]]:
        """([num_values] float64, names of those who are in it), or (zeros, ()) where too few stayed.

        Args:
            uplink: of what is masked.
            crowd: at least two members.
        """
        talk, enough = _Talk(uplink, crowd.names), self.threshold(len(crowd.names))
        nothing = torch.zeros(crowd.num_values, dtype=torch.float64), tuple[NodeId, ...]()
        received = talk.collect("keys", {i: [public] for i, public in crowd.publics().items()})
        # A member whose keys nobody can agree with is left out here, before the others make shares for it.
        halves = (slice(KEY_BYTES), slice(KEY_BYTES, None))
        keys = {i: key for i, (key,) in received.items() if all(masking.is_public(key[half]) for half in halves)}
        if len(keys) < enough:
            return nothing
        reached = talk.send_down("keys", {i: list(keys.values()) for i in keys})
        made = talk.collect("shares", {i: list(some.values()) for i, some in crowd.shares(keys, reached).items()})
        place = {number: index for index, number in enumerate(sorted(keys))}
        held = {i: {j: made[j][place[i]] for j in made} for i in made}
        reached = talk.send_down("shares", {i: list(held[i].values()) for i in held})
        # Masks are for those whose shares are there: of anybody else nobody could take the mask off again.
        makers, opened = _whose_shares_open(crowd, {i: held[i] for i in reached}, len(keys) - enough)
        sharers = {i: keys[i] for i in made if i in makers}
        masked = talk.collect_rings(crowd.masked(sharers, [i for i in reached if i in opened and i in sharers]))
        arrived, lost = sorted(masked), sorted(sharers.keys() - masked.keys())
        if len(arrived) < enough:
            return nothing
        reached = talk.send_down("shares", {i: [j.to_bytes(4, "little") for j in arrived] for i in arrived})
        revealed = crowd.revealed(arrived, lost, reached)
        given = talk.collect("shares", {i: list(some.values()) for i, some in revealed.items()})
        if len(given) < enough:
            return nothing
        shares = {about: {i: given[i][k] for i in given} for k, about in enumerate((*arrived, *lost))}
        # Wraps around at 2^32 by itself: that is the arithmetic of the ring.
        total: Ring = np.stack(list(masked.values())).sum(axis=0, dtype=np.uint32)
        try:
            bare, liar = unmask_despite(total, keys, shares, arrived, enough)
        except PayloadError as error:
            # Somebody has made shares that no key belongs to, and nobody can say who: this sum is lost.
            crowd.refuse(0, error)
            return nothing
        if liar is not None:
            crowd.refuse(liar, PayloadError("shares: those that it gave do not belong to the others'"))
        return masking.from_ring(bare, self.num_fraction_bits), tuple(talk.names[i] for i in arrived)


def _whose_shares_open(crowd: Crowd, held: Mapping[int, Shares], most: int) -> tuple[set[int], set[int]]:
    """(makers of shares that everybody can open, members that could open enough of them to go on).

    Args:
        crowd: the members.
        held: shares by whom they are for.
        most: how many makers one member may call damaged, before it is taken for the one who lies.
    """
    complaints = crowd.damaged(held)
    believed = {i: set(named) for i, named in complaints.items() if len(named) <= most}
    makers = {j for some in held.values() for j in some}
    for maker in sorted(set[int]().union(*believed.values())):
        crowd.refuse(maker, PayloadError("shares: those that it made for others cannot be opened"))
        makers.discard(maker)
    for liar in sorted(complaints.keys() - believed.keys()):
        crowd.refuse(liar, PayloadError("shares: it can open hardly any, which others can"))
        makers.discard(liar)
    return makers, set(believed)


@final
@dataclass(frozen=True)
class MaskedMean:
    """An aggregation in which the edge sees sums over groups alone: with one group the weighted mean, and no more.

    A robust rule has to compare, and single updates are hidden: so it compares the means of groups that are drawn anew
    in every round. One poisoned client spoils its whole group; with f of them a rule has to bear f groups.

    Args:
        rule: of the groups' means.
        num_groups: how many; one for the weighted mean.
        sums: how a group adds up.

    Raises:
        ConfigError: a rule that compares, and one group; or (when called) a group of fewer than two.
    """

    rule: Rule = field(default_factory=WeightedMean)
    num_groups: int = 1
    sums: MaskedSum = field(default_factory=MaskedSum)

    def __post_init__(self) -> None:
        if self.num_groups < 1 or (self.num_groups < 3 and self.rule != WeightedMean()):
            raise ConfigError(
                f"groups: {type(self.rule).__name__} compares updates, and secure aggregation hides them; "
                f"give 3 or more groups in the place of {self.num_groups}"
            )

    def gather(self, uplink: Uplink, start: State, finished: Finished, random: Random) -> Merged:
        """As `Aggregation.gather`."""
        if not finished:
            return Merged(start)
        arrived: list[tuple[Client, State]] = []
        members: dict[NodeId, tuple[NodeId, ...]] = {}
        for index, group in enumerate(_groups(finished, self.num_groups, random)):
            # How many rows clients have is known at enrolment, or the edge would ask for the largest power of two.
            scale = self.sums.scale(max(client.weight for _, client, _ in group), len(group))
            total, names = self.sums.summed(uplink, start, Weighted(scale), group)
            if names:
                crowd = Client(NodeId(f"group_{index}"), torch.empty(round(float(total[-1]) * scale), 0))
                arrived.append((crowd, with_update(start, total[:-1] / total[-1])))
                members[crowd.name] = names
        merged = self.rule(start, arrived, random)
        return Merged(merged.state, tuple(sorted(name for g in merged.included for name in members[g])))


@final
@dataclass(frozen=True)
class MaskedPrivateMean:
    """The mean of clipped updates with noise, of which the edge sees the sum alone; see `PrivateMean`.

    Clients clip; the edge cannot check that they do, since it does not see them. It is trusted to add the noise.

    Args:
        mean: how large, how noisy, over how many.
        sums: how they add up.
    """

    mean: NoisyMean
    sums: MaskedSum = field(default_factory=MaskedSum)

    def gather(self, uplink: Uplink, start: State, finished: Finished, random: Random) -> Merged:
        """As `Aggregation.gather`."""
        portion = Clipped(self.mean.clip_norm)
        total, names = torch.zeros(portion.num_values(start), dtype=torch.float64), tuple[NodeId, ...]()
        # A sum of one hides nothing from the edge: who is drawn alone is left out, and noise is let out all the same.
        if len(finished) > 1:
            total, names = self.sums.summed(uplink, start, portion, in_order(finished))
        return Merged(self.mean.moved(start, total, random), tuple(sorted(names)))


@final
@dataclass(frozen=True)
class _Talk:
    """Bytes between the edge and the members of a sum, over the air of a round."""

    uplink: Uplink
    names: Mapping[int, NodeId]

    def collect(self, kind: str, content: Mapping[int, list[bytes]]) -> dict[int, list[bytes]]:
        """Pieces of equal length that members send, as the edge receives them."""
        found = {}
        for i, pieces in content.items():
            self.uplink.exchange.compute(self.names[i], kind, 0.0, (self.uplink.kind,), (kind,))
            received, _ = self.uplink.exchange.send_until(kind, self.names[i], EDGE, {"pieces": _rows(pieces)})
            if received is not None:
                found[i] = [row.numpy().tobytes() for row in received["pieces"]]
        return found

    def collect_rings(self, rings: Mapping[int, Ring]) -> dict[int, Ring]:
        """Vectors as the edge receives them in time."""
        found = {}
        for i, ring in rings.items():
            kind, name = self.uplink.kind, self.names[i]
            self.uplink.exchange.compute(name, "mask", 0.0, ("shares", kind), (kind,))
            received = self.uplink.receive(name, {"ring": torch.from_numpy(ring.view(np.int32))})
            if received is not None:
                found[i] = received["ring"].numpy().view(np.uint32)
        return found

    def send_down(self, kind: str, content: Mapping[int, list[bytes]]) -> list[int]:
        """Members that have received what the edge says to each; what is lost is said again some times."""
        return [
            i
            for i, pieces in content.items()
            if self.uplink.exchange.send_until(kind, EDGE, self.names[i], {"pieces": _rows(pieces)})[0] is not None
        ]


def _rows(pieces: Sequence[bytes]) -> Tensor:
    """[num_pieces, num_bytes] uint8."""
    return torch.stack([torch.frombuffer(bytearray(piece), dtype=torch.uint8) for piece in pieces])


def _groups(finished: Finished, num_groups: int, random: Random) -> list[Finished]:
    """Clients in groups of nearly equal size that are drawn by name."""
    # Drawn anew in every round, so that a poisoned client spoils other companions each time.
    known = sorted(finished, key=lambda entry: entry[1].name)
    order = random.generators("groups")[0].permutation(len(known))
    chosen = [[known[int(i)] for i in part] for part in np.array_split(order, num_groups)]
    return [in_order(group) for group in chosen]
