"""A device in the process of the tests, and what it gets beside what a simulation makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from gainnet.catalog import GenerationConfig
from gainnet.catalog.opening import Recordings
from gainnet.core.report import Report
from gainnet.core.types import Bits, Place
from gainnet.protocols import Compute, Transfer
from gainnet.protocols.run import receive, send
from gainnet.protocols.transmit import SendCount, Sent
from gainnet.protocols.walk import walk
from gainnet.service.node.device import Answer, Device
from gainnet.service.node.frames import Frame
from gainnet.service.node.line import Line
from gainnet.service.node.local import Edges
from gainnet.service.node.order import Asked, Order


def over_the_air(order: Order, given: Mapping[Place, Tensor]) -> dict[int, tuple[Sent, ...]]:
    """Payloads that a simulation sends, one per target, by index of the step."""
    sent: dict[int, tuple[Sent, ...]] = {}
    count, specs = SendCount(), order.planned.plan.check(order.planned.network, order.given)

    def compute(index: int, step: Compute, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        return step.part(tensors, order.random)

    def carry(index: int, step: Transfer, x: Tensor | None) -> Mapping[Place, Tensor]:
        assert x is not None
        sent[index] = send(step, x, order.planned.network, order.random, count)
        spec = specs[step.source, step.tensor]
        return {place: receive(step, one, spec) for place, one in zip(step.makes, sent[index], strict=True)}

    with torch.inference_mode():
        walk(order.planned.plan, order.planned.network.nodes, given, compute, carry)
    return sent


def ask(cell: Edges, config: GenerationConfig, **settings: object) -> Answer:
    """What a device in this process gets."""
    strength, recordings = settings.pop("strength", None), settings.pop("recordings", Recordings())
    asked = Asked(config, strength, recordings)  # type: ignore[arg-type]
    return Device(cell.url, asked, cell.model, **settings).ask()  # type: ignore[arg-type]


def frames_of(line: Line, asked: Asked, picture: torch.Tensor | None = None) -> list[Frame]:
    """What a page gets, from accepted to report."""
    line.send(Frame("hello", {"role": "device"}))
    assert line.expect("hello").head["role"] == "edge"
    head = {"request": "page-1", **asked.to_json(), "air": "edge"}
    line.send(Frame.of("request", head, {} if picture is None else {"picture": picture}))
    frames = [line.expect("accepted")]
    while frames[-1].kind not in ("report", "error"):
        frames.append(line.receive())
    line.send(Frame("bye", {"request": "page-1"}))
    return frames


def without_wall(report: Report) -> Report:
    """A report without measured times."""
    return replace(report, steps=tuple(replace(step, wall_s=None) for step in report.steps))


def check_sent(served: Mapping[int, Sent], simulated: Mapping[int, Sent]) -> None:
    """Asserts that payloads over the air are the same bits."""
    assert served.keys() == simulated.keys()
    for index, sent in served.items():
        other = simulated[index]
        assert sent.usage == other.usage
        if isinstance(sent.payload, Bits):
            assert sent.payload == other.payload
            continue
        for x, y in zip(vars(sent.payload).values(), vars(other.payload).values(), strict=True):
            assert (x is None and y is None) or torch.equal(x, y)
