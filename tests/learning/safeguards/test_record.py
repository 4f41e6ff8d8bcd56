"""The record: what is in order is found in order, and no change of any line stays unseen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from gainnet.core.errors import ConfigError, GainnetError, PayloadError
from gainnet.core.randomness import Random
from gainnet.core.run.checkpoint import fingerprint
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.algorithm import Open, State
from gainnet.learning.clients import Client, cell_of, devices_of
from gainnet.learning.exchange import PRIVATE, Exchange, Uplink
from gainnet.learning.safeguards.record import RECORD, HostedClients, Recorded, enrolment, receipts_of
from gainnet.learning.safeguards.robust import Krum
from gainnet.learning.safeguards.signing import Keyring, canonical, nodes_folder
from gainnet.learning.safeguards.verification import omitted, split_view, verify, verify_file
from gainnet.network import EDGE, profile
from gainnet.radio import Ideal

NAMES = devices_of(5)
KEYS = Keyring({name: hashlib.sha256(name.encode()).digest() for name in (EDGE, *NAMES)})
PINNED = {str(name): KEYS.public(name) for name in NAMES}


def one_round(recorded: Recorded, state: State, seed: int, num: int = 5) -> State:
    cell = cell_of(NAMES, profile("edge_l4"), profile("phone"), (Ideal(),), (Ideal(),))
    random = Random.of(seed)
    finished = [
        (0.0, Client(name, torch.zeros(3, 2)), {n: x + random.normal(x.shape, name) for n, x in state.items()})
        for name in NAMES[:num]
    ]
    air = Exchange(cell, random, PRIVATE)
    return recorded.gather(Uplink(air, "adapters"), state, finished, random).state


def written(path: Path, rounds: int = 2) -> tuple[list[str], State]:
    recorded, state = (
        Recorded(Open(Krum(1)), path, KEYS, HostedClients(KEYS, NAMES, path.parent / "nodes")),
        {"a": torch.zeros(3)},
    )
    for seed in range(rounds):
        state = dict(one_round(recorded, state, seed))
    return path.read_text().splitlines(), state


def test_what_was_written_is_in_order(tmp_path: Path) -> None:
    lines, state = written(tmp_path / RECORD)
    found = verify(lines, state, KEYS.public(EDGE), PINNED)
    assert (found.state_checked, found.keys_checked) == (True, True)
    assert (found.num_models, found.num_updates, found.num_included) == (2, 10, 2)
    assert sum(found.models_of_client.values()) == 2, "Krum takes one update per round"
    assert len(lines) == 1 + 2 * 6
    update = json.loads(lines[1])
    chosen = json.loads(lines[6])["updates"]
    assert update["kind"] == "update"
    assert chosen[0] in range(1, 6)


def changes(value: Any) -> Iterator[Any]:
    """Other values of the same kind, the nearest to go unseen."""
    if isinstance(value, str):
        yield value[:-1] + ("0" if value[-1:] != "0" else "1")
        yield value[1:] or "x"
    elif isinstance(value, int | float):
        yield value + 1
    elif isinstance(value, list):
        yield value[:-1] if value else [1]
        yield [*value, 2] if 2 not in value else [3]
    elif isinstance(value, dict):
        for key in value:
            for other in changes(value[key]):
                yield value | {key: other}


def assert_seen(lines: list[str], state: State) -> None:
    with pytest.raises(PayloadError, match="record"):
        verify(lines, state, KEYS.public(EDGE), PINNED)


@pytest.mark.slow
def test_every_change_of_every_field_of_every_line_is_seen(tmp_path: Path) -> None:
    lines, state = written(tmp_path / RECORD)
    num = 0
    for index, line in enumerate(lines):
        entry = json.loads(line)
        for key in entry:
            for other in changes(entry[key]):
                assert_seen([*lines[:index], canonical(entry | {key: other}), *lines[index + 1 :]], state)
                num += 1
        assert_seen(
            [*lines[:index], canonical({k: v for k, v in entry.items() if k != "index"}), *lines[index + 1 :]], state
        )
        assert_seen([*lines[:index], line + " ", *lines[index + 1 :]], state)
    assert num > 150


def test_deletion_repetition_and_reordering_of_any_line_is_seen(tmp_path: Path) -> None:
    lines, state = written(tmp_path / RECORD)
    for i, line in enumerate(lines):
        assert_seen(lines[:i] + lines[i + 1 :], state)
        assert_seen(lines[:i], state)
        assert_seen([*lines[:i], line, *lines[i:]], state)
        for j in range(i + 1, len(lines)):
            swapped = list(lines)
            swapped[i], swapped[j] = swapped[j], swapped[i]
            assert_seen(swapped, state)


def chained(entries: list[dict[str, Any]], keys: Keyring) -> list[str]:
    """The lines of an edge that signs whatever it likes."""
    lines: list[str] = []
    for index, entry in enumerate(entries):
        previous = hashlib.sha256(lines[-1].encode()).hexdigest() if lines else ""
        bare = {k: v for k, v in entry.items() if k != "signature"} | {"index": index, "previous": previous}
        lines.append(canonical(bare | {"signature": keys.sign(EDGE, bare)}))
    return lines


@pytest.mark.slow
def test_not_even_the_edge_can_change_what_a_client_has_signed(tmp_path: Path) -> None:
    lines, state = written(tmp_path / RECORD)
    entries = [json.loads(line) for line in lines]
    assert chained(entries, KEYS) == lines, "the forger of this test does what the edge does"
    for index, entry in enumerate(entries):
        for key in ("client", "model", "round", "update", "weight", "client_signature"):
            if entry["kind"] == "update":
                forged = [*entries[:index], entry | {key: next(changes(entry[key]))}, *entries[index + 1 :]]
                assert_seen(chained(forged, KEYS), state)


def test_a_record_by_another_edge_is_seen_by_its_key(tmp_path: Path) -> None:
    lines, state = written(tmp_path / RECORD)
    other = Keyring({name: hashlib.sha256(b"other" + name.encode()).digest() for name in (EDGE, *NAMES)})
    entries = [json.loads(line) for line in lines]
    entries[0]["keys"][EDGE] = other.public(EDGE)
    assert_seen(chained(entries, other), state)  # no client has enrolled with it
    entries[0]["keys"] = {name: other.public(NodeId(name)) for name in entries[0]["keys"]}
    for name in NAMES:
        bound = enrolment(name, other.public(name), other.public(EDGE))
        entries[0]["enrolled"][name] = other.sign(name, bound)
    for entry in entries:
        if entry["kind"] == "update":
            said = {key: entry[key] for key in ("client", "model", "round", "update", "weight")}
            entry["client_signature"] = other.sign(NodeId(entry["client"]), said)
    forged = chained(entries, other)
    verify(forged, state)  # in order by itself: written anew from end to end
    assert_seen(forged, state)
    with pytest.raises(PayloadError, match="not the one that it was enrolled with"):
        verify(forged, state, None, PINNED)


def test_a_round_that_is_run_again_replaces_its_lines(tmp_path: Path) -> None:
    lines, _ = written(tmp_path / RECORD, rounds=3)
    recorded = Recorded(Open(Krum(1)), tmp_path / RECORD, KEYS, HostedClients(KEYS, NAMES))
    middle = one_round(
        Recorded(Open(Krum(1)), tmp_path / "other", KEYS, HostedClients(KEYS, NAMES)), {"a": torch.zeros(3)}, 0
    )
    assert verify(lines[:7], middle).num_models == 1
    for seed in (1, 2):
        middle = one_round(recorded, middle, seed)
    assert (tmp_path / RECORD).read_text().splitlines() == lines, "the same to the last byte"
    with pytest.raises(ConfigError, match="another run"):
        one_round(recorded, {"a": torch.ones(3)}, 0)


def test_keys_are_kept_by_each_node_and_not_in_the_run(tmp_path: Path) -> None:
    nodes = nodes_folder(tmp_path / "run")
    first, again = Keyring.of(nodes, NAMES), Keyring.of(nodes, NAMES[:2])
    assert {name: first.seeds[name] for name in NAMES[:2]} == again.seeds
    assert len({first.public(name) for name in NAMES}) == len(NAMES)
    assert sorted(p.name for p in nodes.iterdir()) == sorted(f"{name}.key" for name in NAMES)
    assert all((nodes / f"{name}.key").stat().st_mode & 0o077 == 0 for name in NAMES)
    (nodes / "device_0.key").write_text("no key")
    with pytest.raises(ConfigError, match="damaged"):
        Keyring.of(nodes, NAMES)


def test_a_receipt_proves_an_omission(tmp_path: Path) -> None:
    lines, _ = written(tmp_path / RECORD)
    edge, receipts = KEYS.public(EDGE), (tmp_path / "nodes" / receipts_of(NAMES[3])).read_text().splitlines()
    assert len(receipts) == 2
    assert not any(omitted(receipt, lines, edge) for receipt in receipts)
    assert not omitted(receipts[1], lines[:7], edge), "the record has not come so far"
    entries = [json.loads(line) for line in lines]
    left_out = [e for e in entries if e.get("client") != NAMES[3]]
    places = {e.get("client_signature"): i for i, e in enumerate(left_out) if e["kind"] == "update"}
    for entry in left_out:
        if entry["kind"] == "model":
            signed = [entries[i]["client_signature"] for i in entry["updates"]]
            entry["updates"] = [places[one] for one in signed if one in places]
    forged = chained(left_out, KEYS)
    verify(forged, None, edge, PINNED)  # in order by itself: nobody else could know
    assert all(omitted(receipt, forged, edge) for receipt in receipts)
    with pytest.raises(PayloadError, match="receipt"):
        omitted(receipts[0].replace('"round":1', '"round":2'), lines, edge)
    with pytest.raises(PayloadError, match="receipt: cannot be read"):
        omitted("[" * 50_000, lines, edge)


def test_two_heads_of_one_round_prove_a_split_view(tmp_path: Path) -> None:
    edge, (lines, _) = KEYS.public(EDGE), written(tmp_path / RECORD)
    assert split_view(lines, lines[:7], edge) is None, "a shorter view is no other view"
    entries = [json.loads(line) for line in lines]
    entries[-1]["model"] = "0" * 64
    other = chained(entries, KEYS)
    verify(other, None, edge, PINNED)  # each view is in order by itself
    assert split_view(lines, other, edge) == split_view(lines[-1:], other[-1:], edge) == 2
    with pytest.raises(PayloadError, match="head"):
        split_view(lines, [other[-1].replace('"round":2', '"round":1')], edge)


def test_updates_stand_in_the_record_as_commitments(tmp_path: Path) -> None:
    """Who knows an update, as the adversary of differential privacy does, cannot check that it is there."""
    lines, _ = written(tmp_path / RECORD, rounds=1)
    random, start = Random.of(0), {"a": torch.zeros(3)}
    known = {fingerprint({n: x + random.normal(x.shape, name) for n, x in start.items()}) for name in NAMES}
    assert not any(update in line for line in lines if '"kind":"update"' in line for update in known)
    mine = KEYS.committed(NAMES[0], fingerprint(start), "ab")
    assert mine != KEYS.committed(NAMES[1], fingerprint(start), "ab")
    assert mine != KEYS.committed(NAMES[0], fingerprint(start), "ac")


def test_any_change_of_a_state_has_another_fingerprint() -> None:
    state = {"a": torch.arange(4.0), "b": torch.zeros(2)}
    others = [
        {"a": torch.arange(4.0), "c": torch.zeros(2)},
        {"a": torch.arange(4.0).double(), "b": torch.zeros(2)},
        {"a": torch.arange(4.0).reshape(2, 2), "b": torch.zeros(2)},
        {"a": torch.arange(4.0), "b": torch.tensor([0.0, -0.0])},
    ]
    assert len({fingerprint(s) for s in (state, *others)}) == 5


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '{"kind":"start"}', "\ufeff"])
def test_what_is_no_record_is_told_in_one_line(text: str) -> None:
    with pytest.raises(GainnetError, match="line 1"):
        verify(text.splitlines())


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    written(tmp_path / RECORD, rounds=1)
    with pytest.raises(ConfigError, match=r"record: .*nowhere cannot be read"):
        verify_file(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=r"state: .* cannot be read"):
        verify_file(tmp_path, tmp_path / RECORD)
