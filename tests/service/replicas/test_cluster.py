"""Replicas on two nodes of Ray, one of which is killed: nothing that was accepted is lost."""

from __future__ import annotations

import base64
import contextlib
import io
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
from PIL import Image

from gainnet.catalog.opening import open_request
from gainnet.catalog.records import GenerationConfig
from gainnet.core.errors import ConfigError
from gainnet.core.run.cluster import OBJECT_STORE_BYTES
from gainnet.generation.generate import png
from gainnet.models.loading import load_model
from gainnet.models.runtime import on_runtime
from gainnet.service.http import Doors
from gainnet.service.journal import Journal
from gainnet.service.records import Replicas
from gainnet.service.replicas.cluster import deploy
from gainnet.service.serving import Serving

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
NUM = 24
STEPS = 20


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Any]]:
    """A cluster of two nodes on this machine, and the node that may die."""
    ray = pytest.importorskip("ray")
    pytest.importorskip("ray.serve")
    from ray.cluster_utils import Cluster

    for name, value in {"RAY_USAGE_STATS_ENABLED": "0", "RAY_raylet_start_wait_time_s": "120"}.items():
        monkeypatch.setenv(name, value)
    store = {"object_store_memory": OBJECT_STORE_BYTES, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, connect=False, head_node_args={"num_cpus": 2, **store})
    try:
        second = cluster.add_node(num_cpus=2, object_store_memory=OBJECT_STORE_BYTES)
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR", namespace="gainnet")
        yield cluster, second
    finally:
        ray.shutdown()
        cluster.shutdown()


def unfinished(folder: Path) -> int:
    """Requests that were accepted and not finished, when all replicas are gone."""
    num = 0
    for path in folder.glob("*.db"):
        with Journal(path) as journal:
            num += len(journal.unfinished())
    return num


def begun_by_the_dead(folder: Path) -> int:
    """Requests that the replica that was killed had accepted and not finished; its journal is not locked any more."""
    give_up_s = time.monotonic() + 2.0
    while time.monotonic() < give_up_s:
        for path in folder.glob("*.db"):
            with contextlib.suppress(ConfigError), Journal(path) as journal:
                return len(journal.unfinished())
    return 0


def test_nothing_is_lost_when_a_node_dies(nodes: tuple[Any, Any], tmp_path: Path) -> None:
    from ray import serve

    cluster, second = nodes
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = tmp_path / "journals"
    replicas = Replicas("ray", 2, 2, most_per_node=1, lease_s=3.0)
    deploy(Serving(journal=folder, unsigned=True), Doors(), replicas, "127.0.0.1", port)
    while len(list(folder.glob("*.lease"))) < 2:
        time.sleep(0.5)
    before = {path.stem for path in folder.glob("*.lease")}
    url = f"http://127.0.0.1:{port}/v1/images/generations"

    def ask(number: int) -> list[list[int]]:
        body = {"prompt": "a red star", "gainnet": {"random_seed": number, "num_steps": STEPS}}
        headers = {"Idempotency-Key": f"order-{number}"}
        give_up_s = time.monotonic() + 240.0
        while time.monotonic() < give_up_s:
            try:
                answer = httpx.post(url, json=body, headers=headers, timeout=120.0)
                if answer.status_code == 200:
                    content = base64.b64decode(answer.json()["data"][0]["b64_json"])
                    return np.asarray(Image.open(io.BytesIO(content))).tolist()
            except httpx.HTTPError:
                pass
            time.sleep(0.5)
        raise AssertionError(f"request {number} was lost")

    with ThreadPoolExecutor(NUM) as clients:
        asked = [clients.submit(ask, number) for number in range(NUM)]
        time.sleep(2.0)
        # A machine that loses its power takes all processes along; those of Ray's node would live on for seconds.
        (raylet,) = second.all_processes["raylet"]
        workers = psutil.Process(raylet.process.pid).children(recursive=True)
        cluster.remove_node(second, allow_graceful=False)
        for worker in workers:
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.kill()
        assert begun_by_the_dead(folder) > 0
        pictures = [each.result() for each in asked]
    # The journal of the dead replica is taken over, and what it had begun runs there without anybody's asking.
    give_up_s = time.monotonic() + 60.0
    while len(before & {path.stem for path in folder.glob("*.db")}) > 1 and time.monotonic() < give_up_s:
        time.sleep(0.5)
    assert len(before & {path.stem for path in folder.glob("*.db")}) == 1
    serve.shutdown()
    # A journal that is closed has no log beside it.
    assert not list(folder.glob("*.db-wal"))
    assert unfinished(folder) == 0
    model = on_runtime(load_model(num_steps=STEPS), "onnx")
    for number in range(0, NUM, 6):
        config = GenerationConfig(("a red star",), "centralized", fading="ideal", random_seed=number, runtime="onnx")
        made = open_request(config, model).generate().images[0]
        assert np.asarray(Image.open(io.BytesIO(png(made.values)))).tolist() == pictures[number]
