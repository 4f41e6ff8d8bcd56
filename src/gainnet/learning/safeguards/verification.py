"""Checks of a record, by anybody: every line, receipts that prove an omission, heads that prove a split view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

from safetensors import SafetensorError
from safetensors.torch import load_file

from gainnet.core.errors import ConfigError, PayloadError, system_reason
from gainnet.core.outside import read_json, reading
from gainnet.core.run.checkpoint import fingerprint
from gainnet.learning.algorithms.algorithm import State
from gainnet.learning.runner import CHECKPOINT
from gainnet.learning.safeguards.record import RECORD, enrolment
from gainnet.learning.safeguards.signing import Entry, canonical, check_keys, is_signed, sha256_of
from gainnet.network import EDGE

_EVERYWHERE: Mapping[str, type] = {"kind": str, "index": int, "previous": str, "model": str, "signature": str}
_SIGNED_BY_CLIENT: Mapping[str, type] = {"client": str, "model": str, "round": int, "update": str, "weight": float}
_FIELDS: Mapping[str, Mapping[str, type]] = {
    "start": {**_EVERYWHERE, "keys": dict, "enrolled": dict},
    "update": {**_EVERYWHERE, **_SIGNED_BY_CLIENT, "client_signature": str},
    "model": {**_EVERYWHERE, "rule": str, "updates": list, "round": int},
    "receipt": {"kind": str, "signature": str, **_SIGNED_BY_CLIENT},
}


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
        keys_checked: whether keys of clients were there to compare theirs with.
    """

    edge_key: str
    num_models: int
    num_updates: int
    num_included: int
    models_of_client: Mapping[str, int]
    model: str
    state_checked: bool = False
    keys_checked: bool = False


def verify_file(
    path: Path, state: Path | None = None, edge_key: str | None = None, pinned: Path | None = None
) -> Verified:
    """As `verify`, of a file or of the folder of a run.

    Args:
        path: of the record, or the folder that it is in.
        state: safetensors file of the model; that of the folder, where there is one, when `None`.
        edge_key: as `verify`.
        pinned: JSON file of public keys by client; as `verify` without when `None`.

    Raises:
        PayloadError: as `verify`.
        ConfigError: a file cannot be read.
    """
    path = path / RECORD if path.is_dir() else path
    state = path.parent / CHECKPOINT if state is None and (path.parent / CHECKPOINT).is_file() else state
    lines = read_lines(path, "record")
    try:
        tensors = None if state is None else load_file(state)
    except (OSError, SafetensorError) as error:
        raise ConfigError(
            f"state: {state} cannot be read ({system_reason(error)}); give a .safetensors file of a run"
        ) from None
    return verify(lines, tensors, edge_key, None if pinned is None else read_pinned(pinned))


def read_pinned(path: Path) -> dict[str, str]:
    """Public keys by client, of a JSON file.

    Raises:
        PayloadError: it holds something else.
        ConfigError: it cannot be read.
    """
    known = read_json("\n".join(read_lines(path, "pinned")), "pinned")
    if not isinstance(known, dict):
        raise PayloadError("pinned: must be public keys by name of the client")
    return known


def read_lines(path: Path, field: str) -> list[str]:
    """The lines of a file or of the record of a folder, each of which has an end.

    Raises:
        ConfigError: it cannot be read.
        PayloadError: its last line is cut off.
    """
    path = path / RECORD if path.is_dir() else path
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{field}: {path} cannot be read ({system_reason(error)}); give a record or the folder of a run"
        ) from None
    if lines[-1] != "":
        raise PayloadError(f"{field}: line {len(lines)} is cut off")
    return lines[:-1]


