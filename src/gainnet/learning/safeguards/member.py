"""A member of a masked sum: its keys, shares and mask, and how masks come off a sum again (Bonawitz et al. 2017)."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from typing import final

from gainnet.core.errors import PayloadError, PlanError
from gainnet.core.outside import reading
from gainnet.learning.safeguards import masking
from gainnet.learning.safeguards.masking import KEY_BYTES, SHARE_BYTES, Ring

Shares = dict[int, bytes]
"""Shares, sealed or open, by the number of the member."""


@final
class Member:
    """A client's side of one masked sum; its secrets are drawn anew for every sum and forgotten after it.

    Args:
        number: its place among the members, from 1.
        threshold: how many shares give a secret back.
        secret: 96 bytes of `new_secret`, of a member that goes on after its process died; drawn when `None`.
    """

    def __init__(self, number: int, threshold: int, secret: bytes | None = None) -> None:
        self._number, self._threshold = number, threshold
        whole = new_secret() if secret is None else secret
        # Two keys: the mask key is handed out in shares when its owner is lost, and must not open sealed shares then.
        self._mask_key, self._channel_key = whole[:KEY_BYTES], masking.key_of(whole[KEY_BYTES : 2 * KEY_BYTES])
        # A mask of its own beside those of pairs: a vector that comes late, after its pairs were revealed, stays
        # hidden.
        self._own_seed = whole[2 * KEY_BYTES :]
        self._answered: tuple[frozenset[int], frozenset[int]] | None = None

    @property
    def public(self) -> bytes:
        """Two public keys: one to agree on masks, one to seal shares."""
        return masking.public_of(masking.key_of(self._mask_key)) + masking.public_of(self._channel_key)

    def shares(self, publics: Mapping[int, bytes]) -> Shares:
        """Shares of its two secrets for all members, sealed for each.

        Args:
            publics: of all members, by number.
        """
        seed_shares = masking.split_secret(self._own_seed, len(publics), self._threshold)
        key_shares = masking.split_secret(self._mask_key, len(publics), self._threshold)
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

    def damaged(self, held: Mapping[int, bytes], publics: Mapping[int, bytes]) -> tuple[int, ...]:
        """Numbers of those whose sealed shares it cannot open; arguments as `revealed`."""
        found = []
        for number, sealed in sorted(held.items()):
            try:
                masking.unseal(sealed, self._channel_to(number, publics))
            except PayloadError:
                found.append(number)
        return tuple(found)

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
                both = masking.unseal(held[number], self._channel_to(number, publics))
                found[number] = both[:SHARE_BYTES] if number in arrived else both[SHARE_BYTES:]
        return found

    def _channel_to(self, number: int, publics: Mapping[int, bytes]) -> bytes:
        """Secret with which a member has sealed its shares for this one."""
        purpose = f"share {number} {self._number}"
        return masking.agree_secret(self._channel_key, publics[number][KEY_BYTES:], purpose)


def new_secret() -> bytes:
    """96 bytes from the system's randomness: the two private keys of a member and the seed of its own mask."""
    return secrets.token_bytes(3 * KEY_BYTES)


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


def unmask_despite(
    total: Ring, publics: Mapping[int, bytes], shares: Mapping[int, Shares], arrived: Collection[int], enough: int
) -> tuple[Ring, int | None]:
    """As `unmask`, though one member may have given wrong shares; and the number of that member.

    Wrong shares join to a number beyond any key, but for one case in 2^265: so that a sum is right or there is none.

    Args:
        total: as of `unmask`.
        publics: as of `unmask`.
        shares: as of `unmask`.
        arrived: as of `unmask`.
        enough: how many shares give a secret back.

    Raises:
        PayloadError: no single member is to blame.
    """
    try:
        return unmask(total, publics, shares, arrived), None
    except PayloadError as error:
        reason = error
    givers = sorted({giver for given in shares.values() for giver in given})
    for liar in givers if len(givers) > enough else ():
        others = {about: {g: x for g, x in given.items() if g != liar} for about, given in shares.items()}
        try:
            return unmask(total, publics, others, arrived), liar
        except PayloadError:
            continue
    raise reason
