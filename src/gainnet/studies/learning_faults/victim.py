"""Processes of a federation that die when they are told to, in the middle of a phase."""

from __future__ import annotations

import functools
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, final

from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.core.report import Report
from gainnet.core.run.checkpoint import fingerprint
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.algorithm import Arrived, Merged, Open, State, WeightedMean
from gainnet.learning.algorithms.fedavg import Steps, weighing
from gainnet.learning.algorithms.fpl import Fpl
from gainnet.learning.clients import Client, LocalTraining
from gainnet.learning.engines.answering import Part, Respondent
from gainnet.learning.engines.asking import Roll
from gainnet.learning.engines.attending import OwnMembers, OwnText, attend
from gainnet.learning.engines.gathering import Gathering
from gainnet.learning.engines.remote import elsewhere
from gainnet.learning.exchange import PRIVATE
from gainnet.learning.runner import run_rounds
from gainnet.learning.safeguards.accounting import Guarantee
from gainnet.learning.safeguards.releases import Releases
from gainnet.studies.learning_faults.question import CLOUD, MEMBERS, MERGING, TRAINING, WRITING
from gainnet.wire import connect, listening

TIMEOUT_S: Final = 60.0
HEADS, SEEN, ALLOWED = "heads.jsonl", "seen.jsonl", "allowed"
MANY_ROUNDS: Final = 1_000_000
_LOOK_S: Final = 0.01


@final
@dataclass(frozen=True)
class Doom:
    """The end of a process, when its order says so.

    Args:
        order: file with a phase, a signal and how many beginnings of the phase to let pass; there is none at peace.
    """

    order: Path
    _passed: list[str] = field(default_factory=list)
    _lock: Any = field(default_factory=threading.Lock)

    def __call__(self, phase: str) -> None:
        """Called in the middle of a phase."""
        try:
            said = json.loads(self.order.read_bytes())
        except FileNotFoundError:
            return
        if said["phase"] != phase:
            return
        # Members are served by threads, which may all begin to send at once.
        with self._lock:
            if len(self._passed) < said["skip"]:
                self._passed.append(phase)
                return
            self.order.unlink(missing_ok=True)
            os.kill(os.getpid(), signal.Signals[said["signal"]])

    def watch_writing(self) -> None:
        """From here on a file of this process that is written, and not yet in its place, is the phase of writing."""
        sys.addaudithook(lambda event, given: self(WRITING) if event == "os.rename" else None)


@final
@dataclass(frozen=True)
class Watched:
    """A rule that writes down what has arrived, and in whose middle a process can die.

    Args:
        rule: how it merges.
        seen: file of what has arrived, a line each.
        doom: of the process.
    """

    rule: WeightedMean
    seen: Path
    doom: Doom

    def __call__(self, start: State, arrived: Arrived, random: Random) -> Merged:
        """As `Rule`."""
        for client, values in arrived:
            _append(self.seen, {"who": client.name, "start": fingerprint(start), "update": fingerprint(values)})
        merged = self.rule(start, arrived, random)
        self.doom(MERGING)
        return merged


@final
@dataclass(frozen=True)
class Headed:
    """Rounds that begin when they may, and whose states are written down.

    Args:
        algorithm: what a round is.
        folder: of the cloud.
        spent: (how often who has drawn noise most often, epsilon of that).
    """

    algorithm: Any
    folder: Path
    spent: Callable[[], tuple[int, float | None]]

    def init(self, random: Random) -> State:
        """As `Algorithm.init`."""
        found: State = self.algorithm.init(random)
        return found

    def round(self, state: State, clients: Sequence[Client], random: Random) -> tuple[State, Report]:
        """As `Algorithm.round`."""
        number = int(random.path[-1])
        while int((self.folder / ALLOWED).read_text()) <= number:
            time.sleep(_LOOK_S)
        state, report = self.algorithm.round(state, clients, random)
        num_events, epsilon = self.spent()
        said = {"round": number, "sha256": fingerprint(state), "num_events": num_events, "epsilon": epsilon}
        _append(self.folder / HEADS, said)
        return state, report

    def model_of(self, state: State) -> Any:
        """As `Algorithm.model_of`."""
        return self.algorithm.model_of(state)


