"""Secure aggregation: the edge learns the sum of the updates, and of a single one nothing (Bonawitz et al. 2017)."""

from __future__ import annotations

import math
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np
import torch
from torch import Tensor

from gainnet.core.errors import ConfigError, PlanError, check_range
from gainnet.core.outside import reading
from gainnet.core.randomness import Random
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.algorithm import (
    Finished,
    Merged,
    Rule,
    State,
    WeightedMean,
    in_order,
    update_of,
    with_update,
)
from gainnet.learning.clients import Client
from gainnet.learning.exchange import Uplink
from gainnet.learning.safeguards import masking
from gainnet.learning.safeguards.masking import KEY_BYTES, SHARE_BYTES, Ring
from gainnet.learning.safeguards.privacy import NoisyMean, clip
from gainnet.network import EDGE

_LARGEST_VALUE = 4.0
"""Updates up to this fit beside their weights; nothing that trains changes a value by as much in a round."""

Shares = dict[int, bytes]
"""Shares, sealed or open, by the number of the member."""


@final
class Member:
    """A client's side of one masked sum; its keys are drawn anew for every sum and forgotten after it.

    Args:
        number: its place among the members, from 1.
        threshold: how many shares give a secret back.
    """

    def __init__(self, number: int, threshold: int) -> None:
        self._number, self._threshold = number, threshold
        # Two keys: the mask key is handed out in shares when its owner is lost, and must not open sealed shares then.
        self._mask_key, self._channel_key = masking.new_key(), masking.new_key()
        # A mask of its own beside those of pairs: a vector that comes late, after its pairs were revealed, stays
        # hidden.
        self._own_seed = secrets.token_bytes(KEY_BYTES)
        self._answered: tuple[frozenset[int], frozenset[int]] | None = None

    @property
    def public(self) -> bytes:
        """Two public keys: one to agree on masks, one to seal shares."""
        return masking.public_of(self._mask_key) + masking.public_of(self._channel_key)

    def shares(self, publics: Mapping[int, bytes]) -> Shares:
        """Shares of its two secrets for all members, sealed for each.

        Args:
            publics: of all members, by number.
        """
        seed_shares = masking.split_secret(self._own_seed, len(publics), self._threshold)
        key_shares = masking.split_secret(self._mask_key.private_bytes_raw(), len(publics), self._threshold)
        found = {}
        for place, (number, public) in enumerate(sorted(publics.items())):
            secret = masking.agree_secret(self._channel_key, public[KEY_BYTES:], f"share {self._number} {number}")
            found[number] = masking.seal(seed_shares[place] + key_shares[place], secret)
        return found

    def masked(self, ring: Ring, publics: Mapping[int, bytes]) -> Ring:
        r"""$x_u + m_u + \sum_{v > u} m_{uv} - \sum_{v < u} m_{uv} \bmod 2^{32}$: uniform to whoever lacks a mask.

        Args:
            ring: [num_values], its vector.
            publics: of the members whose shares it holds.
        """
        total = ring + masking.mask_of(self._own_seed, len(ring))
        for number, public in publics.items():
            if number != self._number:
                mask = masking.mask_of(masking.agree_secret(self._mask_key, public[:KEY_BYTES], "mask"), len(ring))
                # One of a pair adds what the other takes off, so that masks of pairs vanish in the sum.
                total = total + mask if number > self._number else total - mask
        return total

    def revealed(
        self, held: Mapping[int, bytes], publics: Mapping[int, bytes], arrived: Collection[int], lost: Collection[int]
    ) -> Shares:
        """Its shares of the own seeds of those who arrived, and of the mask keys of those who were lost.

        Args:
            held: sealed shares that others have made for it.
            publics: of all members.
            arrived: members whose masked vector is in the sum.
            lost: members whose is not.

        Raises:
            PlanError: someone is said to be both, so few arrived that the sum would give them away, or another request
                was answered before.
            PayloadError: a share or a key is missing or damaged.
        """
        asked = (frozenset(arrived), frozenset(lost))
        # Both secrets of one member together would take all masks off its vector, and its update would be in the open;
        # in one request, or in two that call it once arrived and once lost. The same request again is a retry.
        if asked[0] & asked[1] or len(asked[0]) < self._threshold or self._answered not in (None, asked):
            raise PlanError("shares: the edge asks for more than a sum may need; no share is given")
        self._answered, found = asked, {}
        with reading("shares"):
            for number in (*arrived, *lost):
                public = publics[number][KEY_BYTES:]
                secret = masking.agree_secret(self._channel_key, public, f"share {number} {self._number}")
                both = masking.unseal(held[number], secret)
                found[number] = both[:SHARE_BYTES] if number in arrived else both[SHARE_BYTES:]
        return found


