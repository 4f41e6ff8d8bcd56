"""A ClientApp and a ServerApp of Flower around the rounds of `learning`; which imports flwr.

ServerApp: round of averaging ==Message: words, safetensors bytes==> SuperNode, ClientApp: answer
                        <==Message: words, safetensors bytes==

Flower carries bytes and knows nothing of models: its own arrays, strategies and pickles are not used.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, final

import torch

from gainnet.core.errors import ConfigError, GainnetError, MissingExtraError
from gainnet.core.files import write_json
from gainnet.core.outside import read_json, read_text, reading
from gainnet.core.run.loop import silent
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.flora import as_averaging
from gainnet.learning.clients import devices_of
from gainnet.learning.engines.asking import REFUSED, Question, Roll, check_version, versions
from gainnet.learning.engines.averaged import respondent_of
from gainnet.learning.engines.guarding import guarded_elsewhere
from gainnet.learning.engines.remote import elsewhere
from gainnet.learning.engines.turns import Admit
from gainnet.learning.runner import Progress, Run
from gainnet.learning.session import Session
from gainnet.wire import bounded, file_of, tensors_of

os.environ.update({"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1", "RAY_USAGE_STATS_ENABLED": "0"})
try:
    from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MessageType, RecordDict
    from flwr.clientapp import ClientApp
    from flwr.serverapp import Grid
except ImportError:
    raise MissingExtraError("flwr", "engines") from None

POLL_S = 1.0
"""How often the edge looks for clients that have not appeared yet."""

PRIVACY = "privacy.json"

LOG = logging.getLogger("flwr")


def learn_with(
    grid: Grid, session: Session, offered: Mapping[str, Any], timeout_s: float, out: Path, progress: Progress = silent
) -> Run:
    """All rounds with the clients that a grid reaches, or those that are missing.

    Args:
        grid: Flower's connection to its nodes.
        session: what to learn, with its safeguards.
        offered: settings as the nodes are sent them, as JSON.
        timeout_s: how long a question waits, and how long the clients may take to appear.
        out: folder for checkpoint and records; with privacy, for what was spent of it in `privacy.json`.
        progress: called after every round.

    Raises:
        ConfigError: the algorithm does not travel as messages, or the clients do not appear in time.
    """
    reach, safeguards = GridAsk(grid, offered, timeout_s), session.safeguards
    averaging, names = as_averaging(session.algorithm), tuple(client.name for client in session.clients)
    hides = safeguards is not None and safeguards.guards.masked
    # A node is a process per message: nothing of the round is in its memory when the next one comes.
    roll = Roll(reach.ask, averaging.kind, hides=hides, forgets=True)
    elsewhere(averaging if safeguards is None else safeguards.without_record(averaging, out), roll)
    reach.wait_for(names)
    algorithm = guarded_elsewhere(averaging, safeguards, roll, names, out)
    # The edge knows the names of its clients and none of their text.
    clients = tuple(replace(client, rows=torch.empty(0, 0, dtype=torch.long)) for client in session.clients)
    there = replace(session, algorithm=algorithm, clients=clients, safeguards=None)
    run = there.run(out, progress, lambda: roll.left_out)
    if safeguards is not None and (spent := safeguards.spent_elsewhere(out, roll.num_events)) is not None:
        write_json(out / PRIVACY, asdict(spent))
    return run


@final
@dataclass(frozen=True)
class GridAsk:
    """Reaches clients through Flower: one message to each, and whatever comes back in time.

    Args:
        grid: Flower's connection to its nodes.
        offered: settings that are sent along, so that a node needs none.
        timeout_s: how long a question waits.
    """

    grid: Grid
    offered: Mapping[str, Any]
    timeout_s: float
    _name_of_node: dict[int, NodeId] = field(default_factory=dict, init=False, repr=False)

    def ask(self, questions: Mapping[NodeId, Question]) -> Mapping[NodeId, Any]:
        """As `Reach`."""
        # Numbers of nodes change when they come back; names are what the rounds know.
        nodes = {name: node for node, name in self._present().items()}
        records = {name: _asking(name, self.offered, each) for name, each in questions.items() if name in nodes}
        found: dict[NodeId, Any] = {}
        for reply in self._ask(MessageType.TRAIN, {nodes[name]: record for name, record in records.items()}):
            try:
                name = self._name_of_node[reply.metadata.src_node_id]
                found[name] = _answered(questions[name], reply)
            except (GainnetError, KeyError) as error:
                # Whoever answers with something else has fallen away; the round goes on without it.
                LOG.warning("node %s is left out: %s", reply.metadata.src_node_id, error)
        return found

    def wait_for(self, names: Sequence[NodeId]) -> None:
        """Returns when nodes of these names are there.

        Raises:
            ConfigError: some do not appear in time.
        """
        end_s = time.monotonic() + self.timeout_s
        while missing := sorted(set(names) - set(self._present().values())):
            if time.monotonic() > end_s:
                raise ConfigError(f"clients: {', '.join(missing)} did not appear in {self.timeout_s:g} s; start them")
            time.sleep(POLL_S)

    def _present(self) -> dict[int, NodeId]:
        """Nodes that are there, by name: that registered with their key, else what they say; the first one counts."""
        nodes = list(self.grid.get_nodes())
        fresh = [node for node in nodes if node.node_id not in self._name_of_node]
        named = {node.node_id: NodeId(node.name) for node in fresh if node.name}
        nameless = {node.node_id: RecordDict() for node in fresh if not node.name}
        for reply in self._ask(MessageType.QUERY, nameless):
            with contextlib.suppress(GainnetError), reading("name"):
                named[reply.metadata.src_node_id] = NodeId(read_text(_config_in(reply)["name"], "name", 64))
        for node_id in sorted(named):
            if named[node_id] not in self._name_of_node.values():
                self._name_of_node[node_id] = named[node_id]
        return {node.node_id: self._name_of_node[node.node_id] for node in nodes if node.node_id in self._name_of_node}

    def _ask(self, kind: str, records: Mapping[int, RecordDict]) -> list[Message]:
        """Answers that hold something: for a node that died the SuperLink sends an error in its own name."""
        if not records:
            return []
        # Twice the wait, so that no message expires while its answer is still on the way.
        messages = [Message(record, node_id, kind, ttl=2 * self.timeout_s) for node_id, record in records.items()]
        replies = self.grid.send_and_receive(messages, timeout=self.timeout_s)
        return [reply for reply in replies if reply.has_content()]


def answer(message: Message, context: Context, admit: Admit, kept: Path | None) -> Message:
    """One client's part of a round, on its own text.

    Args:
        message: of the edge.
        context: of the node.
        admit: makes the client's side of the run.
        kept: folder of its keys, and of what it has sent; `None` where it keeps nothing.

    Raises:
        ConfigError: the message is malformed, or asks for what this node excludes.
    """
    with reading("message", ConfigError):
        said = dict(_config_in(message))
        asked = read_text(said["name"], "name", 64, ConfigError)
        check_version(read_json(read_text(said["versions"], "versions", 1 << 10, ConfigError), "versions", ConfigError))
        words = read_json(str(said["words"]), "words", ConfigError)
        offered = read_json(read_text(said["config"], "config", 1 << 14, ConfigError), "config", ConfigError)
    name = _own_name(context, asked)
    if name != asked:
        raise ConfigError(f"name: this node is {name} and was taken for {asked}; register it by its name")
    member = admit(offered, name)
    respondent = respondent_of(member, offered, kept)
    brought = respondent.expects(words)
    given = None if brought is None else bounded(tensors_of(_file_in(message), brought[1]))
    found, file = respondent.answer(words, given)
    records: dict[str, Any] = {"config": ConfigRecord({"words": json.dumps(found)})}
    if file is not None:
        records["file"] = _record_of(file_of(file[1]).numpy().tobytes())
    return Message(RecordDict(records), reply_to=message)


def client_app_of(
    admit_in: Callable[[Context], Admit], kept_in: Callable[[Context], Path | None] = lambda _: None
) -> ClientApp:
    """The app of a node; what it opens itself is found in its context, or known where it is simulated.

    Args:
        admit_in: makes the client's side of a run.
        kept_in: folder of the client's keys, and of what it has sent.
    """
    app = ClientApp()

    @app.query()
    def query(message: Message, context: Context) -> Message:
        # For a node that has registered no name.
        return Message(RecordDict({"config": ConfigRecord({"name": _own_name(context, "")})}), reply_to=message)

    @app.train()
    def train(message: Message, context: Context) -> Message:
        return answer(message, context, admit_in(context), kept_in(context))

    return app


def _own_name(context: Context, asked: str) -> str:
    """As the node's configuration says; in a simulation the place that Flower gives it; else what it is called."""
    place = context.node_config.get("partition-id")
    default = asked if place is None else devices_of(int(place) + 1)[-1]
    return str(context.node_config.get("name", default))


