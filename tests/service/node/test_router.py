"""The door of devices: who comes too often is told when to come again, and others go on."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping

import pytest
import uvicorn
from fastapi import APIRouter, FastAPI
from websockets.sync.client import ClientConnection, connect

from gainnet.models.diffusion import DiffusionModel
from gainnet.service.engine import Engine
from gainnet.service.http.doors import Rates
from gainnet.service.node.edge import Edge
from gainnet.service.node.frames import Frame
from gainnet.service.node.router import device_router


@pytest.fixture
def edge(scenes: DiffusionModel) -> Iterator[Edge]:
    with Engine(scenes) as engine:
        edge = Edge(engine)
        yield edge
        edge.close()


@contextlib.contextmanager
def served(router: APIRouter) -> Iterator[str]:
    """Address of the device socket of a server with these routes."""
    application = FastAPI()
    application.include_router(router)
    with socket.create_server(("127.0.0.1", 0)) as bound:
        server = uvicorn.Server(uvicorn.Config(application, log_level="error", ws="websockets-sansio", lifespan="off"))
        thread = threading.Thread(target=server.run, args=([bound],))
        thread.start()
        yield f"ws://127.0.0.1:{bound.getsockname()[1]}/v1/device"
        server.should_exit = True
        thread.join()


def received(line: ClientConnection) -> Frame:
    content = line.recv()
    assert isinstance(content, bytes)
    return Frame.of_bytes(content)


def test_requests_of_a_device_have_a_rate(edge: Edge) -> None:
    rates = Rates(rate_per_s=0.01, burst=1)

    def admit(headers: Mapping[str, str], token: str | None, address: str) -> Callable[[], None]:
        return lambda: rates.take(token or address)

    answers = []
    with served(device_router((edge,), admit)) as address, connect(address) as line:
        line.send(Frame("hello", {"role": "device", "token": "a"}).to_bytes())
        assert received(line).kind == "hello"
        for name in ("first", "second"):
            line.send(Frame("request", {"request": name, "config": {"prompts": []}}).to_bytes())
            answers.append(received(line))
        assert len(edge.devices) == 1
    assert [answer.kind for answer in answers] == ["error", "error"]
    assert [answer.head["request"] for answer in answers] == ["first", "second"]
    assert "rate" not in answers[0].head["message"]
    assert "rate: too many requests" in answers[1].head["message"]
    assert 1 < answers[1].head["retry_after_s"] <= 100
    assert not edge.devices
