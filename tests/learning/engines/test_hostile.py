"""A device that lies is cut off and the round goes on with the others; an edge that lies ends a device in one line."""

from __future__ import annotations

import copy
import json
import math
import socket
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from gainnet.catalog.learning import cut_of
from gainnet.catalog.records import LearnConfig
from gainnet.catalog.terms import Terms
from gainnet.codecs.activations import Int8
from gainnet.codecs.codec import AnyCodec
from gainnet.codecs.raw import Float32
from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.costs import split_step_cost
from gainnet.learning.algorithms.fsl import AveragedEdge, EdgePart, SharedEdge, SplitLearning
from gainnet.learning.clients import Client, LocalTraining
from gainnet.learning.engines import streamed
from gainnet.learning.engines.asking import versions
from gainnet.learning.engines.stream import END, over_streams, serve_turns
from gainnet.learning.exchange import PRIVATE
from gainnet.network import Network
from gainnet.wire.connection import Connection

Make = Callable[..., Network]
CUT = cut_of("u_shape")
BAD = {"NaN": math.nan, "Inf": math.inf, "1e30": 1e30, "9e29": 9e29, "2e6": 2e6}


class Liar:
    """A device's connection on which one kind of payload is something else than what was computed."""

    def __init__(self, connection: Connection, kind: str, value: float) -> None:
        self._connection, self._kind, self._value = connection, kind, value

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def send(self, kind: str, tensors: Any, codec: AnyCodec) -> None:
        self._connection.send(kind, self._changed(kind, tensors), codec)

    def send_file(self, kind: str, tensors: Any) -> None:
        self._connection.send_file(kind, self._changed(kind, tensors))

    def _changed(self, kind: str, tensors: Any) -> Any:
        if kind != self._kind:
            return tensors
        return {name: torch.full_like(x, self._value) for name, x in tensors.items()}


def take_turns(algorithm: SplitLearning, client: Client, connection: Any) -> None:
    try:
        serve_turns(algorithm, client, connection)
    except (OSError, ValueError):
        pass  # the edge has cut this device off
    finally:
        connection.close()


LIES = [
    *(("weights", x, Int8()) for x in ("NaN", "Inf", "1e30", "2e6")),
    *((kind, x, Float32()) for kind in ("activations", "gradients") for x in ("NaN", "Inf", "1e30")),
    ("activations", "9e29", Int8()),
]
TOLD_FAST = {
    ("shared", "weights", "2e6"),
    ("shared", "activations", "NaN"),
    ("averaged", "gradients", "1e30"),
}
"""One lie of each way that it is found; infinity and the other edge go the same ways."""


@pytest.mark.parametrize(
    ("kind", "value", "codec", "edge"),
    [
        pytest.param(
            *lie,
            edge,
            id="-".join((*lie[:2], name)),
            marks=() if (name, *lie[:2]) in TOLD_FAST else pytest.mark.slow,
        )
        for lie in LIES
        for name, edge in (("shared", SharedEdge(1e-3)), ("averaged", AveragedEdge()))
    ],
)
def test_a_device_that_lies_leaves_no_trace(
    kind: str, value: str, codec: AnyCodec, edge: EdgePart, model: Any, clients: Any, network: Make, random: Random
) -> None:
    training = LocalTraining("adamw", 1e-3, 1, 2)
    costs = {CUT.name: split_step_cost(model, CUT, torch.zeros(2, 24, dtype=torch.long))}

    def algorithm() -> SplitLearning:
        return SplitLearning(copy.deepcopy(model), network(), training, costs, CUT, codec, edge)

    here = algorithm()
    start = here.init(random)
    connections, threads = {}, []
    for client in clients[:2]:
        at_edge, at_device = socket.socketpair()
        at_edge.settimeout(60.0)
        connections[client.name] = Connection(at_edge, PRIVATE)
        plain = Connection(at_device, PRIVATE)
        device = plain if client.name != "device_0" else Liar(plain, kind, BAD[value])
        threads.append(threading.Thread(target=take_turns, args=(algorithm(), client, device), daemon=True))
        threads[-1].start()
    state, _ = over_streams(algorithm(), connections).round(start, clients[:2], random)
    assert set(connections) == {"device_1"}, "the liar is cut off"
    connections[NodeId("device_1")].send_words(END)
    connections[NodeId("device_1")].close()
    for thread in threads:
        thread.join(20.0)
    wanted, _ = here.round(start, clients[1:2], random)
    assert all(bool(x.isfinite().all()) for x in state.values())
    assert all(torch.equal(state[name], wanted[name]) for name in wanted)


