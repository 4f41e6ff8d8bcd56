"""Replicas on Ray Serve: `gainnet serve --engine ray`."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from gainnet.core.errors import ConfigError, import_extra
from gainnet.core.weights import user_folder
from gainnet.service.engine import Engine
from gainnet.service.http import Doors
from gainnet.service.provenance import Signer
from gainnet.service.records import Replicas
from gainnet.service.replicas.shelf import Shelf
from gainnet.service.serving import Listening, Ready, Serving, assembled, opened

NAME: Final = "gainnet"
OBJECT_STORE_BYTES: Final = 128 * 2**20
"""Ray's smallest store is ample: replicas exchange nothing."""


def run_replicas(replicas: Replicas, serving: Serving, listening: Listening, ready: Callable[[Ready], None]) -> None:
    """Serves with replicas until the process is told to stop.

    With `RAY_ADDRESS` set they run on that cluster, else on this machine.

    Args:
        replicas: how many.
        serving: what is served; its journal is the folder of all journals.
        listening: where, and to whom.
        ready: called once, when requests are taken.

    Raises:
        GainnetError: the address cannot be used, or replicas do not start.
    """
    if listening.certificate is not None:
        raise ConfigError("certificate: replicas speak plain HTTP; put TLS in front of them and give --plain")
    doors, token = listening.doors()
    with listening.bound() as bound:
        port = bound.getsockname()[1]
    if not serving.unsigned:
        Signer.of_user(serving.signer)  # one set of keys for all, made before any of them looks for it
    stopped = threading.Event()
    with _cluster():
        deploy(serving, doors, replicas, listening.host, port)
        signal.signal(signal.SIGTERM, lambda number, frame: stopped.set())
        ready(Ready(listening.url(port), token, serving.model, serving.runtime or "onnx"))
        try:
            stopped.wait()
        except KeyboardInterrupt:
            pass
        finally:
            import_extra("ray.serve", "ray", "engines").shutdown()


def deploy(serving: Serving, doors: Doors, replicas: Replicas, host: str, port: int) -> None:
    """Starts replicas on the cluster that this process is connected to, and waits for them.

    Args:
        serving: what is served.
        doors: who may come in.
        replicas: how many.
        host: address that the proxies listen at.
        port: of the proxies.
    """
    serve = import_extra("ray.serve", "ray", "engines")
    # Replicas run in folders of their own.
    folder = (serving.journal or user_folder() / "journals").absolute()

    def application() -> Any:
        return replica(serving, doors, folder, replicas.lease_s)

    scaling = {
        "min_replicas": replicas.num_replicas,
        "initial_replicas": replicas.num_replicas,
        "max_replicas": replicas.most_replicas,
        # Two full batches per engine: with less, batches are not full; with more, requests wait longer than need be.
        "target_ongoing_requests": 2 * serving.most_batch,
    }
    deployment = serve.deployment(
        name=NAME, autoscaling_config=scaling, max_ongoing_requests=serving.most_waiting,
        max_replicas_per_node=replicas.most_per_node, ray_actor_options={"num_cpus": 1},
    )(serve.ingress(application)())  # fmt: skip
    serve.start(http_options={"host": host, "port": port}, proxy_location="EveryNode")
    serve.run(deployment.bind(), name=NAME, route_prefix="/")


def replica(serving: Serving, doors: Doors, folder: Path, lease_s: float) -> Any:
    """The application of one replica, in its process; engine and journal end with it.

    Args:
        serving: what is served.
        doors: who may come in.
        folder: of the journals.
        lease_s: how long one may be silent.
    """
    shelf = Shelf(folder, lease_s)
    signer = None if serving.unsigned else Signer.of_user(serving.signer)
    model = opened(serving.model, serving.runtime)
    engine = Engine(model, most_batch=serving.most_batch, most_waiting=serving.most_waiting)
    made, _ = assembled(engine.__enter__(), shelf.journal, doors, serving.pace, signer, shelf.adopt)
    return made


@contextmanager
def _cluster() -> Iterator[None]:
    """The cluster of `RAY_ADDRESS`, or one of this machine that is gone afterwards with its files."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray = import_extra("ray", "ray", "engines")
    quiet = {"log_to_driver": False, "logging_level": "ERROR", "namespace": NAME}
    if "RAY_ADDRESS" in os.environ:
        ray.init(**quiet)
        try:
            yield
        finally:
            ray.shutdown()
        return
    folder = tempfile.mkdtemp(prefix="ray-")  # short: Ray keeps sockets in it
    try:
        ray.init(include_dashboard=False, object_store_memory=OBJECT_STORE_BYTES, _temp_dir=folder, **quiet)
        yield
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
