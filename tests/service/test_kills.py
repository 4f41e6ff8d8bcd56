"""An edge that is killed at any moment loses no request that it has accepted, and makes the same picture again."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from gainnet.catalog.records import GenerationConfig
from gainnet.generation.planning import inputs
from gainnet.models.loading import load_model
from gainnet.models.runtime import on_runtime
from gainnet.protocols import execute
from gainnet.service.http.picture import encoded_picture
from gainnet.service.journal import Journal
from gainnet.service.node.order import Asked, order_of

PROMPT, STEPS, SEED = "a red star above a blue house", 12, 5
FIELDS: dict[str, Any] = {"protocol": "eiug", "snr_db": 5.0, "num_steps": STEPS, "random_seed": SEED}
"""Long enough to be met at every phase."""


@contextmanager
def edge(journal: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "gainnet.cli", "serve", "--unsigned", "--port", "0", "--json", "--journal"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([*command, str(journal)], stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    try:
        yield process, str(json.loads(process.stdout.readline())["url"])
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def ask(url: str, key: str, outcome: list[httpx.Response]) -> None:
    body = {"prompt": PROMPT, "gainnet": FIELDS}
    try:
        headers = {"Idempotency-Key": key}
        outcome.append(httpx.post(f"{url}v1/images/generations", json=body, headers=headers, timeout=120.0))
    except httpx.HTTPError:
        pass  # it was killed


def wait_until(url: str, phase: str, thread: threading.Thread) -> None:
    """Until the edge is at a phase of the request, as its own status says."""
    while phase != "answered" and thread.is_alive():
        shown = httpx.get(f"{url}v1/status").json()["requests"]
        at = shown[-1] if shown else {"state": "", "step": 0}
        if phase == "sent" or (at["state"] == "running" and at["step"] >= (1 if phase == "denoising" else STEPS - 1)):
            return
    thread.join()


def expected() -> bytes:
    model = on_runtime(load_model(num_steps=STEPS), "onnx")
    asked = Asked(GenerationConfig((PROMPT,), **FIELDS, runtime="onnx"))
    order = order_of(asked, model)
    places, _ = execute(order.planned.plan, inputs(order.prompts), order.planned.network, order.random, order.pricing)
    return encoded_picture(places[order.planned.plan.result][0], "png")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_no_accepted_request_is_lost(tmp_path: Path) -> None:
    journal, picture = tmp_path / "journal.db", expected()
    phases = ("sent", "denoising", "last step", "answered")
    accepted: list[str] = []
    for phase in phases:
        with edge(journal) as (process, url):
            outcome: list[httpx.Response] = []
            thread = threading.Thread(target=ask, args=(url, phase, outcome))
            thread.start()
            wait_until(url, phase, thread)
            process.kill()
            thread.join()
        with Journal(journal) as book:
            accepted += [phase] if any(e.state == "accepted" for e in book.unfinished()) or outcome else []
    assert set(accepted) >= {"denoising", "answered"}
    with edge(journal) as (_, url):
        # They run again before anybody asks.
        begin_s = time.monotonic()
        while httpx.get(f"{url}v1/status").json()["engine"]["open"] and time.monotonic() - begin_s < 60.0:
            time.sleep(0.1)
        for phase in phases:
            answers: list[httpx.Response] = []
            ask(url, phase, answers)
            (answer,) = answers
            assert base64.b64decode(answer.json()["data"][0]["b64_json"]) == picture
    with Journal(journal) as book:
        assert book.unfinished() == []