def answering(words: object) -> tuple[Connection, threading.Thread]:
    """The edge's end of a connection to a device that says one thing; silence for `None`."""
    ours, theirs = socket.socketpair()
    ours.settimeout(20.0)

    def device() -> None:
        connection = Connection(theirs, PRIVATE)
        connection.receive_words()
        if words is not None:
            connection.send_words({"num_rows": words, **versions()})
        try:
            connection.receive_words()
        except OSError:
            connection.close()

    thread = threading.Thread(target=device, daemon=True)
    thread.start()
    return Connection(ours, PRIVATE), thread


def test_devices_that_say_nothing_or_odd_numbers_are_cut_off_before_the_first_round() -> None:
    odd = [10**15, 10**30, True, 0, -5, 1e3, "27", None, 12]
    ends = {NodeId(f"device_{i}"): answering(rows) for i, rows in enumerate(odd)}
    connections = {name: end for name, (end, _) in ends.items()}
    clients = streamed._introduce(connections, {}, 24, 1.0, 1000)
    assert set(connections) == {"device_8"}
    assert len(clients) == len(odd), "the others keep their places"
    assert clients[8].weight == 12.0
    for end, thread in ends.values():
        end.close()
        thread.join(10.0)
    alone = {NodeId("device_0"): answering(0)[0]}
    with pytest.raises(ConfigError, match="device_0 left before the first round"):
        streamed._introduce(alone, {}, 24, 1.0, 1000)


BASE = json.loads(json.dumps(asdict(LearnConfig(clients=1, num_texts=10, num_steps=1, batch_size=2, row_length=16))))
TURN = {"num_steps": 1, "random_seed": 0, "path": []}


@pytest.mark.parametrize(
    ("config", "turn", "message"),
    [
        ({"config": 5}, None, "config: the edge sends 5"),
        ({"config": None}, None, "config: the edge sends None"),
        ({"config": [[]]}, None, "config: the edge sends list"),
        ({}, None, "config: the edge does not send it"),
        ({"config": {**BASE, "algorithm": "lora"}}, None, "kept: a run of averaging needs a folder"),
        ({"config": {**BASE, "snr_db": math.nan}}, None, "snr_db"),
        ({"config": {**BASE, "bandwidth_hz": 0}}, None, "bandwidth_hz"),
        ({"config": {**BASE, "clients": 10**12}}, None, "clients: the edge asks for 1e[+]12"),
        ({"config": {**BASE, "codec": "os:abort"}}, None, "codec.activations: a peer may not name 'os:abort'"),
        pytest.param(
            {"config": BASE}, {**TURN, "num_steps": "x"}, "num_steps: must be an integer", marks=pytest.mark.slow
        ),
        ({"config": BASE}, {**TURN, "num_steps": 10**9}, "num_steps: must be an integer"),
        ({"config": BASE}, {"num_steps": 1}, "path: the edge does not say it"),
        pytest.param({"config": BASE}, {**TURN, "path": [[]]}, "path: must be an integer", marks=pytest.mark.slow),
        ({"config": BASE}, None, "host: the edge is gone before the end of the run"),
        (None, None, "keys: the edge has turned device_0 away or is gone"),
    ],
)
def test_an_edge_that_lies_ends_a_device_in_one_line(
    config: Any, turn: Any, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ours, theirs = socket.socketpair()
    ours.settimeout(60.0)
    monkeypatch.setattr(streamed, "connect", lambda *_: Connection(ours, PRIVATE))

    def edge() -> None:
        connection = Connection(theirs, PRIVATE)
        try:
            if config is not None:
                connection.send_words({**config, **versions()})
                connection.receive_words()
            if turn is not None:
                connection.send_words(turn)
                connection.receive_words()
        except OSError:
            pass
        finally:
            connection.close()

    thread = threading.Thread(target=edge, daemon=True)
    thread.start()
    with pytest.raises(ConfigError, match=message) as caught:
        streamed.join("127.0.0.1", 1, tmp_path, "device_0", Terms().admit, False, 1.0)
    assert "\n" not in str(caught.value)
    thread.join(20.0)
