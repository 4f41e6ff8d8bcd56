"""A split step between two ends of a stream is the split step of one process, in values and in bits."""

from __future__ import annotations

import copy
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from gainnet.catalog.learning import cut_of, learning_of, open_model, open_session
from gainnet.catalog.records import LearnConfig
from gainnet.catalog.terms import Terms, offer, own_client
from gainnet.codecs.activations import Int8, TopK
from gainnet.codecs.codec import AnyCodec
from gainnet.codecs.raw import Float32
from gainnet.core.errors import ConfigError, PayloadError, PlanError
from gainnet.core.randomness import Random
from gainnet.learning.algorithms.algorithm import State
from gainnet.learning.algorithms.costs import split_step_cost
from gainnet.learning.algorithms.fsl import AveragedEdge, SharedEdge, SplitLearning, kinds_over
from gainnet.learning.clients import LocalTraining
from gainnet.learning.engines.stream import END, over_streams, serve_turns
from gainnet.learning.engines.streamed import join, serve
from gainnet.learning.exchange import KINDS, PRIVATE
from gainnet.models.language import pack, small_decoder, word_tokenizer
from gainnet.network import Network
from gainnet.radio import Ideal
from gainnet.wire.connection import LENGTH, Connection
from gainnet.wire.keys import write_certificates
from gainnet.wire.tls import listening

Make = Callable[..., Network]


class Recorded:
    """A socket that keeps what went through it."""

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream
        self.sent, self.received = bytearray(), bytearray()

    def gettimeout(self) -> None:
        return None

    def send(self, content: bytes) -> int:
        count = self._stream.send(content)
        self.sent += content[:count]
        return count

    def recv(self, size: int) -> bytes:
        part = self._stream.recv(size)
        self.received += part
        return part

    def close(self) -> None:
        self._stream.close()


def payload_bits(raw: bytes) -> int:
    """Bits of the values in all frames, read by the format of safetensors and nothing of ours."""
    total = 0
    while raw:
        (length,) = LENGTH.unpack(raw[: LENGTH.size])
        frame, raw = raw[LENGTH.size : LENGTH.size + length], raw[LENGTH.size + length :]
        header = json.loads(frame[8 : 8 + int.from_bytes(frame[:8], "little")])
        total += 8 * sum(
            end - start for start, end in (x["data_offsets"] for name, x in header.items() if name != "__metadata__")
        )
    return total


def split_learning(cut: str, codec: AnyCodec, model: Any, network: Network, shared: bool) -> SplitLearning:
    training, where = LocalTraining("adamw", 1e-3, 2, 4), cut_of(cut)
    costs = {cut: split_step_cost(model, where, torch.zeros(4, 24, dtype=torch.long))}
    edge = SharedEdge(1e-3) if shared else AveragedEdge()
    if not shared:
        # Both ends draw the same masks, and add gradients up over the same parts.
        training = replace(training, num_parts=2, dropout="keyed")
    return SplitLearning(model, network, training, costs, where, codec, edge)


def tied_decoder() -> Any:
    """One weight for both embeddings, so that its gradients cross, too; with dropout."""
    from transformers import LlamaForCausalLM

    config = copy.deepcopy(small_decoder(16, 3, 2).config)
    config.tie_word_embeddings, config.attention_dropout = True, 0.2
    model = LlamaForCausalLM(config).eval()
    model.set_attn_implementation("eager")
    return model


def take_turns(algorithm: SplitLearning, client: Any, stream: socket.socket) -> None:
    with stream:
        serve_turns(algorithm, client, Connection(stream, kinds_over([algorithm.cut])))


def equal(a: State, b: State) -> bool:
    return set(a) == set(b) and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cut", "codec", "shared"),
    [
        ("u_shape", Float32(), True),
        pytest.param("u_shape+1", Int8(), True, marks=pytest.mark.slow),
        pytest.param("embedding_only", TopK(0.2), True, marks=pytest.mark.slow),
        ("embedding_only", Float32(), False),
    ],
)
def test_a_round_over_streams_is_the_round_in_process(
    cut: str, codec: AnyCodec, shared: bool, model: Any, clients: Any, network: Make, random: Random
) -> None:
    clients = clients[:2]
    if not shared:
        model = tied_decoder()
    here = split_learning(cut, codec, copy.deepcopy(model), network((Ideal(),), (Ideal(),)), shared)
    start = here.init(random)
    wanted, cost = here.round(start, clients, random)
    edge = replace(here, model=copy.deepcopy(model))
    wires, taps, threads = {}, [], []
    for client in clients:
        at_edge, at_device = socket.socketpair()
        taps.append(Recorded(at_edge))
        wires[client.name] = Connection(taps[-1], kinds_over([edge.cut]))  # type: ignore[arg-type]
        device = replace(here, model=copy.deepcopy(model))
        threads.append(threading.Thread(target=take_turns, args=(device, client, at_device), daemon=True))
        threads[-1].start()
    blind = [replace(client, rows=torch.zeros_like(client.rows)) for client in clients]
    state, report = over_streams(edge, wires).round(start, blind, random)
    for wire in wires.values():
        wire.send_words(END)
        wire.close()
    for thread in threads:
        thread.join(10.0)
        assert not thread.is_alive()
    assert equal(state, wanted)
    assert not equal(state, start)
    assert report == cost
    assert any("tied_gradients" in step.label for step in report.steps) is not shared
    bits = {way: sum(s.num_bits for s in report.steps if s.direction == way) for way in ("up", "down")}
    assert (
        sum(payload_bits(tap.received) for tap in taps)
        == bits["up"]
        == sum(w.num_bits_received for w in wires.values())
    )
    assert sum(payload_bits(tap.sent) for tap in taps) == bits["down"] == sum(w.num_bits_sent for w in wires.values())
    assert sum(len(tap.sent) for tap in taps) == sum(w.num_bytes_sent for w in wires.values())
    assert all(8 * (w.num_bytes_sent - w.framing_bytes_sent) == w.num_bits_sent for w in wires.values())