@final
@dataclass(frozen=True)
class Federation:
    """Everything that the processes of a run have in memory when they are forked.

    Args:
        folder: with a folder per process, and one of keys for each that others connect to.
        algorithm: of a device.
        clients: devices with their text, by name.
        above: of edges, in the cloud: the same algorithm with edges in the place of devices.
        test_rows: [num_rows, length], text that nobody trains on.
        guarantee: after one release; `None` without privacy.
        ports: of those that others connect to.
        random_seed: of the run.
    """

    folder: Path
    algorithm: Fpl
    clients: Mapping[NodeId, Client]
    above: Fpl
    test_rows: Tensor
    guarantee: Guarantee | None
    ports: Mapping[NodeId, int]
    random_seed: int

    def live(self, said: Connection, name: str) -> None:
        """Runs a process to its end, which is a violent one."""
        node, doom = NodeId(name), Doom(self.order(name))
        doom.watch_writing()
        # Who dies here is missed at every turn, and that is no news.
        logging.getLogger("gainnet").setLevel(logging.ERROR)
        if node == CLOUD:
            self._be_cloud(doom)
        elif node in MEMBERS:
            self._be_edge(node, doom)
        else:
            self._be_device(node, doom)

    def order(self, name: str) -> Path:
        """File that says how a process dies."""
        return self.folder / f"{name}.order"

    def epsilon(self, num_events: int) -> float | None:
        """Spent by a device that has drawn the noise of its steps so often; `None` without privacy."""
        if self.guarantee is None:
            return None
        return self.guarantee.after(num_events * self.algorithm.training.num_steps).epsilon

    def _be_cloud(self, doom: Doom) -> None:
        folder = self.folder / CLOUD
        aggregation = Open(Watched(WeightedMean(), folder / SEEN, doom))
        with listening("127.0.0.1", self.ports[CLOUD]) as listener:
            roll = self._roll(CLOUD, listener, doom)
            spent = lambda: (roll.num_events, self.epsilon(roll.num_events))  # noqa: E731
            algorithm = Headed(elsewhere(replace(self.above, aggregation=aggregation), roll), folder, spent)
            edges = [weighing(name, 1) for name in MEMBERS[CLOUD]]
            run_rounds(
                algorithm, edges, self.test_rows, MANY_ROUNDS, self.random_seed, folder,
                left_out=lambda: roll.left_out,
            )  # fmt: skip

    def _be_edge(self, name: NodeId, doom: Doom) -> None:
        rule = Watched(WeightedMean(), self.folder / name / SEEN, doom)
        with listening("127.0.0.1", self.ports[name]) as listener:
            part = OwnMembers(name, self._roll(name, listener, doom), MEMBERS[name], rule)
            self._attend(name, CLOUD, part, doom)

    def _be_device(self, name: NodeId, doom: Doom) -> None:
        steps = functools.partial(_dying_steps, self.algorithm.steps, doom)
        part = OwnText(replace(self.algorithm, steps=steps), self.clients[name])
        self._attend(name, next(edge for edge, devices in MEMBERS.items() if name in devices), part, doom)

    def _attend(self, name: NodeId, above: NodeId, part: Part, doom: Doom) -> None:
        like = self.algorithm.on_the_air(self.algorithm.init(Random.of(0)))
        dial = functools.partial(
            connect, "127.0.0.1", self.ports[above], self._keys(above), name, PRIVATE, TIMEOUT_S, TIMEOUT_S
        )
        respondent = Respondent(name, part, like, Fpl.kind, self.kept(name))
        attend(dial, lambda _: respondent, TIMEOUT_S, doom)

    def kept(self, name: NodeId) -> Releases:
        """Updates that a process below another one has sent."""
        return Releases(self.folder / name / "kept")

    def _roll(self, name: NodeId, listener: Any, doom: Doom) -> Roll:
        return Roll(Gathering(listener, self._keys(name), {}, MEMBERS[name], TIMEOUT_S, doom).ask, Fpl.kind)

    def _keys(self, name: NodeId) -> Path:
        return self.folder / f"{name}.keys"


def _dying_steps(
    steps: Steps, doom: Doom, model: Any, training: LocalTraining, client: Client, num_steps: int, random: Random
) -> None:
    """As `Steps`; noise is drawn, and a process dies before it is written down."""
    steps(model, training, client, num_steps, random)
    doom(TRAINING)


def _append(path: Path, said: Mapping[str, Any]) -> None:
    """A line at the end of a file; one that a kill has cut stands alone."""
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" + json.dumps(said, sort_keys=True))


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Whole lines of a file of `Headed` or `Watched`."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [json.loads(line) for line in lines if line.endswith("}")]
