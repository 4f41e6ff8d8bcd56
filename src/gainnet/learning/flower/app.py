"""A ClientApp and a ServerApp of Flower around the rounds of `learning`; the only file that imports flwr.

ServerApp: RemoteRounds ==Message: safetensors bytes==> SuperNode, ClientApp: train_alone
                        <==Message: safetensors bytes==

Flower carries bytes and knows nothing of models: its own arrays, strategies and pickles are not used.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, final

import torch

from gainnet.core.errors import ConfigError, GainnetError, MissingExtraError
from gainnet.core.randomness import Random
from gainnet.core.types import NodeId
from gainnet.learning.algorithm import State
from gainnet.learning.clients import Client, devices_of
from gainnet.learning.config import LearnConfig, open_model, open_session, texts_of
from gainnet.learning.exchange import file_of, tensors_of
from gainnet.learning.flower.settings import AppSettings, config_of
from gainnet.learning.remote import Averaging, RemoteRounds, Trained, train_alone
from gainnet.learning.runner import Progress, Run, run_rounds, silent
from gainnet.models.language import pack

os.environ.update({"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1", "RAY_USAGE_STATS_ENABLED": "0"})
try:
    from flwr.app import Array, ArrayRecord, ConfigRecord, ConfigRecordValues, Context, Message, MessageType, RecordDict
    from flwr.clientapp import ClientApp
    from flwr.serverapp import Grid, ServerApp
    from flwr.simulation import run_simulation
except ImportError:
    raise MissingExtraError("flwr", "engines") from None

__all__ = [
    "ConfigRecordValues",
    "Context",
    "Grid",
    "GridAsk",
    "ServerApp",
    "client_app",
    "learn_with",
    "run_simulation",
    "server_app",
]

POLL_S = 1.0
"""How often the edge looks for clients that have not appeared yet."""

LOG = logging.getLogger("flwr")

client_app, server_app = ClientApp(), ServerApp()


@server_app.main()
def serve(grid: Grid, context: Context) -> None:
    """The edge of a run: its settings are those of the app."""
    settings = AppSettings.of_table(context.run_config)
    learn_with(grid, settings, lambda n, total, loss: LOG.info("round %d of %d: test loss %.5f", n, total, loss))


def learn_with(grid: Grid, settings: AppSettings, progress: Progress = silent) -> Run:
    """All rounds with the clients that a grid reaches, or those that are missing.

    Args:
        grid: Flower's connection to its nodes.
        settings: what to learn.
        progress: told after every round.

    Raises:
        ConfigError: the settings do not fit, or the clients do not appear in time.
    """
    config = settings.config
    session = open_session(config)
    ask = GridAsk(grid, config, settings.timeout_s)
    ask.wait_for(devices_of(config.clients))
    told = {
        key: str(value) for key, value in settings.to_table().items() if key not in ("rounds", "random_seed", "out")
    }
    clients = [replace(client, rows=torch.empty(0, 0, dtype=torch.long)) for client in session.clients]
    return run_rounds(
        RemoteRounds(session.algorithm, ask),  # type: ignore[arg-type]  # it refuses what it cannot run
        clients,
        session.test_rows,
        config.rounds,
        config.random_seed,
        Path(settings.out),
        told,
        progress,
    )


@final
@dataclass(frozen=True)
class GridAsk:
    """Reaches clients through Flower: one message to each, and whatever comes back in time.

    Args:
        grid: Flower's connection to its nodes.
        config: sent along, so that a node needs none.
        timeout_s: how long a round waits.
    """

    grid: Grid
    config: LearnConfig
    timeout_s: float
    _name_of_node: dict[int, NodeId] = field(default_factory=dict, init=False, repr=False)

    def __call__(self, names: Sequence[NodeId], values: State, random: Random) -> Mapping[NodeId, Trained]:
        """As `Ask`."""
        nodes = {name: node for node, name in self._present().items()}
        content = file_of(values).numpy().tobytes()
        records = {name: _train_record(name, self.config, random, content) for name in names if name in nodes}
        found: dict[NodeId, Trained] = {}
        for reply in self._ask(MessageType.TRAIN, {nodes[name]: record for name, record in records.items()}):
            try:
                found[self._name_of_node[reply.metadata.src_node_id]] = _trained(reply, values)
            except (GainnetError, KeyError, TypeError):
                continue  # whoever answers with something else has fallen away
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
            named[reply.metadata.src_node_id] = NodeId(str(_config_in(reply)["name"]))
        for node_id in sorted(named):
            if named[node_id] not in self._name_of_node.values():
                self._name_of_node[node_id] = named[node_id]
        return {node.node_id: self._name_of_node[node.node_id] for node in nodes if node.node_id in self._name_of_node}

    def _ask(self, kind: str, records: Mapping[int, RecordDict]) -> list[Message]:
        """Answers that hold something: for a node that died the SuperLink sends an error in its own name."""
        if not records:
            return []
        messages = [Message(record, node_id, kind, ttl=2 * self.timeout_s) for node_id, record in records.items()]
        replies = self.grid.send_and_receive(messages, timeout=self.timeout_s)
        return [reply for reply in replies if reply.has_content()]


@client_app.query()
def introduce(message: Message, context: Context) -> Message:
    """What a node without a registered name calls itself."""
    return Message(RecordDict({"config": ConfigRecord({"name": _own_name(context, "")})}), reply_to=message)


@client_app.train()
def train(message: Message, context: Context) -> Message:
    """One client's part of a round, on its own text."""
    told = _config_in(message)
    name = _own_name(context, str(told["name"]))
    if name != told["name"]:
        raise ConfigError(f"name: this node is {name} and was taken for {told['name']}; register it by its name")
    algorithm, client = _opened(config_of(json.loads(str(told["config"]))), NodeId(name), context)
    random = Random((int(told["random_seed"]),), (), tuple(json.loads(str(told["path"]))))
    content = torch.frombuffer(bytearray(_file_in(message)), dtype=torch.uint8)
    trained = train_alone(algorithm, client, content, random)
    config, file = ConfigRecord({"num_rows": len(client.rows)}), _record_of(trained.numpy().tobytes())
    return Message(RecordDict({"config": config, "file": file}), reply_to=message)