@pytest.mark.slow
def test_a_device_that_vanishes_or_lies_changes_nothing_but_its_own_weight(
    model: Any, clients: Any, network: Make, random: Random
) -> None:
    here = split_learning("u_shape", Float32(), copy.deepcopy(model), network(), True)
    start = here.init(random)
    ends = {client.name: socket.socketpair() for client in clients}
    wires = {name: Connection(pair[0], PRIVATE) for name, pair in ends.items()}
    honest = replace(here, model=copy.deepcopy(model))
    there = ends["device_0"][1]
    turns = threading.Thread(target=take_turns, args=(honest, clients[0], there), daemon=True)
    turns.start()
    ends["device_1"][1].close()
    liar = Connection(ends["device_2"][1], PRIVATE)
    liar.send("activations", {"transformer.h.0:0": torch.zeros(4, 7, 3)}, Float32())
    edge = replace(here, model=copy.deepcopy(model))
    state, _ = over_streams(edge, wires).round(start, clients, random)
    wires["device_0"].send_words(END)
    wires["device_0"].close()
    turns.join(10.0)
    ends["device_2"][1].close()
    assert set(wires) == {"device_0"}
    assert equal(state, here.round(start, clients[:1], random)[0])


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (LENGTH.pack((1 << 30) + 1), "1073741825 bytes"),
        (LENGTH.pack(4) + b"abcd", "not a safetensors file"),
        (LENGTH.pack(10) + (2).to_bytes(8, "little") + b"{}", "frame: cannot be read"),
    ],
)
def test_odd_frames_are_refused(raw: bytes, told: str) -> None:
    ours, theirs = socket.socketpair()
    theirs.sendall(raw)
    with ours, theirs, pytest.raises(PayloadError, match=told):
        Connection(ours, PRIVATE).receive("activations", Float32(), {"x": (1, 8)})


def test_only_kinds_that_are_allowed_cross() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with pytest.raises(PlanError, match="'labels' may not cross"):
            Connection(theirs, PRIVATE).send("labels", {"labels": torch.zeros(1, 2)}, Float32())
        Connection(theirs, KINDS).send("labels", {"labels": torch.zeros(1, 2)}, Float32())
        with pytest.raises(PayloadError, match="'labels' came in the place of 'activations'"):
            Connection(ours, PRIVATE).receive("activations", Float32(), {"x": (1, 8)})


@pytest.mark.slow
def test_labels_leave_a_device_only_when_it_says_so(tmp_path: Path) -> None:
    small_decoder(16, 1, 2).save_pretrained(tmp_path / "model")
    word_tokenizer().save_pretrained(tmp_path / "model")
    model = str(tmp_path / "model")
    config = LearnConfig("fsl", cut="embedding_only", model=model, clients=1, rounds=1, num_texts=12, row_length=24)
    write_certificates(tmp_path, devices=("device_0",))
    told: list[str] = []

    def refuse(port: int) -> None:
        try:
            join("127.0.0.1", port, tmp_path, "device_0", Terms(model).admit, False, 60.0)
        except ConfigError as error:
            told.append(str(error))

    with listening("127.0.0.1", 0) as listener:
        device = threading.Thread(target=refuse, args=(listener.getsockname()[1],), daemon=True)
        device.start()
        session = open_session(config)
        with pytest.raises(ConfigError, match="device_0 left before the first round"):
            serve(session, offer(config, session.model), listener, tmp_path, 60.0)
        device.join(60.0)
    assert told == ["cut: embedding_only takes the labels off this device; allow it or cut as u_shape"]


def test_a_device_may_bring_its_own_text(tmp_path: Path) -> None:
    lines = [f"aspirin lowered pain in trial {number} ." for number in range(40)]
    (tmp_path / "own.txt").write_text("\n".join(lines))
    config = LearnConfig("fsl", row_length=24)
    config = replace(config, texts=str(tmp_path / "own.txt"))
    client = own_client(config, learning_of(config), open_model("abstracts")[1], "device_7")
    assert client.name == "device_7"
    assert torch.equal(client.rows, pack(lines[:36], open_model("abstracts")[1], 24))


