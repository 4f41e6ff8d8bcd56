"""A record of which update went into which model: signed by clients and edge, and chained, so that changes show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, final

from gainnet.core.errors import ConfigError, PayloadError
from gainnet.core.files import write_json, write_whole
from gainnet.core.outside import read_json
from gainnet.core.randomness import Random
from gainnet.core.run.checkpoint import fingerprint
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.algorithm import Aggregation, Finished, Merged, State
from gainnet.learning.exchange import Uplink
from gainnet.learning.safeguards.signing import Entry, Keyring, canonical, sha256_of
from gainnet.network import EDGE

RECORD = "record.jsonl"
ACCEPTED = ".accepted.json"
"""Of a file beside the record: entries of the round that have receipts."""
MAX_ROUNDS: Final = 1_000_000_000


class Witness(Protocol):
    """The clients of a record, wherever they are; whoever does not answer is missing in the result."""

    def keys(self) -> Mapping[NodeId, str]:
        """Public key of everybody who is enrolled."""

    def enrolments(self, edge_key: str) -> Mapping[NodeId, str]:
        """Signature of each that it is enrolled with the edge of this key."""

    def signed(self, model: str, number: int, sent: Mapping[NodeId, tuple[float, State]]) -> Mapping[NodeId, Entry]:
        """Entries of updates, each with the signature of its client.

        Args:
            model: digest of what the round began with.
            number: of the round, from 1.
            sent: weight and values by name; without values where these are with the client alone.
        """

    def hand(self, receipts: Mapping[NodeId, str]) -> None:
        """Gives each client its receipt, a line."""

    def announce(self, head: str) -> None:
        """Gives all clients the last line of a round."""

    def refuse(self, name: NodeId, reason: PayloadError) -> None:
        """Takes note that a client has signed two different updates of one round."""


@final
@dataclass(frozen=True)
class HostedClients:
    """As `Witness`; clients of this process, which holds their keys.

    Args:
        ring: keys of the clients.
        names: of who is enrolled.
        nodes: folder of what clients keep, one file of receipts each; nothing is kept when `None`.
    """

    ring: Keyring
    names: tuple[NodeId, ...]
    nodes: Path | None = None

    def keys(self) -> Mapping[NodeId, str]:
        """As `Witness.keys`."""
        return {name: self.ring.public(name) for name in self.names}

    def enrolments(self, edge_key: str) -> Mapping[NodeId, str]:
        """As `Witness.enrolments`."""
        keys = self.keys()
        return {name: self.ring.sign(name, enrolment(name, keys[name], edge_key)) for name in self.names}

    def signed(self, model: str, number: int, sent: Mapping[NodeId, tuple[float, State]]) -> Mapping[NodeId, Entry]:
        """As `Witness.signed`."""
        found = {}
        for name, (weight, values) in sent.items():
            said: Entry = {"client": name, "model": model, "round": number, "weight": weight}
            said["update"] = self.ring.committed(name, model, fingerprint(values))
            found[name] = {**said, "client_signature": self.ring.sign(name, said)}
        return found

    def hand(self, receipts: Mapping[NodeId, str]) -> None:
        """As `Witness.hand`."""
        if self.nodes is not None:
            for name, line in receipts.items():
                add_line(self.nodes / receipts_of(name), line)

    def announce(self, head: str) -> None:
        """As `Witness.announce`: whoever shares this process can read the record."""

    def refuse(self, name: NodeId, reason: PayloadError) -> None:
        """As `Witness.refuse`; raises the reason, since nobody here may be lying."""
        raise reason


@final
@dataclass(frozen=True)
class Recorded:
    """An aggregation that writes down what went into every model.

    clients: sign what they send --> edge: receipts, merges, signs and chains --> JSON lines

    Every line holds the SHA-256 of the line before it, and the last line of a round is its head. An interrupted round
    leaves lines without a model; when it is run again they are replaced. Updates stand in it as commitments: whoever
    can guess an update cannot check the guess. What has a receipt is written down before the receipt is handed out, so
    that an edge that dies does not come back without it.

    Args:
        aggregation: what merges.
        path: of the record.
        edge: key of the edge.
        clients: who is enrolled.
    """

    aggregation: Aggregation
    path: Path
    edge: Keyring
    clients: Witness

    def gather(self, uplink: Uplink, start: State, finished: Finished, random: Random) -> Merged:
        """As `Aggregation.gather`; whoever does not sign what it has sent is left out.

        Raises:
            ConfigError: the record at the path is of another run.
        """
        model = fingerprint(start)
        lines, places = self._lines_until(model), {}
        number = sum('"kind":"model"' in line for line in lines) + 1
        accepted = self._accepted(model, number, {c.name: (c.weight, values) for _, c, values in finished})
        signed = [entry for entry in finished if entry[1].name in accepted]
        merged = self.aggregation.gather(uplink, start, signed, random)
        for name in sorted(accepted):
            # Every update that was sent is written, included or not: leaving one out shows.
            places[name] = len(lines)
            self._append(lines, {"kind": "update", **accepted[name]})
        into, rule = sorted(places[name] for name in merged.included), type(self.aggregation).__name__
        head = {"kind": "model", "rule": rule, "updates": into, "model": fingerprint(merged.state)}
        self._append(lines, {**head, "round": number})
        # Whole rounds alone: a kill leaves the record of the round before.
        write_whole(self.path, "".join(f"{line}\n" for line in lines).encode())
        self.clients.announce(lines[-1])
        return merged

    def _accepted(self, model: str, number: int, sent: Mapping[NodeId, tuple[float, State]]) -> dict[NodeId, Entry]:
        """Signed entries of a round by client, of this try and of those before it, each with a receipt."""
        path, place = self.path.with_suffix(ACCEPTED), {"model": model, "round": number}
        known = read_json(path.read_bytes(), f"out: {path}", ConfigError) if path.is_file() else {}
        kept = known.get("entries", {}) if known.get("place") == place else {}
        accepted = {NodeId(name): dict(entry) for name, entry in kept.items()}
        fresh = dict[NodeId, Entry]()
        for name, entry in self.clients.signed(model, number, sent).items():
            if accepted.setdefault(name, entry) == entry:
                fresh[name] = entry
            else:
                self.clients.refuse(name, PayloadError("update: another one of this round has a receipt"))
        write_json(path, {"place": place, "entries": accepted})
        self.clients.hand({name: self._receipt(entry) for name, entry in fresh.items()})
        return accepted

    def _receipt(self, entry: Entry) -> str:
        receipt = {"kind": "receipt", **{key: x for key, x in entry.items() if key != "client_signature"}}
        return canonical(receipt | {"signature": self.edge.sign(EDGE, receipt)})

    def _lines_until(self, model: str) -> list[str]:
        """The lines up to the one that says how this model came about; a first line where there is none."""
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.is_file() else []
        if not self.path.is_file():
            keys = {EDGE: self.edge.public(EDGE), **self.clients.keys()}
            # Each client signs that it is enrolled with this edge by this key: no key enters without its owner.
            bound = dict(self.clients.enrolments(keys[EDGE]))
            self._append(lines, {"kind": "start", "keys": keys, "enrolled": bound, "model": model})
        ends = [i for i, line in enumerate(lines) if '"kind":"update"' not in line and f'"model":"{model}"' in line]
        if not ends:
            raise ConfigError(f"out: {self.path} is the record of another run; give another folder")
        # Lines of a round that was interrupted are dropped; it runs again with the same draws and gives the same
        # lines.
        return lines[: ends[-1] + 1]

    def _append(self, lines: list[str], entry: Entry) -> None:
        # The hash of the line before, signature included: a line cannot be moved, dropped or repeated.
        previous = sha256_of(lines[-1]) if lines else ""
        entry = entry | {"index": len(lines), "previous": previous}
        lines.append(canonical(entry | {"signature": self.edge.sign(EDGE, entry)}))


def enrolment(name: str, key: str, edge_key: str) -> Entry:
    """An entry that a client signs when it is enrolled."""
    return {"client": name, "edge": edge_key, "key": key, "kind": "enrolment"}


def receipts_of(name: NodeId) -> str:
    """Name of the file of a client's receipts.

    >>> receipts_of(NodeId("device_0"))
    'device_0.receipts.jsonl'
    """
    return f"{name}.receipts.jsonl"


def add_line(path: Path, line: str) -> None:
    """Adds a line to a file of a client, unless it is there: a round that runs again gives the same one."""
    kept = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    if line not in kept:
        write_whole(path, "".join(f"{x}\n" for x in (*kept, line)).encode(), 0o600)
