"""Clients of a signed record in other processes: each holds its own key, and keeps its receipts itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from gainnet.core.errors import ConfigError, PayloadError
from gainnet.core.outside import read_json, read_text, reading
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.algorithm import State
from gainnet.learning.engines.asking import STEP, Question, Roll
from gainnet.learning.safeguards.record import enrolment
from gainnet.learning.safeguards.signing import Entry, check_keys, is_signed


@final
@dataclass(frozen=True)
class DistantClients:
    """As `Witness`; keys are pinned when clients are enrolled, and a record that goes on has them in its first line.

    Args:
        roll: reaches the clients.
        pinned: public keys by name.
        bound: signatures of enrolments by name.
    """

    roll: Roll
    pinned: Mapping[NodeId, str]
    bound: Mapping[NodeId, str]

    @staticmethod
    def enrolled(
        roll: Roll, names: tuple[NodeId, ...], edge_key: str, record: Path, known: Mapping[str, str] | None = None
    ) -> DistantClients:
        """Clients that are enrolled now, or were when a record began.

        Args:
            roll: reaches them; all have to be there.
            names: of all.
            edge_key: public key of the edge.
            record: where there is one, it is gone on with.
            known: public keys by name from elsewhere; the first that a client says counts when `None`.

        Raises:
            ConfigError: a client says no key, or another one than it is known by, or the record is damaged.
        """
        if record.is_file():
            with reading(f"out: {record}", ConfigError), record.open(encoding="utf-8") as file:
                start = read_json(file.readline(), f"out: {record}", ConfigError)
                bound = {NodeId(name): str(signature) for name, signature in start["enrolled"].items()}
                return DistantClients(roll, {name: str(start["keys"][name]) for name in bound}, bound)

        def question(name: NodeId) -> Question:
            return Question({STEP: "enrol", "edge": edge_key}, lambda words, _: _enrolment(name, edge_key, words))

        found = roll.ask({name: question(name) for name in names})
        if missing := sorted({*names} - found.keys()):
            raise ConfigError(f"clients: {', '.join(missing)} did not enrol with a key of their own; see what they say")
        keys = {name: key for name, (key, _) in found.items()}
        if others := sorted(name for name in names if known is not None and known.get(name) != keys[name]):
            raise ConfigError(f"pinned: {others[0]} came with another key than it is known by; ask it, and start anew")
        if len({*keys.values()}) != len(keys):
            raise ConfigError("clients: two of them have enrolled with one key; give each a folder of its own")
        return DistantClients(roll, keys, {name: signature for name, (_, signature) in found.items()})

    def keys(self) -> Mapping[NodeId, str]:
        """As `Witness.keys`."""
        return self.pinned

    def enrolments(self, edge_key: str) -> Mapping[NodeId, str]:
        """As `Witness.enrolments`."""
        return self.bound

    def signed(self, model: str, number: int, sent: Mapping[NodeId, tuple[float, State]]) -> Mapping[NodeId, Entry]:
        """As `Witness.signed`; a signature that is not by the key that is pinned leaves its client out."""

        def question(name: NodeId, weight: float) -> Question:
            def read(words: Mapping[str, Any], _: State) -> Entry:
                said: Entry = {"client": name, "model": model, "round": number, "weight": weight}
                said["update"] = read_text(words.get("commitment"), "commitment", 64)
                check_keys({name: said["update"]}, "commitment")
                if not is_signed(self.pinned[name], words.get("client_signature"), said):
                    raise PayloadError("client_signature: it is not by the key that this client was enrolled with")
                return {**said, "client_signature": words["client_signature"]}

            return Question({STEP: "sign", "model": model, "round": number}, read)

        found = self.roll.ask({name: question(name, weight) for name, (weight, _) in sent.items()})
        self.roll.miss(sent.keys() - found.keys())
        return found

    def hand(self, receipts: Mapping[NodeId, str]) -> None:
        """As `Witness.hand`."""
        self._tell("receipt", receipts)

    def announce(self, head: str) -> None:
        """As `Witness.announce`; whoever is away has no head of this round."""
        self._tell("head", dict.fromkeys(self.roll.present, head))

    def refuse(self, name: NodeId, reason: PayloadError) -> None:
        """As `Witness.refuse`: it is asked for nothing any more."""
        self.roll.ban(name, reason)

    def _tell(self, step: str, lines: Mapping[NodeId, str]) -> None:
        self.roll.ask({name: Question({STEP: step, "line": line}, lambda *_: True) for name, line in lines.items()})


def _enrolment(name: NodeId, edge_key: str, words: Mapping[str, Any]) -> tuple[str, str]:
    """(public key, signature) that a client says."""
    key = read_text(words.get("key"), "key", 64)
    check_keys({name: key}, "key")
    if not is_signed(key, words.get("signature"), enrolment(name, key, edge_key)):
        raise PayloadError("signature: that of the enrolment is not by the key that comes with it")
    return key, str(words["signature"])
