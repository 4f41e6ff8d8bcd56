"""Edges that are killed, stopped or lie while they work: the picture is that of a simulation with the same death."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cell_desk import ask, without_wall
from gainnet.catalog import GenerationConfig
from gainnet.core.errors import ConfigError
from gainnet.core.types import Bits, NodeId, Payload, Symbols
from gainnet.generation.planning import inputs
from gainnet.models.diffusion import DiffusionModel
from gainnet.protocols import execute
from gainnet.protocols.transmit import Sent
from gainnet.service.node import seat
from gainnet.service.node.content import content_frame
from gainnet.service.node.course import Failures
from gainnet.service.node.device import Answer
from gainnet.service.node.frames import Frame
from gainnet.service.node.local import Edges, edges
from gainnet.service.node.order import Asked, order_of

SECOND = NodeId("edge_2")


@pytest.fixture
def cell(scenes: DiffusionModel, keys: Path, tmp_path: Path) -> Iterator[Edges]:
    """Two edges that nobody else uses, since one of them dies; they are silent for two seconds at most."""
    with edges(scenes, keys, (SECOND,), patience_s=2.5, journal=tmp_path / "journal.db") as made:
        yield made


@pytest.fixture
def alone(scenes: DiffusionModel, keys: Path, tmp_path: Path) -> Iterator[Edges]:
    """The same with the first edge only."""
    with edges(scenes, keys, patience_s=2.5, journal=tmp_path / "journal.db") as made:
        yield made


def config_of(name: str, num_edges: int = 2, random_seed: int = 5) -> GenerationConfig:
    return GenerationConfig(
        ("a red star",), name, num_edges=num_edges, snr_db=8.0, random_seed=random_seed, num_steps=2
    )


def killing(cell: Edges, label: str, kill: Callable[[], None]) -> Callable[[str], None]:
    """A watch that kills once, when a step of that label begins."""
    done: list[str] = []

    def watch(told: str) -> None:
        if label in told and not done:
            done.append(told)
            kill()

    return watch


def check_as_simulated(answer: Answer, config: GenerationConfig, model: DiffusionModel) -> None:
    order = order_of(Asked(config), model)
    plan, network = order.planned.plan, order.planned.network
    with torch.inference_mode():
        places, report = execute(plan, inputs(order.prompts), network, order.random, order.pricing, answer.failures)
    assert torch.equal(answer.values, places[plan.result])
    assert answer.report == without_wall(report)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dcsuc", "uidcg"])
def test_an_edge_that_is_killed_is_survived_as_simulated(cell: Edges, name: str) -> None:
    config = config_of(name)
    answer = ask(cell, config, watch=killing(cell, f"@ {SECOND}", lambda: cell.kill(SECOND)))
    assert [node for node, _ in answer.failures] == [SECOND]
    assert len(answer.report.recoveries) == 1
    check_as_simulated(answer, config, cell.model)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["uidg", "diug", "dsuc", "dcsuc", "uidcg"])
@pytest.mark.parametrize("label", ["denoiser", "text_encoder", "latent"])
def test_any_edge_that_is_killed_anywhere_is_survived_as_simulated(cell: Edges, name: str, label: str) -> None:
    config = config_of(name)
    answer = ask(cell, config, watch=killing(cell, label, lambda: cell.kill(SECOND)))
    check_as_simulated(answer, config, cell.model)
    cell.join(SECOND)
    check_as_simulated(ask(cell, config), config, cell.model)


@pytest.mark.slow
def test_a_transfer_that_takes_place_after_the_decision_is_of_its_own_leg(scenes: DiffusionModel, keys: Path) -> None:
    config, killed = config_of("uidcg"), list[str]()
    # So slow that what the first edge has begun to send is on its way when the device has decided on the fallback.
    with edges(scenes, keys, (SECOND,), pace=300.0) as cell:

        def kill(way: str, frame: Frame) -> None:
            if (way, frame.kind) == ("in", "accepted") and not killed:
                killed.append(SECOND)
                cell.kill(SECOND)

        answer = ask(cell, config, tap=kill)
    assert [node for node, _ in answer.failures] == [SECOND]
    check_as_simulated(answer, config, scenes)


@pytest.mark.slow
def test_an_edge_that_stalls_is_dead_for_the_others(cell: Edges) -> None:
    config = config_of("dcsuc")
    stop = killing(cell, f"@ {SECOND}", lambda: cell.kill(SECOND, signal.SIGSTOP))
    answer = ask(cell, config, watch=stop)
    assert [node for node, _ in answer.failures] == [SECOND]
    check_as_simulated(answer, config, cell.model)


def lying(how: str) -> Callable[..., Frame]:
    """`content_frame` of an edge that lies."""

    def framed(
        request: str, index: int, source: NodeId, target: NodeId, tensor: str, sent: Sent, under: Failures
    ) -> Frame:
        payload: Payload
        match how:
            case "foreign":
                return content_frame(request, index, NodeId("edge_1"), target, tensor, sent, under)
            case "another step":
                return content_frame(request, 10**6, source, target, tensor, sent, under)
            case "another batch":
                payload = Bits((b"",) * 3, (3,))
                return content_frame(request, index, source, target, tensor, replace(sent, payload=payload), under)
            case "another payload":
                symbols = torch.ones(1, 4, dtype=torch.complex64)
                payload = Symbols(symbols, symbols, symbols.real)
                return content_frame(request, index, source, target, tensor, replace(sent, payload=payload), under)
            case _:  # bytes that no codec decodes, in the right batch
                payload = Bits((b"\xff",), (1,))
                return content_frame(request, index, source, target, tensor, replace(sent, payload=payload), under)

    return framed


def answer_beside_a_liar(scenes: DiffusionModel, keys: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> Answer:
    with edges(scenes, keys) as cell, contextlib.ExitStack() as stack:
        # Processes that are forked from now on have the patched function, the first edge has not.
        monkeypatch.setattr(seat, "content_frame", lying(how))
        liars = stack.enter_context(contextlib.closing(Edges(scenes, keys, join_port=cell.join_port)))
        liars.join(SECOND)
        monkeypatch.undo()
        return ask(cell, config_of("uidcg"))


@pytest.mark.slow
@pytest.mark.parametrize("how", ["foreign", "another step", "another batch", "another payload"])
def test_an_edge_that_lies_is_dead_for_the_others(
    scenes: DiffusionModel, keys: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    answer = answer_beside_a_liar(scenes, keys, monkeypatch, how)
    assert [node for node, _ in answer.failures] == [SECOND]
    check_as_simulated(answer, config_of("uidcg"), scenes)


@pytest.mark.slow
def test_bytes_that_no_codec_decodes_are_concealed(
    scenes: DiffusionModel, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # They could as well come from an error that no check sum saw, so that nobody is dead for it.
    answer = answer_beside_a_liar(scenes, keys, monkeypatch, "bytes")
    assert answer.failures == ()
    assert 0.0 <= float(answer.values.min()) <= float(answer.values.max()) <= 1.0


@pytest.mark.slow
def test_a_device_whose_edge_is_gone_goes_on_alone(cell: Edges) -> None:
    config = config_of("eiug", 1)
    kill = killing(cell, "denoiser", lambda: cell.kill("edge"))
    answer = ask(cell, config, watch=kill, reconnect_s=0.0)
    assert [node for node, _ in answer.failures] == ["edge"]
    check_as_simulated(answer, config, cell.model)


@pytest.mark.slow
def test_a_device_that_comes_back_gets_the_same_picture(alone: Edges) -> None:
    config = config_of("eiug", 1)
    plain = ask(alone, config, request_id="first")

    def restart() -> None:
        alone.kill("edge")
        threading.Thread(target=alone.start_first).start()

    answer = ask(alone, config, watch=killing(alone, "denoiser", restart), request_id="again", reconnect_s=60.0)
    assert answer.failures == ()
    assert torch.equal(answer.values, plain.values)
    assert answer.report == plain.report


@pytest.mark.slow
def test_a_request_whose_device_was_cut_off_waits_in_the_journal(cell: Edges) -> None:
    config = config_of("dcsuc")

    class Unplugged(Exception):
        pass

    def unplug() -> None:
        raise Unplugged

    plain = ask(cell, config, request_id="plain")
    with pytest.raises(Unplugged):
        # The device's own decoder begins when everything has arrived.
        ask(cell, config, watch=killing(cell, "@ device", unplug), request_id="cut-off")
    answer = ask(cell, config, request_id="cut-off")
    assert torch.equal(answer.values, plain.values)
    assert answer.report == plain.report
    with pytest.raises(ConfigError, match="its device has had the picture"):
        ask(cell, config, request_id="cut-off")
    with pytest.raises(ConfigError, match="this id was used for another request"):
        ask(cell, replace(config, random_seed=6), request_id="plain")
