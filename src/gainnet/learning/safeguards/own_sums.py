"""A member's side of masked sums that an edge elsewhere leads: one step of a sum after the other, each of them once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, final

from gainnet.core.errors import PayloadError, PlanError
from gainnet.core.outside import read_integer, read_list, read_text
from gainnet.learning.algorithms.algorithm import State
from gainnet.learning.safeguards import masking
from gainnet.learning.safeguards.crowd import portion_of
from gainnet.learning.safeguards.masking import KEY_BYTES, SHARE_BYTES, Ring
from gainnet.learning.safeguards.member import Member, new_secret
from gainnet.learning.safeguards.notes import Notes
from gainnet.learning.safeguards.secure_aggregation import MaskedSum

SEALED_BYTES: Final = 2 * SHARE_BYTES + 16
"""Of both shares for one member, with the tag of the cipher."""
PUBLIC_BYTES: Final = 2 * KEY_BYTES
MAX_MEMBERS: Final = 10_000
LONGEST_NAME: Final = 64


@final
@dataclass(frozen=True)
class OwnSums:
    """Keys, shares and masks of one member, for the sum that it takes part in.

    begin --public keys--> shares --sealed--> opened --damaged ones--> masked --vector--> revealed --shares-->

    A step that is asked again in the same words has the same answer; in other words it is refused, since two answers
    would say more than one. Of one update only one sum is ever opened: after a death of the edge the same members may
    be summed again, others may not, or the difference of two sums would be somebody's update.

    Args:
        notes: what it remembers.
    """

    notes: Notes = field(default_factory=Notes)

    def begin(self, place: str) -> bytes:
        """64 bytes, public keys for a sum of the update of a round.

        Args:
            place: names the round and its start.
        """
        secret = new_secret()
        self.notes.write("sum", {"place": place, "secret": secret.hex()})
        return Member(1, 1, secret).public

    def shares(self, words: Mapping[str, Any], pieces: Sequence[bytes]) -> list[bytes]:
        """Sealed shares of `SEALED_BYTES` for all members, in the order of their numbers.

        Args:
            words: number (own), numbers and names of those whose keys follow, num_members, share.
            pieces: public keys of all, 64 bytes each.

        Raises:
            PayloadError: the words are malformed.
            PlanError: it has made shares for others already.
        """
        known = self._once("shares", words, pieces)
        if "made" in known:
            return [bytes.fromhex(piece) for piece in known["made"]]
        numbers = read_numbers(words.get("numbers"))
        number = read_integer(words.get("number"), "number", 1, MAX_MEMBERS)
        num_members = read_integer(words.get("num_members"), "num_members", len(numbers), MAX_MEMBERS)
        share = words.get("share")
        if not isinstance(share, float) or not 0.5 < share <= 1.0:
            raise PayloadError("share: must be in (1/2, 1], of the members that have to stay")
        names = [read_text(name, "names", LONGEST_NAME) for name in read_list(words.get("names"), "names", MAX_MEMBERS)]
        publics = dict(zip(numbers, pieces, strict=True))
        secret, threshold = bytes.fromhex(known["secret"]), MaskedSum(share).threshold(num_members)
        member = Member(number, threshold, secret)
        if publics.get(number) != member.public or len(names) != len(numbers) or len(set(names)) != len(names):
            raise PayloadError("keys: this member's own are not among them, or there is not one name for each")
        made = list(member.shares(publics).values())
        table: dict[str, Any] = {"number": number, "threshold": threshold, "num_members": num_members}
        table |= {"publics": {str(i): key.hex() for i, key in publics.items()}}
        table |= {"names": dict(zip(map(str, numbers), names, strict=True)), "made": [piece.hex() for piece in made]}
        self.notes.write("sum", known | table)
        return made

    def opened(self, words: Mapping[str, Any], pieces: Sequence[bytes]) -> list[int]:
        """Numbers of those whose shares it cannot open.

        Args:
            words: numbers of those whose shares follow.
            pieces: shares that they have sealed for this member.

        Raises:
            PayloadError: the words are malformed.
            PlanError: it was given other shares already.
        """
        known, numbers = self._once("opened", words, pieces), read_numbers(words.get("numbers"))
        held = dict(zip(numbers, pieces, strict=True))
        damaged = self._member(known).damaged(held, _publics_in(known))
        table = {"held": {str(i): piece.hex() for i, piece in held.items()}, "damaged": list(damaged)}
        self.notes.write("sum", known | table)
        return list(damaged)

    def masked(self, words: Mapping[str, Any], weight: float, start: State, values: State) -> Ring:
        """[num_values], its vector behind its masks.

        Args:
            words: numbers of those that masks are for, scale or clip_norm, num_fraction_bits.
            weight: of this member in an average.
            start: state that the round began with.
            values: that it has trained.

        Raises:
            PayloadError: the words are malformed.
            PlanError: it has masked the vector in another way already, or too few would be left.
            ConfigError: a value of its vector does not fit the ring.
        """
        known, numbers = self._once("masked", words, ()), read_numbers(words.get("numbers"))
        # Two vectors under one mask differ by what they hide.
        usable = {int(i) for i in known["held"]} - {*known["damaged"]}
        if not {*numbers} <= usable or known["number"] not in numbers or len(numbers) < known["threshold"]:
            raise PlanError("shares: the edge asks for masks that too few, or others, hold shares of; none is sent")
        bits = read_integer(words.get("num_fraction_bits"), "num_fraction_bits", 1, 30)
        vector = portion_of(words).vector(weight, start, values)
        ring = masking.to_ring(vector, bits, known["num_members"])
        publics = _publics_in(known)
        self.notes.write("sum", known | {"sharers": numbers})
        return self._member(known).masked(ring, {i: publics[i] for i in numbers})

    def revealed(self, words: Mapping[str, Any]) -> list[bytes]:
        """Shares of `SHARE_BYTES` that take the masks off, of those who arrived and of those who were lost.

        Args:
            words: numbers of those who arrived, and of those who were lost.

        Raises:
            PayloadError: the words are malformed.
            PlanError: they contradict what was asked before, or other members than those of an earlier sum of the same
                update have arrived.
        """
        known = self._once("revealed", words, ())
        arrived, lost = read_numbers(words.get("arrived")), read_numbers(words.get("lost"))
        if sorted([*arrived, *lost]) != known["sharers"] or len(arrived) < known["threshold"]:
            raise PlanError("shares: the edge asks for more than a sum may need; no share is given")
        who = sorted(known["names"][str(i)] for i in arrived)
        before = self.notes.read("revealed")
        if before.get("place") == known["place"] and before["arrived"] != who:
            raise PlanError("shares: a sum of this update with other members was opened before; no share is given")
        # On the disk before it leaves: a member that forgets would answer a second time.
        self.notes.write("revealed", {"place": known["place"], "arrived": who})
        held = {int(i): bytes.fromhex(piece) for i, piece in known["held"].items()}
        return list(self._member(known).revealed(held, _publics_in(known), arrived, lost).values())

    def _once(self, step: str, words: Mapping[str, Any], pieces: Sequence[bytes]) -> dict[str, Any]:
        """Everything known of the sum, where this step was not asked in other words before."""
        known, order = self.notes.read("sum"), ("begin", "shares", "opened", "masked", "revealed")
        asked: dict[str, str] = dict(known.get("asked", {}))
        if not known or (order[order.index(step) - 1] not in asked and step != "shares"):
            raise PlanError(f"{step}: this member is in no such sum, or has begun anew; it sits this one out")
        digest = hashlib.sha256(json.dumps(words, sort_keys=True).encode() + b"".join(pieces)).hexdigest()
        if asked.setdefault(step, digest) != digest:
            raise PlanError(f"{step}: the edge asks twice, in different words; no second answer is given")
        return known | {"asked": asked}

    def _member(self, known: Mapping[str, Any]) -> Member:
        return Member(known["number"], known["threshold"], bytes.fromhex(known["secret"]))


def read_numbers(value: object) -> list[int]:
    """Numbers of members in rising order.

    >>> read_numbers([1, 3])
    [1, 3]
    """
    found = [read_integer(n, "numbers", 1, MAX_MEMBERS) for n in read_list(value, "numbers", MAX_MEMBERS)]
    if found != sorted(set(found)):
        raise PayloadError("numbers: must rise")
    return found


def _publics_in(known: Mapping[str, Any]) -> dict[int, bytes]:
    return {int(i): bytes.fromhex(key) for i, key in known["publics"].items()}
