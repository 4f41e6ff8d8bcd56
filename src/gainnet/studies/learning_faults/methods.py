"""Rows of the study learning-faults: a kill each, in a federation that goes on."""

from __future__ import annotations

import atexit
import json
import math
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, final

import torch

from gainnet.core.files import write_whole
from gainnet.core.randomness import Random
from gainnet.core.run.checkpoint import fingerprint
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.algorithm import State, WeightedMean
from gainnet.learning.algorithms.costs import whole_step_cost
from gainnet.learning.algorithms.fedavg import train_locally, weighing
from gainnet.learning.algorithms.fpl import Fpl
from gainnet.learning.clients import Client, LocalTraining, cell_of
from gainnet.learning.engines.attending import through_edges
from gainnet.learning.runner import LEFT_OUT, SUMMARY
from gainnet.learning.safeguards.accounting import Guarantee
from gainnet.learning.safeguards.masking import require_cryptography
from gainnet.learning.safeguards.privacy import PrivateSteps
from gainnet.models.language import pack, small_decoder, word_tokenizer
from gainnet.models.language_text import write_texts
from gainnet.network import profile
from gainnet.radio import Ideal
from gainnet.service.node.nursery import Child, Nursery
from gainnet.studies.learning_faults.question import (
    CLOUD,
    DEATHS,
    DEVICES,
    EDGES,
    MEMBERS,
    OPEN,
    PRIVATE,
    LearningFaultsConfig,
)
from gainnet.studies.learning_faults.victim import ALLOWED, HEADS, SEEN, Federation, read_lines
from gainnet.studies.study import Case, Method, Row
from gainnet.wire.keys import write_certificates

MOST_S: Final = 120.0
"""Until the rounds of a kill are over; else they are lost."""
NUM_ROWS, LENGTH = 8, 24
NOISE, CLIP, SAMPLE_RATE, DELTA = 4.0, 0.1, 0.25, 1e-5
_LOOK_S: Final = 0.02


def identity(config: LearningFaultsConfig) -> Mapping[str, str]:
    """sha256 of the first weights of the model."""
    return {"decoder": fingerprint(dict(small_decoder(16, 2, 2).named_parameters()))}


def open_methods(config: LearningFaultsConfig) -> Mapping[str, Method]:
    """The methods, whose processes start when they are first needed.

    Raises:
        MissingExtraError: a library of privacy is not installed.
    """
    require_cryptography()
    running: dict[tuple[str, int], Desk] = {}

    def kill(case: Case, random: Random) -> Row:
        key = case.method, case.random_seed
        if key not in running:
            # One federation at a time: eleven processes are enough for this machine.
            for desk in running.values():
                desk.close()
            running.clear()
            running[key] = Desk.of(*key)
        return running[key].kill(case)

    return dict.fromkeys((OPEN, PRIVATE), kill)


def federation_of(folder: Path, method: str, random_seed: int) -> Federation:
    """A cloud, two edges and eight devices, none of which runs yet; LoRA of a small decoder."""
    torch.set_num_threads(1)
    model, tokenizer = small_decoder(16, 2, 2), word_tokenizer()
    rows = pack(write_texts("cardiology", 60, 1 + random_seed), tokenizer, LENGTH)
    # Clients of unequal size, so that a weight that is lost on the way shows.
    clients = {name: Client(name, rows[NUM_ROWS * i : NUM_ROWS * (i + 1) + i % 3]) for i, name in enumerate(DEVICES)}
    phone, edge = profile("phone"), profile("edge_l4")
    training = LocalTraining("adamw", 1e-3, 2, 4)
    cost = whole_step_cost(model, torch.zeros(4, LENGTH, dtype=torch.long))
    steps, guarantee = train_locally, None
    if method == PRIVATE:
        steps = PrivateSteps(CLIP, NOISE, SAMPLE_RATE)  # type: ignore[assignment]
        # Rényi divergences, since the epsilon of every round is computed, on both sides.
        guarantee = Guarantee("example", math.inf, DELTA, 8, 1, NOISE, SAMPLE_RATE, CLIP, "rdp")
    below, above = (
        Fpl(model, cell_of(names, edge, phone, (Ideal(),), (Ideal(),)), training, cost, "lora", 2, steps=steps)
        for names in (DEVICES, EDGES)
    )
    ports = dict(zip(MEMBERS, _free_ports(len(MEMBERS)), strict=True))
    return Federation(folder, below, clients, above, rows[-NUM_ROWS:], guarantee, ports, random_seed)