def _own_name(context: Context, told: str) -> str:
    """As the node's configuration says; in a simulation the place that Flower gives it; else what it is told."""
    place = context.node_config.get("partition-id")
    default = told if place is None else devices_of(int(place) + 1)[-1]
    return str(context.node_config.get("name", default))


def _opened(config: LearnConfig, name: NodeId, context: Context) -> tuple[Averaging, Client]:
    """Algorithm and client on this node, with the node's own text where its configuration names a file."""
    session = open_session(config)
    if "texts" not in context.node_config:
        return session.algorithm, next(c for c in session.clients if c.name == name)  # type: ignore[return-value]
    (texts,), _ = texts_of(replace(config, texts=str(context.node_config["texts"])))
    rows = pack(texts, open_model(config.model)[1], config.row_length)
    return session.algorithm, Client(name, rows)  # type: ignore[return-value]


def _train_record(name: NodeId, config: LearnConfig, random: Random, content: bytes) -> RecordDict:
    (random_seed,) = random.random_seeds
    told = ConfigRecord({"name": name, "random_seed": random_seed, "path": json.dumps(random.path)})
    told["config"] = json.dumps(asdict(config))
    return RecordDict({"config": told, "file": _record_of(content)})


def _trained(reply: Message, like: State) -> Trained:
    content = torch.frombuffer(bytearray(_file_in(reply)), dtype=torch.uint8)
    num_rows = int(str(_config_in(reply)["num_rows"]))
    if num_rows < 1:
        raise ConfigError(f"num_rows: {num_rows} rows train nothing")
    return Trained(tensors_of(content, like), num_rows)


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