def verify(
    lines: Sequence[str],
    state: State | None = None,
    edge_key: str | None = None,
    pinned: Mapping[str, str] | None = None,
) -> Verified:
    """Checks every line of a record.

    Without the last model, lines that are cut off at the end cannot be missed; without keys from elsewhere a record
    that somebody has written anew from end to end is in order, too. With the clients' keys no entry of a client can be
    there that it did not sign, whoever holds the key of the edge.

    Args:
        lines: of the record.
        state: the model that the record should end with.
        edge_key: public key of the edge, 64 hexadecimal digits.
        pinned: public keys by client, as they were at enrolment; clients beyond them are refused.

    Raises:
        PayloadError: names the first line that is not in order.
        MissingExtraError: the library that verifies signatures is not installed.
    """
    entries = [_entry(index, line) for index, line in enumerate(lines)]
    if not entries or entries[0]["kind"] != "start":
        raise PayloadError("record: line 1 does not start a record")
    keys = entries[0]["keys"]
    _check_enrolment(entries[0], edge_key, pinned)
    for index, entry in enumerate(entries):
        previous = sha256_of(lines[index - 1]) if index else ""
        if (entry["index"], entry["previous"]) != (index, previous) or (entry["kind"] == "start") != (index == 0):
            raise _refused(index, "does not follow the line before it; one is changed or missing")
        if not is_signed(keys[EDGE], entry["signature"], _without(entry, "signature")):
            raise _refused(index, "does not carry the signature of the edge; it is changed")
    found = _models(entries, keys)
    if state is not None and fingerprint(state) != found.model:
        raise PayloadError("record: it does not end with this model; lines are missing, or the model is changed")
    return replace(found, state_checked=state is not None, keys_checked=pinned is not None)


def omitted(receipt: str, lines: Sequence[str], edge_key: str) -> bool:
    """Whether a receipt proves that an edge has left an update out of its record.

    Args:
        receipt: the line that the edge signed when it accepted the update.
        lines: of the record, found in order by `verify`.
        edge_key: public key of the edge, as known from elsewhere.

    Returns:
        `True` where the record goes past the round of the receipt and lacks its update; `False` where the update is
        there, or the record has not come so far.

    Raises:
        PayloadError: the receipt is damaged, or not signed by this edge.
    """
    said, entries = check_receipt(receipt, edge_key), [_entry(i, line) for i, line in enumerate(lines)]
    if any(e["kind"] == "update" and {key: e[key] for key in _SIGNED_BY_CLIENT} == said for e in entries):
        return False
    return any(e["kind"] == "model" and e["round"] >= said["round"] for e in entries)


def check_receipt(receipt: str, edge_key: str) -> Entry:
    """Content of a receipt: client, model, round, update and weight, by name.

    Args:
        receipt: a line.
        edge_key: public key of the edge.

    Raises:
        PayloadError: the receipt is damaged, or not signed by this edge.
    """
    given = _read(receipt, "receipt", ("receipt",))
    if not is_signed(edge_key.lower(), given["signature"], _without(given, "signature")):
        raise PayloadError("receipt: it does not carry the signature of this edge")
    return {key: given[key] for key in _SIGNED_BY_CLIENT}


def check_head(line: str, edge_key: str) -> int | None:
    """Number of the round whose head a line of a record is; `None` for another line.

    Args:
        line: of a record.
        edge_key: public key of the edge.

    Raises:
        PayloadError: the line is damaged, or it is a head and not signed by this edge.
    """
    entry = _read(line, "head", ("start", "update", "model"))
    if entry["kind"] != "model":
        return None
    if not is_signed(edge_key.lower(), entry["signature"], _without(entry, "signature")):
        raise PayloadError(f"head: that of round {entry['round']} does not carry the signature of this edge")
    return int(entry["round"])


def split_view(one: Sequence[str], other: Sequence[str], edge_key: str) -> int | None:
    """The first round of which an edge has signed two different heads, `None` where all heads agree.

    One head each is enough, so that clients compare a line and not their records; a shorter view is no other view.

    Args:
        one: lines that somebody was given.
        other: lines that somebody else was given.
        edge_key: public key of the edge, as known from elsewhere.

    Raises:
        PayloadError: a head is damaged, or not signed by this edge.
    """
    first, second = _heads(one, edge_key), _heads(other, edge_key)
    return next((number for number in sorted(first.keys() & second.keys()) if first[number] != second[number]), None)


