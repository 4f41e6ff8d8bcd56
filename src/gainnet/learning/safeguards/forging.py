"""Forged records: what an edge that holds its own key, and no other, can make of one that it has signed."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, final

import numpy as np

from gainnet.core.errors import PayloadError
from gainnet.core.outside import read_json
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.algorithm import State
from gainnet.learning.safeguards.record import enrolment
from gainnet.learning.safeguards.signing import Entry, Keyring, canonical, is_signed, sha256_of
from gainnet.learning.safeguards.verification import omitted, split_view, verify
from gainnet.network import EDGE

Forgery = Callable[[list[Entry], Keyring, np.random.Generator], list[Entry]]
"""Other entries in the place of those of a record; they are chained and signed by the edge afterwards."""


@final
@dataclass(frozen=True)
class Watched:
    """A record, and what others hold of it.

    Args:
        lines: as they were written.
        edge: the key of the edge alone.
        pinned: public keys of the clients, as they were at enrolment.
        receipts: that clients hold.
        state: the model that it ends with.
    """

    lines: tuple[str, ...]
    edge: Keyring
    pinned: Mapping[str, str]
    receipts: tuple[str, ...]
    state: State
    entries: tuple[Entry, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "entries", tuple(read_json(line, "record") for line in self.lines))

    def accepts(self, lines: Sequence[str]) -> bool:
        """Whether a record passes all checks: line by line, by receipts, and by the heads that others hold."""
        key = self.edge.public(EDGE)
        try:
            verify(lines, self.state, key, self.pinned)
            caught = split_view(self.lines, lines, key) or any(omitted(one, lines, key) for one in self.receipts)
        except PayloadError:
            return False
        return not caught

    def forged(self, kind: str, generator: np.random.Generator) -> list[str]:
        """The lines of a forgery of a kind, every one chained and signed by the edge."""
        return chained(FORGERIES[kind]([copy.deepcopy(e) for e in self.entries], self.edge, generator), self.edge)


def chained(entries: Sequence[Entry], edge: Keyring) -> list[str]:
    """The lines of an edge that signs whatever it likes."""
    lines: list[str] = []
    for index, entry in enumerate(entries):
        bare = {key: value for key, value in entry.items() if key != "signature"}
        bare |= {"index": index, "previous": sha256_of(lines[-1]) if lines else ""}
        lines.append(canonical(bare | {"signature": edge.sign(EDGE, bare)}))
    return lines


def chain_holds(lines: Sequence[str], edge_key: str) -> bool:
    """Whether lines are chained and signed by the edge: all that a record without the clients' keys can show."""
    for index, line in enumerate(lines):
        entry = read_json(line, "record")
        signature = entry.pop("signature")
        if entry["previous"] != (sha256_of(lines[index - 1]) if index else ""):
            return False
        if not is_signed(edge_key, signature, entry):
            return False
    return True


def _updates(entries: Sequence[Entry]) -> list[int]:
    return [place for place, entry in enumerate(entries) if entry["kind"] == "update"]


def _altered(entries: list[Entry], edge: Keyring, generator: np.random.Generator) -> list[Entry]:
    """A field of what a client has said is another one."""
    entry = entries[int(generator.choice(_updates(entries)))]
    name = ("update", "weight", "model", "client_signature")[int(generator.integers(4))]
    if name == "weight":
        entry[name] += float(generator.integers(1, 100))
    else:
        place, digits = int(generator.integers(len(entry[name]))), "0123456789abcdef"
        digit = digits[(digits.index(entry[name][place]) + int(generator.integers(1, 16))) % 16]
        entry[name] = entry[name][:place] + digit + entry[name][place + 1 :]
    return entries


def _signed_by_the_edge(entries: list[Entry], edge: Keyring, generator: np.random.Generator) -> list[Entry]:
    """An update that a client never made, signed with the only key at hand."""
    entry = entries[int(generator.choice(_updates(entries)))]
    entry["update"] = generator.bytes(32).hex()
    said = {key: entry[key] for key in ("client", "model", "round", "update", "weight")}
    entry["client_signature"] = edge.sign(EDGE, said)
    return entries


