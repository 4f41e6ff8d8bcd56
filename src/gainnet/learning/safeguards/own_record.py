"""A member's side of a signed record that an edge elsewhere writes: its key, its signatures, and what it keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from gainnet.core.errors import ConfigError, PayloadError
from gainnet.core.outside import read_integer, read_text
from gainnet.core.run.checkpoint import fingerprint
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.algorithm import State
from gainnet.learning.safeguards.notes import Notes
from gainnet.learning.safeguards.record import MAX_ROUNDS, add_line, enrolment, receipts_of
from gainnet.learning.safeguards.signing import Entry, Keyring, check_keys
from gainnet.learning.safeguards.verification import check_head, check_receipt


@final
@dataclass(frozen=True)
class OwnRecord:
    """The signing key of one member, and its files: receipts and heads that its edge has signed.

    The key of the edge is pinned when it is first seen, or known from elsewhere; an edge with another one is refused.

    Args:
        name: of the member.
        keys: folder of its signing key, `NAME.key`.
        folder: of what it keeps of a run: `NAME.receipts.jsonl`, `NAME.heads.jsonl`.
        notes: what it remembers.
        edge_key: of the edge, as known from elsewhere; the first one counts when `None`.
    """

    name: NodeId
    keys: Path
    folder: Path
    notes: Notes
    edge_key: str | None = None

    def enrol(self, words: Mapping[str, Any]) -> dict[str, Any]:
        """Public key and signature of an enrolment with the edge whose key the words say.

        Raises:
            PayloadError: it says no key.
            ConfigError: it is not the key that is pinned.
        """
        edge = read_text(words.get("edge"), "edge", 64)
        check_keys({"edge": edge}, "edge")
        known = self.edge_key or self.notes.read("edge").get("key", edge)
        if known != edge:
            raise ConfigError(
                f"edge_key: the edge signs with {edge[:16]}... and is known by {known[:16]}...; ask it why"
            )
        self.notes.write("edge", {"key": edge})
        key = self._ring.public(self.name)
        return {"key": key, "signature": self._ring.sign(self.name, enrolment(self.name, key, edge))}

    def sign(self, words: Mapping[str, Any], weight: float, values: State) -> dict[str, Any]:
        """Commitment to an update, and the signature of its entry.

        Args:
            words: model that the round began with, and number of the round.
            weight: of the member in an average.
            values: its update.

        Raises:
            PayloadError: the words are malformed.
        """
        model = read_text(words.get("model"), "model", 64)
        number = read_integer(words.get("round"), "round", 1, MAX_ROUNDS)
        said: Entry = {"client": self.name, "model": model, "round": number, "weight": weight}
        said["update"] = self._ring.committed(self.name, model, fingerprint(values))
        signature = self._ring.sign(self.name, said)
        self.notes.write("said", said)
        return {"weight": weight, "commitment": said["update"], "client_signature": signature}

    def keep(self, words: Mapping[str, Any]) -> None:
        """Writes a receipt or a head down, a line each.

        Raises:
            PayloadError: the edge has not signed it, or it is of another update.
        """
        edge, line = self.notes.read("edge").get("key", ""), read_text(words.get("line"), "line", 1 << 16)
        if words["step"] == "receipt":
            if check_receipt(line, edge) != self.notes.read("said"):
                raise PayloadError("receipt: it is not of what this member has signed; the edge is not to be trusted")
            return add_line(self.folder / receipts_of(self.name), line)
        check_head(line, edge)
        return add_line(self.folder / f"{self.name}.heads.jsonl", line)

    @property
    def _ring(self) -> Keyring:
        return Keyring.of(self.keys, (self.name,))
