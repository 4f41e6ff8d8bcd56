"""What a device gets from edges that are other processes is what a simulation makes, bit for bit."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from cell_desk import ask, check_sent, over_the_air, without_wall
from gainnet.catalog import GenerationConfig
from gainnet.catalog.opening import Recordings, open_request
from gainnet.core.errors import ConfigError, ModelError
from gainnet.core.randomness import Random
from gainnet.core.types import Bits, NodeId
from gainnet.generation.planning import inputs
from gainnet.models.loading import find_folder
from gainnet.models.partial import load_parts
from gainnet.network import DEVICE
from gainnet.network.file import table_of
from gainnet.protocols import PROTOCOLS, Transfer, execute
from gainnet.radio import SnrTrace
from gainnet.service.node.device import Device, introduce
from gainnet.service.node.digests import part_digests
from gainnet.service.node.frames import Frame
from gainnet.service.node.line import Line
from gainnet.service.node.local import Edges
from gainnet.service.node.order import Asked, order_of

SEVERAL = [name for name, protocol in PROTOCOLS.items() if protocol.max_edges > 1]
FAST = [("dcsuc", 2)]
"""One edge is in the tests of recorded airs."""
PLAIN = Recordings()
ALL = [(name, n) for name in PROTOCOLS for n in ((1, 2, 3, 4) if name in SEVERAL else (1,))]


def config_of(name: str, num_edges: int, **fields: object) -> GenerationConfig:
    given = {"snr_db": 8.0, "random_seed": 5, "num_steps": 2} | fields
    return GenerationConfig(("a red star",), name, num_edges=num_edges, **given)  # type: ignore[arg-type]


def check_served(
    cell: Edges, config: GenerationConfig, picture: Tensor | None = None, recordings: Recordings = PLAIN
) -> None:
    strength = None if picture is None else 0.6
    answer = ask(cell, config, picture=picture, strength=strength, recordings=recordings)
    order = order_of(Asked(config, strength, recordings), cell.model)
    given = inputs(order.prompts, picture)
    with torch.inference_mode():
        places, report = execute(order.planned.plan, given, order.planned.network, order.random, order.pricing)
    assert torch.equal(answer.values, places[order.planned.plan.result])
    assert answer.report == without_wall(report)
    sent, steps = over_the_air(order, given), order.planned.plan.steps
    transfers = {k: step for k, step in enumerate(steps) if isinstance(step, Transfer)}
    to_device = {k: step.targets.index(DEVICE) for k, step in transfers.items() if DEVICE in step.targets}
    check_sent(answer.received, {index: sent[index][place] for index, place in to_device.items()})
    for index in [k for k, step in transfers.items() if step.source == DEVICE]:
        for place, one in enumerate(sent[index]):
            check_sent({index: answer.sent[index][place]}, {index: one})


@pytest.mark.parametrize(("name", "num_edges"), FAST)
def test_served_equals_simulated(two: Edges, name: str, num_edges: int) -> None:
    check_served(two, config_of(name, num_edges))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "num_edges"), ALL)
def test_every_protocol_is_served_as_simulated(four: Edges, name: str, num_edges: int) -> None:
    check_served(four, config_of(name, num_edges, snr_db=5.0, fading="rayleigh", random_seed=11))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "num_edges"), [(name, n) for name, n in ALL if n in (1, 2) and name != "device_only"])
def test_a_picture_is_changed_as_simulated(four: Edges, name: str, num_edges: int) -> None:
    picture = Random.of(3).uniform(four.model.image.shape, "picture")
    check_served(four, config_of(name, num_edges), picture)


RECORDINGS = {
    "snr": Recordings(snr_trace=SnrTrace((3.0, 12.0, -2.0, 10.0))),
    "delivery": Recordings(delivery_ms=(1, 1, 4, 9, 9, 15)),
}


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_recorded_air_is_served_as_simulated(two: Edges, name: str) -> None:
    check_served(two, config_of("eiug", 1), recordings=RECORDINGS[name])


CELL: dict[str, Any] = {
    "nodes": {
        "device": {"kind": "device", "hardware": "phone"},
        "near": {"kind": "edge", "hardware": "edge_l4"},
        "edge_2": {"kind": "edge", "hardware": "edge_a100"},
    },
    "media": {"cell": {"kind": "air", "snr_db": 6.0}, "fibre": {"kind": "wire", "delay_s": 0.002}},
    "links": [
        {"between": ["device", "near"], "medium": "cell", "fading": "rayleigh"},
        {"between": ["device", "edge_2"], "medium": "cell", "snr_db": 12.0},
        {"between": ["near", "edge_2"], "medium": "fibre"},
    ],
}


@pytest.mark.slow
def test_a_network_of_a_file_is_served_as_simulated(two: Edges) -> None:
    check_served(two, config_of("dcsuc", 1), recordings=Recordings(network=table_of(CELL, "it")))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"hardware": "/etc/passwd"}, "network.edge_2.hardware"),
        ({"address": 5}, "network: it has nodes.edge_2.address"),
    ],
)
def test_a_network_names_what_a_peer_may_name(
    two: Edges, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], reason: str
) -> None:
    plain, nodes = Asked.to_json, CELL["nodes"]
    network = CELL | {"nodes": nodes | {"edge_2": nodes["edge_2"] | change}}
    monkeypatch.setattr(Asked, "to_json", lambda asked: {**plain(asked), "network": network})
    with pytest.raises(ConfigError, match=reason):
        ask(two, config_of("dcsuc", 1))


def test_a_recorded_link_has_no_uses(two: Edges) -> None:
    answer = ask(two, config_of("eiug", 1), recordings=RECORDINGS["delivery"])
    report = answer.report.to_json()
    assert report["num_channel_uses_down"] is None
    assert report["num_channel_uses_up"] is None
    assert report["num_channel_uses_backhaul"] == 0
    assert answer.report.duration_s > 0.0


@pytest.mark.slow
def test_an_answer_is_what_generate_makes(two: Edges) -> None:
    # Over an ideal air no opponent is searched for, which takes seconds.
    config = config_of("ciag", 1, fading="ideal")
    answer, made = ask(two, config), open_request(config, two.model).generate()
    assert torch.equal(answer.values, made.values)
    assert answer.report == without_wall(made.report)
    assert answer.ending == {"released": 2, "late": 0, "num_denoiser_passes": 2}


@pytest.fixture(scope="module")
def without_unet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped model without the weights of its denoiser."""
    folder = tmp_path_factory.mktemp("device") / "scenes"
    shutil.copytree(find_folder("scenes"), folder, ignore=shutil.ignore_patterns("onnx"))
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    return folder


