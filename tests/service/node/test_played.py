"""A device that cannot run a channel, as a page: the edge plays its part up to what comes down."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from cell_desk import check_sent, frames_of, over_the_air, without_wall
from gainnet.catalog import GenerationConfig
from gainnet.generation.planning import inputs
from gainnet.network import DEVICE
from gainnet.protocols import execute
from gainnet.service.node.content import sent_of
from gainnet.service.node.frames import Frame
from gainnet.service.node.line import connected
from gainnet.service.node.local import Edges
from gainnet.service.node.order import Asked, Order, order_of


def check_played(cell: Edges, asked: Asked, picture: torch.Tensor | None = None) -> None:
    with connected(cell.url) as line:
        frames = frames_of(line, asked, picture)
    order: Order = order_of(asked, cell.model)
    given = inputs(order.prompts, None if picture is None else picture / 255.0)
    sent = {
        i: each for i, each in over_the_air(order, given).items() if order.planned.plan.steps[i].targets == (DEVICE,)
    }
    received = {frame.head["index"]: sent_of(frame) for frame in frames if frame.kind == "content"}
    check_sent(received, {index: each[0] for index, each in sent.items()})  # type: ignore[arg-type]
    with torch.inference_mode():
        _, report = execute(order.planned.plan, given, order.planned.network, order.random, order.pricing)
    found: dict[str, Any] = frames[-1].head["report"]
    # A page compares the drafts itself, whose own the edge never sees.
    assert found == replace(without_wall(report), drafts_differ=None).to_json()
    steps = frames[0].head["steps"]
    assert [step["index"] for step in steps] == list(range(len(order.planned.plan.steps)))
    assert frames[0].head["result"] == [DEVICE, "image"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["eiug", pytest.param("ciag", marks=pytest.mark.slow)])
def test_a_page_gets_what_a_device_gets(two: Edges, name: str) -> None:
    check_played(two, Asked(GenerationConfig(("a red star",), name, snr_db=8.0, num_steps=2, random_seed=5)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["esuc", "centralized"])
def test_every_protocol_of_the_page(two: Edges, name: str) -> None:
    check_played(two, Asked(GenerationConfig(("a red star",), name, snr_db=8.0, num_steps=2, random_seed=5)))


@pytest.mark.slow
def test_an_edge_does_not_draft_for_a_page(two: Edges) -> None:
    asked = Asked(GenerationConfig(("a red star",), "draft", snr_db=8.0, num_steps=2, random_seed=5))
    check_played(two, asked)
    with connected(two.url) as line:
        ending = frames_of(line, asked)[-1].head
    # Two guided steps, and the edge's own draft of one.
    assert ending["num_denoiser_passes"] == 4 + 2


@pytest.mark.slow
def test_a_page_sends_its_picture_beside_the_request(two: Edges) -> None:
    picture = torch.arange(3 * 128 * 128, dtype=torch.int64).remainder(256).to(torch.uint8).reshape(3, 128, 128)
    asked = Asked(GenerationConfig(("a red star",), "eiug", snr_db=8.0, num_steps=2, random_seed=5), 0.6)
    check_played(two, asked, picture)


def test_who_does_not_say_hello_is_turned_away(two: Edges) -> None:
    with connected(two.url) as line:
        line.send(Frame("request", {"request": "early"}))
        refused = line.receive()
    assert refused.kind == "error"
    assert "request came in the place of hello" in refused.head["message"]
