"""Averaging between ends that come, go and come again is averaging in one process, bit for bit."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.algorithm import State, WeightedMean
from gainnet.learning.algorithms.costs import whole_step_cost
from gainnet.learning.algorithms.fedavg import Trained, weighing
from gainnet.learning.algorithms.fpl import Fpl
from gainnet.learning.clients import Client, LocalTraining
from gainnet.learning.engines.answering import Respondent
from gainnet.learning.engines.asking import VERSION, Roll, check_version, versions
from gainnet.learning.engines.attending import OwnText, attend, merged_at, through_edges
from gainnet.learning.engines.gathering import Gathering
from gainnet.learning.safeguards.releases import Releases
from gainnet.learning.safeguards.robust import Median
from gainnet.wire import Connection, connect, listening
from gainnet.wire.keys import write_certificates

NAMES = tuple(NodeId(f"device_{i}") for i in range(3))
START: State = {"a": torch.zeros(4), "b": torch.ones(2, 2)}
TIMEOUT_S = 20.0


@dataclass
class Adding:
    """A member that adds its number to everything, and can be made to die once."""

    name: NodeId
    number: int
    num_asked: int = 0

    def answer(self, given: State, random: Random) -> Trained:
        self.num_asked += 1
        return Trained({key: x + self.number for key, x in given.items()}, weighing(self.name, self.number))

    def left_out(self) -> tuple[NodeId, ...]:
        return ()

    def num_events(self, own: int) -> int:
        return own


@dataclass
class Room:
    """An edge's socket and keys, and the threads of its members."""

    keys: Path
    folder: Path
    listener: Any
    threads: list[threading.Thread] = field(default_factory=list)

    def dial(self, name: NodeId) -> Connection:
        host, port = self.listener.getsockname()
        return connect(host, port, self.keys, name, frozenset({"adapters", "metrics"}), TIMEOUT_S, TIMEOUT_S)

    def gathering(self, timeout_s: float = TIMEOUT_S) -> Gathering:
        return Gathering(self.listener, self.keys, {}, NAMES, timeout_s)

    def join(self, part: Any, tap: Any = lambda phase: None) -> None:
        def run() -> None:
            respondent = Respondent(part.name, part, START, "adapters", Releases(self.folder / part.name))
            with contextlib.suppress(ConfigError):
                attend(lambda: self.dial(part.name), lambda _: respondent, TIMEOUT_S, tap)

        self.threads.append(threading.Thread(target=run, daemon=True))
        self.threads[-1].start()


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    write_certificates(tmp_path / "keys", devices=NAMES)
    with listening("127.0.0.1", 0) as listener:
        yield Room(tmp_path / "keys", tmp_path, listener)


def wanted(numbers: Mapping[NodeId, int]) -> State:
    answers = {name: Adding(name, number).answer(START, Random.of(0)) for name, number in numbers.items()}
    return merged_at(NodeId("edge"), Median(), START, answers, Random.of(0)).values


def test_members_that_die_in_the_middle_of_a_message_answer_the_same_round_with_the_same_bytes(room: Room) -> None:
    parts = [Adding(name, i + 1) for i, name in enumerate(NAMES)]
    deaths = iter(range(2))

    def die(phase: str) -> None:
        if next(deaths, None) is not None:
            raise ConnectionResetError("killed")

    with contextlib.closing(room.gathering()) as gathering:
        for part in parts:
            room.join(part, die)
        roll = Roll(gathering.ask, "adapters")
        found = roll(NAMES, START, Random.of(0).child("round", 0))
        edge = merged_at(NodeId("edge"), Median(), START, found, Random.of(0))
        assert roll.left_out == ()
        assert roll.num_events == 1
    for thread in room.threads:
        thread.join(TIMEOUT_S)
        assert not thread.is_alive()
    assert all(torch.equal(edge.values[key], x) for key, x in wanted(dict(zip(NAMES, (1, 2, 3), strict=True))).items())
    assert len(edge.client.rows) == 6
    # Whoever had written its update down before it died has not computed it again.
    assert [part.num_asked for part in parts] == [1, 1, 1]


def test_a_round_names_who_did_not_answer_and_goes_on(room: Room) -> None:
    with contextlib.closing(room.gathering(timeout_s=1.0)) as gathering:
        room.join(Adding(NAMES[0], 1))
        roll = Roll(gathering.ask, "adapters")
        assert set(roll(NAMES, START, Random.of(0))) == {NAMES[0]}
        assert roll.left_out == NAMES[1:]


@pytest.mark.parametrize(
    "lie",
    [
        {"num_rows": 10**7},
        {"num_rows": True},
        {"num_events": -1},
        {"update": "0" * 64},
        {"left_out": [5]},
        {"cost": -1.0},
        {"cost": "x"},
    ],
)
def test_claims_beyond_their_bounds_leave_a_member_out(room: Room, lie: Mapping[str, Any]) -> None:
    with contextlib.closing(room.gathering(timeout_s=0.6)) as gathering:
        roll = Roll(gathering.ask, "adapters")
        thread = threading.Thread(target=lambda: roll(NAMES, START, Random.of(0)))
        thread.start()
        with contextlib.closing(room.dial(NAMES[0])) as connection:
            check_version(connection.receive_words())
            connection.send_words(versions())
            words = connection.receive_words()
            given = connection.receive_file("adapters", START)
            true = {"state": words["state"], "update": words["state"], "num_rows": 3, "num_events": 0, "left_out": []}
            connection.send_words({**true, **lie})
            connection.send_file("adapters", given)
            with pytest.raises(OSError, match=r"."):
                connection.receive_words()
        thread.join()
        assert NAMES[0] in roll.left_out


def test_another_version_is_refused() -> None:
    for name, said in (("version", VERSION + 1), ("gainnet", "0.0.1"), ("gainnet", None)):
        with pytest.raises(ConfigError, match=f"{name}: the other side has") as caught:
            check_version({**versions(), name: said})
        assert "\n" not in str(caught.value)


def test_edges_in_other_threads_merge_as_edges_in_one_process(
    room: Room, model: Any, clients: tuple[Client, ...], network: Any, random: Random
) -> None:
    training, cost = LocalTraining("adamw", 1e-3, 1, 4), whole_step_cost(model, torch.zeros(4, 24, dtype=torch.long))
    device = Fpl(model, network(), training, cost, "soft_prompt", 2)
    given = device.on_the_air(device.init(random))
    edge = NodeId("device_0")
    rule = through_edges({edge: clients}, WeightedMean())
    (here,) = rule(device, {weighing(edge, 1): given}, given, random).values()
    answers = {client.name: OwnText(device, client).answer(given, random) for client in clients}
    there = merged_at(edge, WeightedMean(), given, answers, random)
    assert all(torch.equal(here.values[name], x) for name, x in there.values.items())
    assert len(here.client.rows) == sum(len(client.rows) for client in clients)
