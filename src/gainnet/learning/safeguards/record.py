"""A record of which update went into which model: signed by clients and edge, and chained, so that changes show."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

from safetensors import SafetensorError
from safetensors.torch import load_file

from gainnet.core.errors import ConfigError, PayloadError, import_extra
from gainnet.core.files import write_whole
from gainnet.core.outside import read_json, reading
from gainnet.core.randomness import Random
from gainnet.core.run.checkpoint import fingerprint
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.algorithm import Aggregation, Finished, Merged, State
from gainnet.learning.exchange import Uplink
from gainnet.learning.runner import CHECKPOINT
from gainnet.network import EDGE

RECORD, SECRET = "record.jsonl", "record.key"
_EVERYWHERE = {"kind": str, "index": int, "previous": str, "model": str, "signature": str}
_FIELDS: Mapping[str, Mapping[str, type]] = {
    "start": _EVERYWHERE | {"keys": dict},
    "update": _EVERYWHERE | {"client": str, "update": str, "weight": float, "client_signature": str},
    "model": _EVERYWHERE | {"rule": str, "updates": list},
}
_SIGNED_BY_CLIENT = ("client", "model", "update", "weight")

_KEY, _SIGNATURE = re.compile("[0-9a-f]{64}"), re.compile("[0-9a-f]{128}")

Entry = dict[str, Any]


def require_ed25519() -> Any:
    """Ed25519 of the library cryptography; raises `MissingExtraError` when it is not installed."""
    return import_extra("cryptography.hazmat.primitives.asymmetric.ed25519", "cryptography", "privacy")


@final
@dataclass(frozen=True)
class Keyring:
    """The signing keys of edge and clients of a run in one process, all from one secret.

    Where nodes are apart every node has its own secret, and only public keys meet.

    Args:
        secret: 32 bytes or more.
    """

    secret: bytes

    @staticmethod
    def of(folder: Path) -> Keyring:
        """The keyring of a folder, drawn by the system when it has none; the file is for its owner alone."""
        path = folder / SECRET
        if not path.is_file():
            write_whole(path, secrets.token_hex(32).encode(), 0o600)
        try:
            return Keyring(bytes.fromhex(path.read_text(encoding="ascii")))
        except ValueError:
            raise ConfigError(f"out: {path} is damaged; give another folder, or delete it with the record") from None

    def public(self, name: NodeId) -> str:
        """The public key of a node, 64 hexadecimal digits."""
        return str(self._key(name).public_key().public_bytes_raw().hex())

    def sign(self, name: NodeId, content: bytes) -> str:
        """A node's signature (Ed25519, RFC 8032), 128 hexadecimal digits."""
        return str(self._key(name).sign(content).hex())

    def _key(self, name: NodeId) -> Any:
        # A key per node from one secret: nodes of one process have keys of their own, and one file to keep.
        seed = hashlib.sha256(self.secret + b"/" + name.encode()).digest()
        return require_ed25519().Ed25519PrivateKey.from_private_bytes(seed)