def _replayed(entries: list[Entry], edge: Keyring, generator: np.random.Generator) -> list[Entry]:
    """A line of a client stands in another round than its own."""
    place = int(generator.choice(_updates(entries)))
    others = [
        i
        for i in _updates(entries)
        if entries[i]["client"] == entries[place]["client"] and entries[i]["round"] != entries[place]["round"]
    ]
    old = dict(entries[int(generator.choice(others))])
    # As it was, or with the round and the model that would fit.
    fitting = {key: entries[place][key] for key in ("round", "model")} if generator.random() < 0.5 else {}
    entries[place] = old | fitting
    return entries


def _reordered(entries: list[Entry], edge: Keyring, generator: np.random.Generator) -> list[Entry]:
    """Two lines have changed places."""
    one, other = (int(i) for i in generator.choice(len(entries), size=2, replace=False))
    entries[one], entries[other] = entries[other], entries[one]
    return entries


def _left_out(entries: list[Entry], edge: Keyring, generator: np.random.Generator) -> list[Entry]:
    """An update that was accepted is missing, and the models after it name the others by their new places."""
    gone = int(generator.choice(_updates(entries)))
    kept = [entry for place, entry in enumerate(entries) if place != gone]
    for entry in kept:
        if entry["kind"] == "model":
            entry["updates"] = [i - (i > gone) for i in entry["updates"] if i != gone]
    return kept


def _invented(entries: list[Entry], edge: Keyring, generator: np.random.Generator) -> list[Entry]:
    """A client that nobody enrolled, with a key that the edge made, in the place of one that was."""
    name = NodeId(f"device_{int(generator.integers(10, 1000))}")
    return _exchanged(entries, edge, generator, name)


def _key_exchanged(entries: list[Entry], edge: Keyring, generator: np.random.Generator) -> list[Entry]:
    """A client's key is one that the edge made, and the edge signs in its name."""
    return _exchanged(entries, edge, generator, None)


def _exchanged(entries: list[Entry], edge: Keyring, generator: np.random.Generator, name: NodeId | None) -> list[Entry]:
    start = entries[0]
    old = str(generator.choice(sorted(start["enrolled"])))
    new = NodeId(old) if name is None else name
    ring = Keyring({new: hashlib.sha256(generator.bytes(32)).digest()})
    for table in ("keys", "enrolled"):
        start[table].pop(old)
    start["keys"][new] = ring.public(new)
    start["enrolled"][new] = ring.sign(new, enrolment(new, ring.public(new), start["keys"][EDGE]))
    for entry in entries:
        if entry["kind"] == "update" and entry["client"] == old:
            said = {key: entry[key] for key in ("model", "round", "update", "weight")} | {"client": new}
            entry |= said | {"client_signature": ring.sign(new, said)}
    return entries


def _cut(entries: list[Entry], edge: Keyring, generator: np.random.Generator) -> list[Entry]:
    """The last lines are missing."""
    return entries[: int(generator.integers(1, len(entries)))]


def _other_view(entries: list[Entry], edge: Keyring, generator: np.random.Generator) -> list[Entry]:
    """Somebody else is shown another rule, or other updates in the last model."""
    if generator.random() < 0.5:
        entries[-1]["rule"] = generator.bytes(4).hex()
    else:
        entries[-1]["updates"] = entries[-1]["updates"][: int(generator.integers(len(entries[-1]["updates"])))]
    return entries


FORGERIES: Final[Mapping[str, Forgery]] = {
    "forged_entry": _altered,
    "forged_signature": _signed_by_the_edge,
    "replay": _replayed,
    "reordering": _reordered,
    "omission": _left_out,
    "invented_client": _invented,
    "exchanged_key": _key_exchanged,
    "cut_record": _cut,
    "split_view": _other_view,
}
"""Kinds of forgery by name."""
