"""Edges as processes of their own on loopback, forked from a parent that has the model already."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

from gainnet.catalog import GenerationConfig
from gainnet.catalog.opening import Recordings
from gainnet.core.report import Report
from gainnet.core.types import Bits
from gainnet.models.diffusion import DiffusionModel
from gainnet.protocols.transmit import Sent
from gainnet.service.engine import Engine
from gainnet.service.journal import Journal
from gainnet.service.node.device import Answer, Device
from gainnet.service.node.edge import Edge
from gainnet.service.node.joining import Guest, listening
from gainnet.service.node.order import Asked
from gainnet.service.node.router import device_router

FORK = multiprocessing.get_context("fork")
"""A process that is forked has the model in memory; one that is started anew takes seconds to load it."""


@dataclass
class Edges:
    """The first edge and those that have joined it.

    Args:
        model: of all of them.
        keys: folder of certificates.
        journal: of the first edge.
        pace: of the releases.
        patience_s: how long one may be silent.
    """

    model: DiffusionModel
    keys: Path
    journal: Path | None = None
    pace: float = 0.0
    patience_s: float = 10.0
    port: int = 0
    join_port: int = 0
    processes: dict[str, BaseProcess] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start_first(self) -> None:
        """Starts the first edge, at the same ports as before when it was there before."""
        ready, said = FORK.Pipe(duplex=False)
        self.processes["edge"] = process = FORK.Process(target=self._first, args=(said,), daemon=True)
        process.start()
        said.close()
        assert ready.poll(30.0)
        self.port, self.join_port = ready.recv()

    def join(self, name: str) -> None:
        """Starts an edge and waits until it has joined."""
        ready, said = FORK.Pipe(duplex=False)
        self.processes[name] = process = FORK.Process(target=self._guest, args=(name, said), daemon=True)
        process.start()
        said.close()
        assert ready.poll(30.0)
        ready.recv()

    def kill(self, name: str, with_signal: signal.Signals = signal.SIGKILL) -> None:
        """Kills an edge, or stops it with SIGSTOP."""
        pid = self.processes[name].pid
        assert pid is not None
        os.kill(pid, with_signal)
        if with_signal == signal.SIGKILL:
            self.processes.pop(name).join()

    def close(self) -> None:
        for name in list(self.processes):
            self.kill(name)

    def _first(self, said: object) -> None:
        torch.set_num_threads(1)
        asyncio.run(self._serve(said))

    async def _serve(self, said: object) -> None:
        import uvicorn
        from fastapi import FastAPI

        journal = None if self.journal is None else Journal(self.journal)
        with Engine(self.model) as engine, socket.create_server(("127.0.0.1", self.port)) as listener:
            edge = Edge(engine, journal, self.pace, self.patience_s)
            application = FastAPI()
            application.include_router(device_router(edge))
            config = uvicorn.Config(application, log_level="error", ws="websockets-sansio", lifespan="off")
            server = uvicorn.Server(config)
            async with listening(edge, "127.0.0.1", self.join_port, self.keys) as join_port:
                said.send((listener.getsockname()[1], join_port))  # type: ignore[attr-defined]
                await server.serve([listener])

    def _guest(self, name: str, said: object) -> None:
        torch.set_num_threads(1)
        with Engine(self.model) as engine:
            url = f"tls://127.0.0.1:{self.join_port}"
            asyncio.run(Guest(engine, url, self.keys, name, lambda: said.send(name)).run())  # type: ignore[attr-defined]


@contextlib.contextmanager
def edges(model: DiffusionModel, keys: Path, names: Sequence[str] = (), **settings: object) -> Iterator[Edges]:
    """The first edge and others of these names, as long as the block runs."""
    cell = Edges(model, keys, **settings)  # type: ignore[arg-type]
    try:
        cell.start_first()
        for name in names:
            cell.join(name)
        yield cell
    finally:
        cell.close()


def ask(cell: Edges, config: GenerationConfig, **settings: object) -> Answer:
    """What a device in this process gets."""
    strength, recordings = settings.pop("strength", None), settings.pop("recordings", Recordings())
    asked = Asked(config, strength, recordings)  # type: ignore[arg-type]
    return Device(cell.url, asked, cell.model, **settings).ask()  # type: ignore[arg-type]


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