@final
@dataclass(frozen=True)
class Recorded:
    """An aggregation that writes down what went into every model.

    clients: sign what they send --> edge: merges, signs and chains --> JSON lines

    Every line holds the SHA-256 of the line before it. An interrupted round leaves lines without a model; when it is
    run again they are replaced. Hashes say nothing about values nobody knows; but whoever can guess an update can
    check the guess, so a record of private rounds is for those that the edge may tell.

    Args:
        aggregation: what merges.
        path: of the record.
        keys: of edge and clients.
        clients: who may take part.
    """

    aggregation: Aggregation
    path: Path
    keys: Keyring
    clients: tuple[NodeId, ...]

    def gather(self, uplink: Uplink, start: State, finished: Finished, random: Random) -> Merged:
        """As `Aggregation.gather`.

        Raises:
            ConfigError: the record at the path is of another run.
        """
        model = fingerprint(start)
        lines, places = self._lines_until(model), {}
        merged = self.aggregation.gather(uplink, start, finished, random)
        for _, client, values in sorted(finished, key=lambda entry: entry[1].name):
            # Every update that was sent is written, included or not: leaving one out shows.
            places[client.name] = len(lines)
            said: Entry = {"client": client.name, "model": model, "update": fingerprint(values)}
            said["weight"] = client.weight
            signature = self.keys.sign(client.name, _canonical(said).encode())
            self._append(lines, {"kind": "update", **said, "client_signature": signature})
        into, rule = sorted(places[name] for name in merged.included), type(self.aggregation).__name__
        self._append(lines, {"kind": "model", "rule": rule, "updates": into, "model": fingerprint(merged.state)})
        # Whole rounds alone: a kill leaves the record of the round before.
        write_whole(self.path, "".join(f"{line}\n" for line in lines).encode())
        return merged

    def _lines_until(self, model: str) -> list[str]:
        """The lines up to the one that says how this model came about; a first line where there is none."""
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.is_file() else []
        if not self.path.is_file():
            keys = {name: self.keys.public(name) for name in (EDGE, *self.clients)}
            self._append(lines, {"kind": "start", "keys": keys, "model": model})
        ends = [i for i, line in enumerate(lines) if '"kind":"update"' not in line and f'"model":"{model}"' in line]
        if not ends:
            raise ConfigError(f"out: {self.path} is the record of another run; give another folder")
        # Lines of a round that was interrupted are dropped; it runs again with the same draws and gives the same
        # lines.
        return lines[: ends[-1] + 1]

    def _append(self, lines: list[str], entry: Entry) -> None:
        # The hash of the line before, signature included: a line cannot be moved, dropped or repeated.
        previous = _sha256(lines[-1]) if lines else ""
        entry = entry | {"index": len(lines), "previous": previous}
        lines.append(_canonical(entry | {"signature": self.keys.sign(EDGE, _canonical(entry).encode())}))


@final
@dataclass(frozen=True)
class Verified:
    """Contents of a record that was found in order.

    Args:
        edge_key: public key of the edge that signed it; compare it with one from elsewhere.
        num_models: models that were made.
        num_updates: updates that clients have signed.
        num_included: updates that went into a model.
        models_of_client: in how many models each client's updates are.
        model: fingerprint of the last model.
        state_checked: whether a model was there to compare it with.
    """

    edge_key: str
    num_models: int
    num_updates: int
    num_included: int
    models_of_client: Mapping[str, int]
    model: str
    state_checked: bool = False


def verify_file(path: Path, state: Path | None = None, edge_key: str | None = None) -> Verified:
    """As `verify`, of a file or of the folder of a run.

    Args:
        path: of the record, or the folder that it is in.
        state: safetensors file of the model; that of the folder, where there is one, when `None`.
        edge_key: as `verify`.

    Raises:
        PayloadError: as `verify`.
        ConfigError: a file cannot be read.
    """
    path = path / RECORD if path.is_dir() else path
    state = path.parent / CHECKPOINT if state is None and (path.parent / CHECKPOINT).is_file() else state
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"record: {path} cannot be read ({error}); give a record or the folder of a run") from None
    try:
        tensors = None if state is None else load_file(state)
    except (OSError, SafetensorError) as error:
        raise ConfigError(f"state: {state} cannot be read ({error}); give a .safetensors file of a run") from None
    if lines[-1] != "":
        raise PayloadError(f"record: line {len(lines)} is cut off")
    return verify(lines[:-1], tensors, edge_key)