def unmask(total: Ring, publics: Mapping[int, bytes], shares: Mapping[int, Shares], arrived: Collection[int]) -> Ring:
    """[num_values], the sum without masks: exactly the sum of the vectors in the ring.

    Args:
        total: sum of the masked vectors that arrived.
        publics: of all members that shares were made for.
        shares: by the number of whom they are about, those who may have masked, then of who gave them.
        arrived: members whose vector is in the sum.

    Raises:
        PayloadError: shares are damaged, too few or of somebody unknown.
    """
    places = {number: place for place, number in enumerate(sorted(publics), 1)}
    with reading("shares"):
        for number, given in shares.items():
            secret = masking.join_secret({places[giver]: share for giver, share in given.items()})
            if number in arrived:
                total = total - masking.mask_of(secret, len(total))
                continue
            # A member that was lost leaves its half of every pair in the vectors of the others.
            for other in arrived:
                mask = masking.mask_of(masking.agree_secret(secret, publics[other][:KEY_BYTES], "mask"), len(total))
                total = total - mask if number > other else total + mask
    return total


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

    Raises:
        ConfigError: a field is out of range, or (when called) there is only one member or a value does not fit.
    """

    share: float = 2 / 3
    num_fraction_bits: int = 20

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

    def total(self, uplink: Uplink, vectors: Sequence[tuple[Client, Tensor]]) -> tuple[Tensor, tuple[NodeId, ...]]:
        """([num_values] float64, names of those who are in it), or (zeros, ()) where too few stayed.

        Args:
            uplink: of what is masked.
            vectors: [num_values] per client.
        """
        if len(vectors) < 2:
            raise ConfigError("groups: a sum of one client hides nothing; ask more clients or make fewer groups")
        talk = _Talk(uplink, {i: client.name for i, (client, _) in enumerate(vectors, 1)})
        members = {i: Member(i, self.threshold(len(vectors))) for i in talk.names}
        # Fixed-point numbers add exactly in any order; masks in floating point would leave rounding errors behind.
        rings = {i: masking.to_ring(x, self.num_fraction_bits, len(vectors)) for i, (_, x) in enumerate(vectors, 1)}
        nothing, enough = torch.zeros(len(vectors[0][1]), dtype=torch.float64), self.threshold(len(members))
        received = talk.collect("keys", {i: [member.public] for i, member in members.items()})
        # A member whose keys nobody can agree with is left out here, before the others make shares for it.
        halves = (slice(KEY_BYTES), slice(KEY_BYTES, None))
        keys = {i: key for i, (key,) in received.items() if all(masking.is_public(key[half]) for half in halves)}
        reached = talk.send_down("keys", {i: list(keys.values()) for i in keys})
        made = talk.collect("shares", {i: list(members[i].shares(keys).values()) for i in reached})
        place = {number: index for index, number in enumerate(sorted(keys))}
        held = {i: {j: made[j][place[i]] for j in made} for i in made}
        reached = talk.send_down("shares", {i: list(held[i].values()) for i in held})
        # Masks are for those whose shares are there: of anybody else nobody could take the mask off again.
        sharers = {i: keys[i] for i in made}
        masked = talk.collect_rings({i: members[i].masked(rings[i], sharers) for i in reached})
        arrived, lost = sorted(masked), sorted(made.keys() - masked.keys())
        if len(arrived) < enough:
            return nothing, ()
        reached = talk.send_down("shares", {i: [j.to_bytes(4, "little") for j in arrived] for i in arrived})
        revealed = {i: members[i].revealed(held[i], keys, arrived, lost) for i in reached}
        given = talk.collect("shares", {i: list(some.values()) for i, some in revealed.items()})
        if len(given) < enough:
            return nothing, ()
        shares = {about: {i: given[i][k] for i in given} for k, about in enumerate((*arrived, *lost))}
        # Wraps around at 2^32 by itself: that is the arithmetic of the ring.
        total: Ring = np.stack(list(masked.values())).sum(axis=0, dtype=np.uint32)
        found = masking.from_ring(unmask(total, keys, shares, arrived), self.num_fraction_bits)
        return found, tuple(talk.names[i] for i in arrived)


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
            vectors = [(client, _weighted(client, start, values) / scale) for _, client, values in group]
            total, names = self.sums.total(uplink, vectors)
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
        total, names = torch.zeros(sum(x.numel() for x in start.values()), dtype=torch.float64), tuple[NodeId, ...]()
        vectors = [(c, clip(update_of(start, values), self.mean.clip_norm)) for _, c, values in in_order(finished)]
        # A sum of one hides nothing from the edge: who is drawn alone is left out, and noise is let out all the same.
        if len(vectors) > 1:
            total, names = self.sums.total(uplink, vectors)
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


def _weighted(client: Client, start: State, values: State) -> Tensor:
    """[num_values + 1] float64, the update times how much text it comes from, and how much that is."""
    # The weight travels in the vector: the edge learns the total weight of a group and no single one.
    weight = torch.tensor([client.weight], dtype=torch.float64)
    return torch.cat([client.weight * update_of(start, values), weight])
