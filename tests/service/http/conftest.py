"""An edge behind a real server, in a thread of the test's process."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI

from gainnet.models.diffusion import DiffusionModel
from gainnet.models.loading import load_model
from gainnet.models.runtime import on_runtime
from gainnet.service.engine import Engine, Engines
from gainnet.service.http import Doors, application
from gainnet.service.journal import Journal
from gainnet.service.provenance import Signer
from gainnet.wire.keys import write_signing_keys


@dataclass(frozen=True)
class Served:
    """A running edge."""

    url: str
    engine: Engine
    journal: Journal
    application: FastAPI

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])


@contextlib.contextmanager
def edge(
    model: DiffusionModel, journal: Path, doors: Doors | None = None, signer: Signer | None = None, **engine: Any
) -> Iterator[Served]:
    with socket.create_server(("127.0.0.1", 0)) as bound, Journal(journal) as book, Engine(model, **engine) as running:
        made = application(Engines((running,)), book, doors or Doors(), signer=signer)
        config = uvicorn.Config(made, log_level="error", access_log=False, ws="websockets-sansio")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.01)
            yield Served(f"http://127.0.0.1:{bound.getsockname()[1]}", running, book, made)
        finally:
            made.state.is_draining = True
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="package")
def model() -> DiffusionModel:
    return on_runtime(load_model(num_steps=4), "onnx")


@pytest.fixture(scope="package")
def served(model: DiffusionModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    keys = tmp_path_factory.mktemp("signer")
    write_signing_keys(keys)
    with edge(model, tmp_path_factory.mktemp("edge") / "journal.db", signer=Signer(keys)) as served:
        yield served