@pytest.mark.slow
def test_devices_that_are_processes_learn_what_one_process_learns(tmp_path: Path) -> None:
    small_decoder(16, 3, 2).save_pretrained(tmp_path / "model")
    word_tokenizer().save_pretrained(tmp_path / "model")
    small: dict[str, Any] = {"clients": 2, "num_steps": 2, "batch_size": 4, "num_texts": 12, "row_length": 24}
    config = LearnConfig("fsl", model=str(tmp_path / "model"), rounds=2, link="ideal", **small)
    write_certificates(tmp_path / "keys", devices=("device_0", "device_1"))
    write_certificates(tmp_path / "others", devices=("device_0",))
    with listening("127.0.0.1", 0) as listener, ThreadPoolExecutor(1) as edge:
        port = listener.getsockname()[1]
        session = open_session(config)
        served = edge.submit(serve, session, offer(config, session.model), listener, tmp_path / "keys", 240.0)
        stranger = joined("device_0", tmp_path / "others", port, tmp_path / "model")
        assert b"is not trusted" in stranger.communicate(timeout=120)[1]
        assert stranger.returncode == 2
        devices = [joined(name, tmp_path / "keys", port, tmp_path / "model") for name in ("device_0", "device_1")]
        run, traffic = served.result(240)
    seen = [json.loads(device.communicate(timeout=60)[0]) for device in devices]
    assert [device.returncode for device in devices] == [0, 0]
    here = open_session(config).run()
    assert max(float((run.state[n] - here.state[n]).abs().max()) for n in here.state) < 1e-6
    assert run.rounds == here.rounds
    assert traffic.num_bits_up == sum(r["num_bits_up"] for r in here.rounds)
    assert traffic.num_bits_down == sum(r["num_bits_down"] for r in here.rounds)
    for key, value in asdict(traffic).items():
        assert sum(one[key] for one in seen) == value


def joined(name: str, keys: Path, port: int, model: Path) -> subprocess.Popen[bytes]:
    where = ["--keys", str(keys), "--port", str(port), "--model", str(model)]
    command = ["split", "join", name, *where, "--timeout-s", "120", "--json"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-m", "gainnet.cli", *command], env=dict(os.environ), **pipes)  # type: ignore[call-overload,no-any-return]


@pytest.mark.slow
def test_a_device_that_dies_in_its_turn_is_left_out_and_comes_again(tmp_path: Path) -> None:
    """Its first connection breaks in the middle of a step; the second one takes part as if nothing had been."""
    from gainnet.learning.engines import streamed

    model = open_model("abstracts")[0]
    config = LearnConfig(
        "fsl", clients=2, rounds=3, num_steps=1, batch_size=2, row_length=16, num_texts=8, link="ideal"
    )
    write_certificates(tmp_path, devices=("device_0", "device_1"))
    session = open_session(config)
    died = threading.Event()

    class Dying:
        """Hangs up when gradients are to be sent in the second turn."""

        def __init__(self, true: Connection) -> None:
            self._true, self._num = true, 0

        def __getattr__(self, name: str) -> Any:
            return getattr(self._true, name)

        def send(self, kind: str, tensors: Any, codec: AnyCodec) -> None:
            self._num += kind == "gradients"
            if self._num == 2 and not died.is_set():
                died.set()
                self._true.close()
                raise ConnectionResetError("killed")
            self._true.send(kind, tensors, codec)

    def connect(*given: Any) -> Any:
        return Dying(original(*given)) if given[3] == "device_1" else original(*given)

    original, streamed.connect = streamed.connect, connect  # type: ignore[assignment]
    try:
        with listening("127.0.0.1", 0) as listener, ThreadPoolExecutor(2) as threads:
            port = listener.getsockname()[1]
            devices = [
                threads.submit(join, "127.0.0.1", port, tmp_path, name, Terms().admit, False, 60.0)
                for name in ("device_0", "device_1")
            ]
            run, _ = serve(session, offer(config, model), listener, tmp_path, 60.0, tmp_path / "out")
            assert all(device.result().num_bits_up for device in devices)
    finally:
        streamed.connect = original
    assert died.is_set()
    left_out = [detail["left_out"] for detail in json.loads((tmp_path / "out" / "run.json").read_text())["details"]]
    assert left_out[0] == []
    assert left_out[1] == ["device_1"]
    here, state = open_session(config), None
    random = Random.of(config.random_seed).child("learning")
    state = here.algorithm.init(random)
    for number, gone in enumerate(left_out):
        there = [client for client in here.clients if client.name not in gone]
        state, _ = here.algorithm.round(state, there, random.child("round", number))
    assert equal(run.state, state), "the rounds without it where it was gone, with it where it was there"
