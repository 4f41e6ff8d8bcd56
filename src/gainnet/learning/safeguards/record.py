"""A record of which update went into which model: signed by clients and edge, and chained, so that changes show."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import final

from gainnet.core.errors import ConfigError
from gainnet.core.files import write_whole
from gainnet.core.randomness import Random
from gainnet.core.run.checkpoint import fingerprint
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.algorithm import Aggregation, Finished, Merged, State
from gainnet.learning.exchange import Uplink
from gainnet.learning.safeguards.signing import Entry, Keyring, canonical, sha256_of
from gainnet.network import EDGE

RECORD = "record.jsonl"


@final
@dataclass(frozen=True)
class Recorded:
    """An aggregation that writes down what went into every model.

    clients: sign what they send --> edge: receipts, merges, signs and chains --> JSON lines

    Every line holds the SHA-256 of the line before it, and the last line of a round is its head. An interrupted round
    leaves lines without a model; when it is run again they are replaced. Updates stand in it as commitments: whoever
    can guess an update cannot check the guess.

    Args:
        aggregation: what merges.
        path: of the record.
        keys: of edge and clients.
        clients: who is enrolled.
        nodes: folder of what clients keep, one file of receipts each; nothing is kept when `None`.
    """

    aggregation: Aggregation
    path: Path
    keys: Keyring
    clients: tuple[NodeId, ...]
    nodes: Path | None = None

    def gather(self, uplink: Uplink, start: State, finished: Finished, random: Random) -> Merged:
        """As `Aggregation.gather`.

        Raises:
            ConfigError: the record at the path is of another run.
        """
        model = fingerprint(start)
        lines, places = self._lines_until(model), {}
        num_before = sum('"kind":"model"' in line for line in lines)
        merged = self.aggregation.gather(uplink, start, finished, random)
        for _, client, values in sorted(finished, key=lambda entry: entry[1].name):
            # Every update that was sent is written, included or not: leaving one out shows.
            places[client.name] = len(lines)
            said: Entry = {"client": client.name, "model": model, "round": num_before + 1, "weight": client.weight}
            said["update"] = self.keys.committed(client.name, model, fingerprint(values))
            self._append(lines, {"kind": "update", **said, "client_signature": self.keys.sign(client.name, said)})
            self._hand_receipt(client.name, said)
        into, rule = sorted(places[name] for name in merged.included), type(self.aggregation).__name__
        head = {"kind": "model", "rule": rule, "updates": into, "model": fingerprint(merged.state)}
        self._append(lines, {**head, "round": num_before + 1})
        # Whole rounds alone: a kill leaves the record of the round before.
        write_whole(self.path, "".join(f"{line}\n" for line in lines).encode())
        return merged

    def _lines_until(self, model: str) -> list[str]:
        """The lines up to the one that says how this model came about; a first line where there is none."""
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.is_file() else []
        if not self.path.is_file():
            keys = {name: self.keys.public(name) for name in (EDGE, *self.clients)}
            # Each client signs that it is enrolled with this edge by this key: no key enters without its owner.
            bound = {name: self.keys.sign(name, enrolment(name, keys[name], keys[EDGE])) for name in self.clients}
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
        lines.append(canonical(entry | {"signature": self.keys.sign(EDGE, entry)}))

    def _hand_receipt(self, name: NodeId, said: Entry) -> None:
        if self.nodes is None:
            return
        receipt = {"kind": "receipt", **said}
        line, path = canonical(receipt | {"signature": self.keys.sign(EDGE, receipt)}), self.nodes / receipts_of(name)
        kept = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        # A round that runs again gives the same receipt.
        if line not in kept:
            write_whole(path, "".join(f"{x}\n" for x in (*kept, line)).encode(), 0o600)


def enrolment(name: str, key: str, edge_key: str) -> Entry:
    """An entry that a client signs when it is enrolled."""
    return {"client": name, "edge": edge_key, "key": key, "kind": "enrolment"}


def receipts_of(name: NodeId) -> str:
    """Name of the file of a client's receipts.

    >>> receipts_of(NodeId("device_0"))
    'device_0.receipts.jsonl'
    """
    return f"{name}.receipts.jsonl"