@final
@dataclass
class Desk:
    """A federation whose processes are killed, and what it should have come to.

    Args:
        federation: of eleven processes.
        nursery: that forks them.
        states: digest of the state after every round in one process; `None` with secret noise.
        children: processes by name.
        num_rounds: that the cloud may begin.
    """

    federation: Federation
    nursery: Nursery
    states: Callable[[int], str] | None
    children: dict[NodeId, Child] = field(default_factory=dict)
    num_rounds: int = 0

    @staticmethod
    def of(method: str, random_seed: int) -> Desk:
        """A federation that runs."""
        folder = Path(tempfile.mkdtemp(prefix="gainnet-learning-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        federation = federation_of(folder, method, random_seed)
        for node, members in MEMBERS.items():
            write_certificates(folder / f"{node}.keys", devices=members)
        for node in (*MEMBERS, *DEVICES):
            (folder / node).mkdir()
        chain = Chain(federation)
        # Before anything is forked: what a process imports and what it computes first would be done anew in each.
        chain(0)
        if federation.guarantee is not None:
            client = federation.clients[DEVICES[0]]
            federation.algorithm.train_client(client, chain.start, Random.of(0))
            federation.epsilon(1)
        nursery = Nursery({"live": federation.live})
        atexit.register(nursery.close)
        desk = Desk(federation, nursery, chain if method == OPEN else None)
        desk.allow(0)
        for node in (*MEMBERS, *DEVICES):
            desk.start(node)
        return desk

    def start(self, name: NodeId) -> None:
        """Forks a process."""
        self.children[name] = self.nursery.start("live", str(name))

    def allow(self, num_rounds: int) -> None:
        """Lets the cloud begin so many rounds in all."""
        self.num_rounds = num_rounds
        write_whole(self.federation.folder / CLOUD / ALLOWED, str(num_rounds).encode())

    def close(self) -> None:
        """Kills all processes."""
        self.nursery.close()

    def kill(self, case: Case) -> Row:
        """A round or two, in whose course a process dies and is started again."""
        name, begin_s = NodeId(case.text("process")), time.monotonic()
        order, first = self.federation.order(name), self.num_rounds
        said = {"phase": case.text("phase"), "signal": case.text("signal"), "skip": _skip(case)}
        write_whole(order, json.dumps(said).encode())
        # A cloud that dies between its two files writes the second one with the next round.
        self.allow(first + (2 if name == CLOUD else 1))
        has_died = self._wait(lambda: not order.exists(), begin_s)
        killed = False
        if has_died:
            killed = self.children[name].wait() == -signal.Signals[case.text("signal")]
            self.start(name)
        order.unlink(missing_ok=True)
        ended = self._wait(lambda: self._num_finished() >= self.num_rounds, begin_s)
        return {
            "kills": int(killed), "lost": int(not ended) + self._num_left_out(first), "rounds": self.num_rounds - first,
            "different": self._num_different(first), "inconsistent": self._num_inconsistent(),
            "measured_recovery_s": time.monotonic() - begin_s, "measured_epsilon": self._epsilon(),
        }  # fmt: skip

    def _wait(self, is_so: Callable[[], bool], begin_s: float) -> bool:
        while not is_so():
            if time.monotonic() - begin_s > MOST_S:
                return False
            time.sleep(_LOOK_S)
        return True

    @property
    def _cloud(self) -> Path:
        return self.federation.folder / CLOUD

    def _records(self) -> list[dict[str, Any]]:
        path = self._cloud / SUMMARY
        return list(json.loads(path.read_bytes())["details"]) if path.is_file() else []

    def _num_finished(self) -> int:
        return len(self._records())

    def _num_left_out(self, first: int) -> int:
        """Devices and edges without which a round of this kill went on: what was trained there is lost."""
        return sum(len(record[LEFT_OUT]) for record in self._records()[first:])

    def _num_different(self, first: int) -> int:
        """Rounds that came to another state than one process, or to two, and updates that were sent in two forms."""
        heads, sent = read_lines(self._cloud / HEADS), list[dict[str, Any]]()
        for node in MEMBERS:
            sent += read_lines(self.federation.folder / node / SEEN)
        twice = _num_ambiguous(heads, ("round",), "sha256") + _num_ambiguous(sent, ("who", "start"), "update")
        if self.states is None:
            return twice
        states = {head["round"]: head["sha256"] for head in heads}
        return twice + sum(bool(states.get(k) != self.states(k)) for k in range(first, self.num_rounds))

    def _num_inconsistent(self) -> int:
        """Whether the cloud's epsilon is another one than that of the devices' journals, or these lack a draw."""
        counts = [self.federation.kept(name).num_events() for name in DEVICES]
        last = read_lines(self._cloud / HEADS)[-1:]
        wrong = sum(bool(head["num_events"] != max(counts)) for head in last)
        wrong += sum(bool(head["epsilon"] != self.federation.epsilon(max(counts))) for head in last)
        return wrong + sum(count < self._num_finished() for count in counts)

    def _epsilon(self) -> float | None:
        last = read_lines(self._cloud / HEADS)[-1:]
        return last[0]["epsilon"] if last else None


@final
class Chain:
    """States of the rounds of a federation in one process, computed when they are first asked for.

    Args:
        federation: without secret noise.
    """

    def __init__(self, federation: Federation) -> None:
        clients = {edge: [federation.clients[name] for name in MEMBERS[edge]] for edge in EDGES}
        self._algorithm = replace(federation.above, place=through_edges(clients, WeightedMean()))
        self._random = Random.of(federation.random_seed).child("learning")
        self._state: State = self._algorithm.init(self._random)
        self._digests: list[str] = []

    @property
    def start(self) -> State:
        """The last state, in the type of the air."""
        return self._algorithm.on_the_air(self._state)

    def __call__(self, number: int) -> str:
        """Digest of the state after a round."""
        edges = [weighing(name, 1) for name in EDGES]
        while len(self._digests) <= number:
            random = self._random.child("round", len(self._digests))
            self._state, _ = self._algorithm.round(self._state, edges, random)
            self._digests.append(fingerprint(self._state))
        return self._digests[number]


def _skip(case: Case) -> int:
    """How many beginnings of a phase pass before a process dies, which differs from turn to turn."""
    late = case.count("number") // len(DEATHS) % 2
    match case.text("phase"), case.text("process"):
        case ("sending", name) if name in EDGES:
            # Behind the messages to its four devices comes the one to the cloud.
            return 4 * late
        case ("sending" | "writing", "cloud"):
            # The message to the other edge; or run.json, behind the checkpoint.
            return late
        case _:
            return 0


def _num_ambiguous(lines: list[dict[str, Any]], keys: tuple[str, ...], value: str) -> int:
    """How many keys stand with more than one value."""
    found: dict[tuple[Any, ...], set[str]] = {}
    for line in lines:
        found.setdefault(tuple(line[key] for key in keys), set()).add(line[value])
    return sum(len(values) > 1 for values in found.values())


def _free_ports(count: int) -> list[int]:
    """Ports that are free now; who starts again needs the one that it had."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