def _heads(lines: Sequence[str], edge_key: str) -> dict[int, str]:
    rounds = ((check_head(line, edge_key), line) for line in lines)
    return {number: line for number, line in rounds if number is not None}


def _check_enrolment(start: Entry, edge_key: str | None, pinned: Mapping[str, str] | None) -> None:
    keys, bound = start["keys"], start["enrolled"]
    check_keys(keys, "record: line 1")
    if EDGE not in keys or bound.keys() != keys.keys() - {EDGE}:
        raise PayloadError("record: line 1 must hold the public keys of the edge and of every client")
    if edge_key is not None and keys[EDGE] != edge_key.lower():
        raise PayloadError(f"record: it is signed by the edge {keys[EDGE]}, not by {edge_key}")
    for name, key in keys.items():
        if name == EDGE:
            continue
        if not is_signed(key, bound[name], enrolment(name, key, keys[EDGE])):
            raise PayloadError(f"record: line 1 does not carry the enrolment of {name}")
        if pinned is not None and pinned.get(name) != key:
            raise PayloadError(f"record: the key of {name} is not the one that it was enrolled with")
    # One key for two clients would let one of them speak for the other.
    if len(set(keys.values())) != len(keys):
        raise PayloadError("record: line 1 gives two nodes one key")


def _models(entries: Sequence[Entry], keys: Mapping[str, str]) -> Verified:
    """Follows updates into models, each update into the next one at most."""
    model, number, waiting = entries[0]["model"], 0, dict[int, str]()
    counts = dict.fromkeys(sorted(set(keys) - {EDGE}), 0)
    for index, entry in enumerate(entries[1:], 1):
        if entry["round"] != number + 1:
            raise _refused(index, f"is of round {entry['round']}, not of {number + 1}")
        if entry["kind"] == "update":
            client = entry["client"]
            if client not in counts or client in waiting.values():
                raise _refused(index, "is of a stranger, or of a client that has sent already")
            if any(client < name for name in waiting.values()):
                raise _refused(index, "is not in the order of the names")
            if entry["model"] != model:
                raise _refused(index, "starts from another model than the one before it")
            said = {key: entry[key] for key in _SIGNED_BY_CLIENT}
            if not is_signed(keys[client], entry["client_signature"], said):
                raise _refused(index, f"does not carry the signature of {client}; it is changed")
            waiting[index] = client
            continue
        into = entry["updates"]
        if any(type(place) is not int or place not in waiting for place in into) or into != sorted(set(into)):
            raise _refused(index, "names an update that is not of its round")
        for place in into:
            counts[waiting[place]] += 1
        model, number, waiting = entry["model"], number + 1, {}
    if waiting:
        raise PayloadError("record: updates at its end went into no model; lines are missing")
    num_updates = sum(entry["kind"] == "update" for entry in entries)
    return Verified(keys[EDGE], number, num_updates, sum(counts.values()), counts, model)


def _entry(index: int, line: str) -> Entry:
    return _read(line, f"record: line {index + 1}", ("start", "update", "model"))


def _read(line: str, field: str, kinds: Sequence[str]) -> Entry:
    with reading(field):
        entry: Entry = read_json(line, field)
        # One spelling of every line: another one of the same values would be another record with the same meaning.
        types = _FIELDS[entry["kind"]] if entry["kind"] in kinds else None
        if {key: type(value) for key, value in entry.items()} == types and canonical(entry) == line:
            return entry
    raise PayloadError(f"{field} is damaged")


def _refused(index: int, why: str) -> PayloadError:
    return PayloadError(f"record: line {index + 1} {why}")


def _without(entry: Entry, name: str) -> Entry:
    return {key: value for key, value in entry.items() if key != name}