def asking(cell: Edges, config: GenerationConfig, folder: Path) -> Device:
    edge = introduce(cell.url, weights=part_digests(folder))
    return Device(cell.url, Asked(config), load_parts(str(folder), str(edge["sha256"]), config.num_steps))


def test_a_device_with_other_weights_is_told_which_to_fetch(two: Edges) -> None:
    with pytest.raises(ModelError, match="other weights than the edge's; fetch vae"):
        introduce(two.url, weights={"vae": "0" * 64})


@pytest.mark.slow
def test_a_device_needs_no_weights_of_the_denoiser(two: Edges, without_unet: Path) -> None:
    config = config_of("eiug", 1, codec={"seed": "linear"})
    answer = asking(two, config, without_unet).ask()
    assert torch.equal(answer.values, ask(two, config).values)
    with pytest.raises(ModelError, match="no weights of the unet"):
        asking(two, config_of("ciag", 1), without_unet).ask()


def test_a_changed_byte_of_the_payload_changes_the_picture(two: Edges, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of("eiug", 1, codec={"seed": "digital"}, snr_db=20.0)
    plain = ask(two, config)
    (index,) = plain.received
    payload = plain.received[index].payload
    assert isinstance(payload, Bits)
    read = Line.receive

    def with_another_byte(line: Line) -> Frame:
        frame = read(line)
        if frame.kind != "content":
            return frame
        body = bytearray(frame.body)
        body[-1] ^= 1
        return Frame(frame.kind, frame.head, bytes(body))

    monkeypatch.setattr(Line, "receive", with_another_byte)
    assert not torch.equal(ask(two, config).values, plain.values)


def test_a_plan_for_more_edges_than_there_are_is_refused(two: Edges) -> None:
    with pytest.raises(ConfigError, match="3 edges are needed and 2 are here; start more with gainnet serve --join"):
        ask(two, config_of("uidcg", 3))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"protocol": "os:abort"}, "protocol: a peer may not name"),
        ({"codec": {"seed": "linear(basis='/etc/passwd')"}}, "codec.seed"),
        ({"hardware": "/etc/passwd"}, "hardware"),
        ({"power": "/etc"}, "power"),
        ({"runtime": "onnx"}, "runtime: this edge computes with torch"),
        ({"num_channel_uses": 10**8}, "num_channel_uses"),
        pytest.param({"num_steps": 2000}, "num_steps", marks=pytest.mark.slow),
    ],
)
def test_what_a_stranger_may_not_ask_for_is_refused_in_a_line(
    two: Edges, monkeypatch: pytest.MonkeyPatch, fields: Mapping[str, object], reason: str
) -> None:
    plain = Asked.to_json
    monkeypatch.setattr(Asked, "to_json", lambda asked: {"config": {**plain(asked)["config"], **fields}})
    with pytest.raises(ConfigError, match=reason):
        ask(two, config_of("eiug", 1))


@pytest.mark.slow
def test_nodes_are_named_as_in_the_plan(two: Edges) -> None:
    answer = ask(two, config_of("dsuc", 2))
    assert set(answer.report.nodes) == {NodeId("edge_1"), NodeId("edge_2"), DEVICE}