def _asking(name: NodeId, offered: Mapping[str, Any], question: Question) -> RecordDict:
    words = {"words": question.words, "config": offered, "versions": versions()}
    config = ConfigRecord({"name": name, **{key: json.dumps(value) for key, value in words.items()}})
    if question.down is None:
        return RecordDict({"config": config})
    return RecordDict({"config": config, "file": _record_of(file_of(question.down[1]).numpy().tobytes())})


def _answered(question: Question, reply: Message) -> Any:
    with reading("reply"):
        words = read_json(read_text(_config_in(reply)["words"], "words", 1 << 20), "words")
        holds = question.up is not None and REFUSED not in words
        values = bounded(tensors_of(_file_in(reply), question.up[1])) if question.up is not None and holds else None
        return question.answered(words, values)


def _record_of(content: bytes) -> ArrayRecord:
    """A safetensors file as Flower sends it: as an array, because it cuts large arrays into pieces."""
    return ArrayRecord({"file": Array("uint8", (len(content),), "safetensors", content)})


def _file_in(message: Message) -> bytes:
    array = message.content.array_records["file"]["file"]
    if array.stype != "safetensors":
        raise ConfigError(f"payload: {array.stype!r} is not read; only safetensors is")
    return bytes(array.data)


def _config_in(message: Message) -> Mapping[str, Any]:
    return message.content.config_records["config"]
