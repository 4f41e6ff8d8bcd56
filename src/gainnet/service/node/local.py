"""Edges as processes of this machine: forked from one that has the model already, or started anew by the command."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, final

import torch
import uvicorn
from fastapi import FastAPI

from gainnet.core.errors import ConfigError
from gainnet.models.diffusion import DiffusionModel
from gainnet.service.engine import Engine
from gainnet.service.journal import Journal
from gainnet.service.node.edge import Edge
from gainnet.service.node.joining import Guest, listening
from gainnet.service.node.nursery import Child, Nursery
from gainnet.service.node.router import device_router
from gainnet.service.provenance import Signer

FIRST: Final = "edge"
"""Name of the first edge."""
_JOINED: Final = "joined"
Running = Child | subprocess.Popen[str]


@final
@dataclass
class Edges:
    """The first edge and those that have joined it, each a process of its own on loopback.

    Args:
        model: of all of them.
        keys: folder of certificates.
        journal: of the first edge; nothing is kept when `None`.
        pace: of the releases.
        patience_s: how long a joined edge may be silent.
        signer: folder of the keys with which a forked first edge signs; it signs nothing when `None`.
        tokens: file of tokens that a first edge asks for that is started anew; it asks for none when `None`.
        log: file that takes what the processes write to standard error; this process's own when `None`.
        port: of the first edge; 0 until it has one, which it keeps when it is started again.
        join_port: likewise, where others join.
        processes: by name.
    """

    model: DiffusionModel
    keys: Path
    journal: Path | None = None
    pace: float = 0.0
    patience_s: float = 10.0
    signer: Path | None = None
    tokens: Path | None = None
    log: Path | None = None
    port: int = 0
    join_port: int = 0
    processes: dict[str, Running] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._nursery = Nursery({FIRST: self._first, _JOINED: self._guest})

    @property
    def url(self) -> str:
        """Address of the first edge."""
        return f"http://127.0.0.1:{self.port}"

    def start_first(self) -> None:
        """Forks the first edge, at the same ports as before when it was there before."""
        self.port, self.join_port = self._forked(FIRST, FIRST, self.port, self.join_port)

    def join(self, name: str) -> None:
        """Forks an edge and waits until it has joined."""
        self._forked(name, _JOINED, name, self.join_port)

    def start_first_anew(self) -> None:
        """Starts the first edge by `gainnet serve`, which loads the model."""
        ports = ("--port", str(self.port), "--join-port", str(self.join_port))
        journal = () if self.journal is None else ("--journal", str(self.journal))
        tokens = () if self.tokens is None else ("--tokens", str(self.tokens))
        ready = self._started(FIRST, *ports, *journal, *tokens, "--pace", str(self.pace))
        self.port = int(ready["url"].rstrip("/").rpartition(":")[2])
        self.join_port = int(ready["join"].rpartition(":")[2])

    def join_anew(self, name: str) -> None:
        """Starts an edge by `gainnet serve --join` and waits until it has joined."""
        self._started(name, "--join", f"tls://127.0.0.1:{self.join_port}", "--edge", name)

    def kill(self, name: str, with_signal: signal.Signals = signal.SIGKILL) -> None:
        """Kills an edge, or stops it with SIGSTOP."""
        process = self.processes[name]
        assert process.pid is not None
        os.kill(process.pid, with_signal)
        if with_signal == signal.SIGKILL:
            self.processes.pop(name)
            process.wait()

    def close(self) -> None:
        """Kills all."""
        for name in list(self.processes):
            self.kill(name)
        self._nursery.close()

    def _forked(self, name: str, work: str, *arguments: Any) -> Any:
        """First message of a forked process, when it is ready."""
        self.processes[name] = child = self._nursery.start(work, *arguments)
        return child.hear()

    def _started(self, name: str, *options: str) -> Any:
        """The line that a command prints when it is ready."""
        shared = ("--keys", str(self.keys), "--model", self.model.name, "--runtime", self.model.runtime, "--json")
        command = (sys.executable, "-m", "gainnet.cli", "serve", *options, *shared)
        with contextlib.ExitStack() as stack:
            log = None if self.log is None else stack.enter_context(self.log.open("a"))
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment)
        self.processes[name] = process
        assert process.stdout is not None
        line = process.stdout.readline()
        process.stdout.close()
        if not line:
            raise ConfigError(f"edge: {name} did not start; the lines above say why")
        return json.loads(line)

    def _first(self, said: Connection, port: int, join_port: int) -> None:
        self._begin()
        asyncio.run(self._serve(said, port, join_port))

    async def _serve(self, said: Connection, port: int, join_port: int) -> None:
        journal = None if self.journal is None else Journal(self.journal)
        with Engine(self.model) as engine, socket.create_server(("127.0.0.1", port)) as listener:
            signer = None if self.signer is None else Signer(self.signer)
            edge = Edge(engine, journal, self.pace, self.patience_s, signer=signer)
            application = FastAPI()
            application.include_router(device_router((edge,)))
            config = uvicorn.Config(application, log_level="error", ws="websockets-sansio", lifespan="off")
            async with listening(edge, "127.0.0.1", join_port, self.keys) as bound_port:
                said.send((listener.getsockname()[1], bound_port))
                await uvicorn.Server(config).serve([listener])

    def _guest(self, said: Connection, name: str, join_port: int) -> None:
        self._begin()
        with Engine(self.model) as engine:
            guest = Guest(engine, f"tls://127.0.0.1:{join_port}", self.keys, name, lambda: said.send(name))
            asyncio.run(guest.run())

    def _begin(self) -> None:
        torch.set_num_threads(1)
        if self.log is not None:
            os.dup2(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)


@contextlib.contextmanager
def edges(
    model: DiffusionModel,
    keys: Path,
    names: Sequence[str] = (),
    journal: Path | None = None,
    pace: float = 0.0,
    patience_s: float = 10.0,
    signer: Path | None = None,
) -> Iterator[Edges]:
    """The first edge and others, forked, for as long as the block runs.

    Args:
        model: of all of them.
        keys: folder of certificates.
        names: of the others, each of which has a certificate.
        journal: of the first edge.
        pace: of the releases.
        patience_s: how long one may be silent.
        signer: folder of the keys with which the first edge signs.
    """
    cell = Edges(model, keys, journal, pace, patience_s, signer)
    try:
        cell.start_first()
        for name in names:
            cell.join(name)
        yield cell
    finally:
        cell.close()
