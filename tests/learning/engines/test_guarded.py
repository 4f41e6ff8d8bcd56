"""Masked sums and the signed record between ends over TLS are those of one process, and outlive deaths and lies."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from gainnet.core.errors import GainnetError
from gainnet.core.randomness import Random
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.algorithm import Aggregation, Finished, Merged, State
from gainnet.learning.algorithms.fedavg import Trained, weighing
from gainnet.learning.clients import cell_of, devices_of
from gainnet.learning.engines.answering import File, Respondent
from gainnet.learning.engines.asking import PIECES, STEP, Roll
from gainnet.learning.engines.attending import attend
from gainnet.learning.engines.crowds import distant
from gainnet.learning.engines.gathering import Gathering
from gainnet.learning.engines.witnesses import DistantClients
from gainnet.learning.exchange import PRIVATE, Exchange, Uplink
from gainnet.learning.safeguards.notes import Notes
from gainnet.learning.safeguards.own_record import OwnRecord
from gainnet.learning.safeguards.own_sums import OwnSums
from gainnet.learning.safeguards.record import RECORD, Recorded, receipts_of
from gainnet.learning.safeguards.releases import Releases
from gainnet.learning.safeguards.secure_aggregation import MaskedMean, MaskedSum
from gainnet.learning.safeguards.signing import Keyring
from gainnet.learning.safeguards.verification import check_head, omitted, read_lines, verify_file
from gainnet.network import EDGE, profile
from gainnet.radio import Ideal
from gainnet.wire import connect, listening
from gainnet.wire.keys import write_certificates

NAMES = devices_of(4)
START: State = {"a": torch.zeros(4), "b": torch.ones(2, 2)}
TIMEOUT_S = 20.0


@dataclass
class Drawing:
    """A member whose update is drawn from its name."""

    name: NodeId

    def answer(self, given: State, random: Random) -> Trained:
        values = {key: x + 0.1 * Random.of(7).normal(x.shape, self.name, key) for key, x in given.items()}
        return Trained(values, weighing(self.name, 3 + int(self.name[-1])))

    def left_out(self) -> tuple[NodeId, ...]:
        return ()

    def num_events(self, own: int) -> int:
        return own


@dataclass(frozen=True)
class Odd:
    """A respondent that answers one step in another way than it should, or dies in it."""

    true: Respondent
    step: str
    change: Callable[[dict[str, Any], File | None], tuple[dict[str, Any], File | None]]

    def expects(self, words: Mapping[str, Any]) -> File | None:
        return self.true.expects(words)

    def answer(self, words: Mapping[str, Any], given: State | None) -> tuple[dict[str, Any], File | None]:
        said, file = self.true.answer(words, given)
        return self.change(said, file) if words[STEP] == self.step else (said, file)


@dataclass
class Room:
    """An edge with a record, and members in threads."""

    folder: Path
    listener: Any
    gathering: Gathering
    roll: Roll
    threads: dict[str, threading.Thread] = field(default_factory=dict)
    errors: dict[str, BaseException] = field(default_factory=dict)

    def respondent(self, name: NodeId) -> Respondent:
        kept, notes = self.folder / name, Notes(self.folder / name)
        record = OwnRecord(name, self.folder / "own", kept, notes)
        return Respondent(name, Drawing(name), START, "adapters", Releases(kept), OwnSums(notes), record)

    def join(self, name: NodeId, odd: Callable[[Respondent], Any] = lambda true: true) -> None:
        host, port = self.listener.getsockname()

        def run() -> None:
            dial = lambda: connect(host, port, self.folder / "keys", name, PRIVATE, TIMEOUT_S, TIMEOUT_S)  # noqa: E731
            respondent = odd(self.respondent(name))
            try:
                attend(dial, lambda _: respondent, TIMEOUT_S)
            except (GainnetError, OSError, KeyboardInterrupt) as error:
                self.errors[name] = error

        self.threads[name] = threading.Thread(target=run, daemon=True)
        self.threads[name].start()

    def guarded(self, masked: MaskedMean) -> Recorded:
        """Waits for all."""
        self.gathering.wait_for(NAMES)
        out, edge = self.folder / "out", Keyring.of(self.folder / "nodes", (EDGE,))
        clients = DistantClients.enrolled(self.roll, NAMES, edge.public(EDGE), out / RECORD)
        masked = replace(masked, sums=replace(masked.sums, crowds=distant(self.roll, masked.sums.share)))
        return Recorded(masked, out / RECORD, edge, clients)

    def round(self, aggregation: Aggregation, start: State, number: int) -> Merged:
        random = Random.of(0).child("round", number)
        answers = self.roll(NAMES, start, random)
        assert all(answer.values == {} for answer in answers.values()), "no update in the open"
        done = [(0.0, answer.client, answer.values) for answer in answers.values()]
        return aggregation.gather(uplink(), start, done, random)


def uplink() -> Uplink:
    cell = cell_of(NAMES, profile("edge_l4"), profile("phone"), (Ideal(),), (Ideal(),))
    return Uplink(Exchange(cell, Random.of(0), PRIVATE), "adapters")


def hosted(names: tuple[NodeId, ...], start: State, number: int, masked: MaskedMean) -> Merged:
    """What one process makes of these members."""
    trained = [Drawing(name).answer(start, Random.of(0)) for name in names]
    done: Finished = [(0.0, each.client, each.values) for each in trained]
    return masked.gather(uplink(), start, done, Random.of(0).child("round", number))


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    write_certificates(tmp_path / "keys", devices=NAMES)
    with listening("127.0.0.1", 0) as listener:
        gathering = Gathering(listener, tmp_path / "keys", {}, NAMES, 1.5)
        with contextlib.closing(gathering):
            yield Room(tmp_path, listener, gathering, Roll(gathering.ask, "adapters", hides=True))


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """Everything that edge and members have logged."""
    found: list[str] = []
    keeper = logging.Handler()
    keeper.emit = lambda record: found.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("gainnet").addHandler(keeper)
    yield found
    logging.getLogger("gainnet").removeHandler(keeper)


def same(one: Merged, other: Merged) -> None:
    assert one.included == other.included
    assert all(torch.equal(one.state[name], x) for name, x in other.state.items()), "to the last bit"


@pytest.mark.slow
@pytest.mark.parametrize("num_groups", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_masked_sums_of_others_are_those_of_one_process_and_the_record_holds(room: Room, num_groups: int) -> None:
    masked, state, there = MaskedMean(num_groups=num_groups, sums=MaskedSum(share=0.51)), START, START
    for name in NAMES:
        room.join(name)
    guarded = room.guarded(masked)
    for number in range(2):
        found, here = room.round(guarded, there, number), hosted(NAMES, state, number, masked)
        same(found, here)
        there, state = found.state, here.state
        assert room.roll.left_out == ()
    key = guarded.edge.public(EDGE)
    verified = verify_file(room.folder / "out", edge_key=key)
    assert (verified.num_models, verified.num_updates, verified.num_included) == (2, 8, 8)
    lines = read_lines(room.folder / "out", "record")
    for name in NAMES:
        receipts = read_lines(room.folder / name / receipts_of(name), "receipt")
        assert len(receipts) == 2
        assert not any(omitted(one, lines, key) for one in receipts)
        assert omitted(receipts[0], [line for line in lines if f'"client":"{name}"' not in line], key)
        heads = read_lines(room.folder / name / f"{name}.heads.jsonl", "head")
        assert [check_head(line, key) for line in heads] == [1, 2]


def die(said: dict[str, Any], file: File | None) -> tuple[dict[str, Any], File | None]:
    raise KeyboardInterrupt


@pytest.mark.slow
@pytest.mark.parametrize(
    "step", ["masked", *(pytest.param(step, marks=pytest.mark.slow) for step in ("shares", "revealed"))]
)
def test_the_sum_without_one_that_dies_is_exact_and_it_comes_again(room: Room, step: str) -> None:
    masked, victim = MaskedMean(), NAMES[2]
    for name in NAMES:
        room.join(name, (lambda true: Odd(true, step, die)) if name == victim else lambda true: true)
    guarded = room.guarded(masked)
    first = room.round(guarded, START, 0)
    # Its vector is in the sum where it has sent it, though it is not there to take the masks off.
    stay = tuple(name for name in NAMES if name != victim or step == "revealed")
    same(first, hosted(stay, START, 0, masked))
    assert room.roll.left_out == (() if step == "revealed" else (victim,))
    room.threads[victim].join(TIMEOUT_S)
    room.join(victim)
    room.gathering.wait_for(NAMES)
    same(room.round(guarded, first.state, 1), hosted(NAMES, first.state, 1, masked))
    assert verify_file(room.folder / "out").num_models == 2


def garbled(said: dict[str, Any], file: File | None) -> tuple[dict[str, Any], File | None]:
    from gainnet.core.run.checkpoint import fingerprint

    assert file is not None
    bad = {name: torch.full_like(x, 7) for name, x in file[1].items()}
    return {**said, "update": fingerprint(bad)}, (file[0], bad)


def shortened(said: dict[str, Any], file: File | None) -> tuple[dict[str, Any], File | None]:
    assert file is not None
    return said, (file[0], {PIECES: file[1][PIECES][:, 1:]})


def unsigned(said: dict[str, Any], file: File | None) -> tuple[dict[str, Any], File | None]:
    return {**said, "client_signature": "0" * 128}, file


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "change", "is_in"),
    [
        ("shares", garbled, False), ("sign", unsigned, False), ("revealed", garbled, True),
        *(
            pytest.param(*lie, marks=pytest.mark.slow)
            for lie in (
                ("train", garbled, False), ("shares", shortened, False),
                ("opened", lambda said, file: ({"damaged": [1, 2]}, file), False),
                ("opened", lambda said, file: ({"damaged": "all"}, file), False),
            )
        ),
    ],
)  # fmt: skip
def test_a_member_that_sends_what_nobody_can_use_is_dropped_in_one_line_and_the_others_go_on(
    room: Room, step: str, change: Any, is_in: bool, lines: list[str]
) -> None:
    masked, liar = MaskedMean(sums=MaskedSum(share=0.6)), NAMES[3]
    for name in NAMES:
        room.join(name, (lambda true: Odd(true, step, change)) if name == liar else lambda true: true)
    guarded = room.guarded(masked)
    lines.clear()
    stay = NAMES if is_in else NAMES[:3]
    same(room.round(guarded, START, 0), hosted(stay, START, 0, masked))
    named = [line for line in lines if liar in line]
    assert is_in or named, "it is named"
    assert all("\n" not in line for line in named)
    assert not {*room.errors} - {liar}
    assert verify_file(room.folder / "out").num_models == 1


@pytest.mark.slow
def test_an_answer_that_is_late_is_refused_in_one_line_on_both_sides(room: Room, lines: list[str]) -> None:
    def dawdle(said: dict[str, Any], file: File | None) -> tuple[dict[str, Any], File | None]:
        time.sleep(1.8)
        return said, file

    for name in NAMES:
        room.join(name, (lambda true: Odd(true, "masked", dawdle)) if name == NAMES[0] else lambda true: true)
    guarded = room.guarded(MaskedMean())
    same(room.round(guarded, START, 0), hosted(NAMES[1:], START, 0, MaskedMean()))
    end_s = time.monotonic() + TIMEOUT_S
    while not any("does not count" in line for line in lines) and time.monotonic() < end_s:
        time.sleep(0.05)
    assert sum("device_0 is late" in line for line in lines) == 1
    assert sum("came too late" in line for line in lines) == 1


def test_a_member_opens_one_sum_of_an_update_and_answers_no_step_twice(tmp_path: Path) -> None:
    """An edge that asks again with fewer members would learn the update of who is missing by a difference."""
    notes = {i: Notes(tmp_path / str(i)) for i in (1, 2, 3)}
    values = {"a": torch.ones(4)}

    def one_sum(arrived: list[int], lost: list[int]) -> list[bytes]:
        members = {i: OwnSums(notes[i]) for i in notes}
        numbers, publics = [1, 2, 3], [member.begin("round 0") for member in members.values()]
        base = {"numbers": numbers, "names": ["a", "b", "c"], "share": 0.6, "num_members": 3}
        made = {i: member.shares({**base, "number": i}, publics) for i, member in members.items()}
        assert made[1] == members[1].shares({**base, "number": 1}, publics), "the same again is a retry"
        with pytest.raises(GainnetError, match="asks twice"):
            members[1].shares({**base, "number": 1, "share": 0.7}, publics)
        for i, member in members.items():
            assert member.opened({"numbers": numbers}, [made[j][i - 1] for j in numbers]) == []
            words = {"numbers": numbers, "scale": 1.0, "num_fraction_bits": 20}
            member.masked(words, 1.0, values, values)
            with pytest.raises(GainnetError, match="asks twice"):
                member.masked({**words, "scale": 2.0}, 1.0, values, values)
        return OwnSums(Notes(tmp_path / "1")).revealed({"arrived": arrived, "lost": lost})

    assert len(one_sum([1, 2, 3], [])) == 3
    assert len(one_sum([1, 2, 3], [])) == 3, "the same members after a death of the edge"
    with pytest.raises(GainnetError, match="with other members was opened before"):
        one_sum([1, 2], [3])