def verify(lines: Sequence[str], state: State | None = None, edge_key: str | None = None) -> Verified:
    """Checks every line of a record.

    Without the last model, lines that are cut off at the end cannot be missed; without the edge's key from elsewhere a
    record that somebody has written anew from end to end is in order, too. With both any change shows, and one of what
    a client has sent even when the edge itself made it, since the client has signed.

    Args:
        lines: of the record.
        state: the model that the record should end with.
        edge_key: public key of the edge, 64 hexadecimal digits.

    Raises:
        PayloadError: names the first line that is not in order.
        MissingExtraError: the library that verifies signatures is not installed.
    """
    entries = [_entry(index, line) for index, line in enumerate(lines)]
    if not entries or entries[0]["kind"] != "start":
        raise PayloadError("record: line 1 does not start a record")
    keys = entries[0]["keys"]
    if EDGE not in keys or not all(isinstance(key, str) and _KEY.fullmatch(key) for key in keys.values()):
        raise PayloadError("record: line 1 must hold the public keys of the edge and of every client")
    if edge_key is not None and keys[EDGE] != edge_key.lower():
        raise PayloadError(f"record: it is signed by the edge {keys[EDGE]}, not by {edge_key}")
    for index, entry in enumerate(entries):
        previous = _sha256(lines[index - 1]) if index else ""
        if (entry["index"], entry["previous"]) != (index, previous) or (entry["kind"] == "start") != (index == 0):
            raise _refused(index, "does not follow the line before it; one is changed or missing")
        unsigned = {key: value for key, value in entry.items() if key != "signature"}
        _check_signature(index, "edge", keys[EDGE], entry["signature"], unsigned)
    found = _models(entries, keys)
    if state is not None and fingerprint(state) != found.model:
        raise PayloadError("record: it does not end with this model; lines are missing, or the model is changed")
    return replace(found, state_checked=state is not None)


def _models(entries: Sequence[Entry], keys: Mapping[str, str]) -> Verified:
    """Follows updates into models, each update into the next one at most."""
    model, num_models, waiting = entries[0]["model"], 0, dict[int, str]()
    counts = dict.fromkeys(sorted(set(keys) - {EDGE}), 0)
    for index, entry in enumerate(entries[1:], 1):
        if entry["kind"] == "update":
            client = entry["client"]
            if client not in counts or client in waiting.values():
                raise _refused(index, "is of a stranger, or of a client that has sent already")
            if entry["model"] != model:
                raise _refused(index, "starts from another model than the one before it")
            said = {key: entry[key] for key in _SIGNED_BY_CLIENT}
            _check_signature(index, client, keys[client], entry["client_signature"], said)
            waiting[index] = client
            continue
        into = entry["updates"]
        if any(type(place) is not int or place not in waiting for place in into) or len(set(into)) < len(into):
            raise _refused(index, "names an update that is not of its round")
        for place in into:
            counts[waiting[place]] += 1
        model, num_models, waiting = entry["model"], num_models + 1, {}
    if waiting:
        raise PayloadError("record: updates at its end went into no model; lines are missing")
    num_updates = sum(entry["kind"] == "update" for entry in entries)
    return Verified(keys[EDGE], num_models, num_updates, sum(counts.values()), counts, model)


def _entry(index: int, line: str) -> Entry:
    with reading(f"record: line {index + 1}"):
        entry: Entry = read_json(line, f"record: line {index + 1}")
        types = _FIELDS[entry["kind"]]
        # One spelling of every line: another one of the same values would be another record with the same meaning.
        if {key: type(value) for key, value in entry.items()} == types and _canonical(entry) == line:
            return entry
    raise _refused(index, "is damaged")


def _refused(index: int, why: str) -> PayloadError:
    return PayloadError(f"record: line {index + 1} {why}")


def _check_signature(index: int, who: str, key: str, signature: str, content: Entry) -> None:
    from cryptography.exceptions import InvalidSignature

    # Hexadecimal digits have two cases, and `fromhex` skips spaces: a signature has one spelling.
    if not _SIGNATURE.fullmatch(signature):
        raise _refused(index, "must hold a signature of 128 digits in lower case")
    try:
        public = require_ed25519().Ed25519PublicKey.from_public_bytes(bytes.fromhex(key))
        public.verify(bytes.fromhex(signature), _canonical(content).encode())
    except (InvalidSignature, ValueError):
        raise _refused(index, f"does not carry the signature of {who}; it is changed") from None


def _canonical(entry: Entry) -> str:
    return json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _sha256(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()
