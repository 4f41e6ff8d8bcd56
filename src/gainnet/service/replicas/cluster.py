"""Replicas on Ray Serve: `gainnet serve --engine ray`."""

from __future__ import annotations

import asyncio
import atexit
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any, Final

from gainnet.core.errors import ConfigError
from gainnet.core.run.cluster import cluster, require_ray
from gainnet.core.weights import user_folder
from gainnet.models.loading import SHIPPED
from gainnet.service.http import Doors
from gainnet.service.provenance import Signer
from gainnet.service.records import Replicas
from gainnet.service.replicas.shelf import Shelf
from gainnet.service.serving import Listening, Ready, Serving, assembled

NAME: Final = "gainnet"


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
    with cluster(namespace=NAME):
        deploy(serving, doors, replicas, listening.host, port)
        signal.signal(signal.SIGTERM, lambda number, frame: stopped.set())
        ready(Ready(listening.url(port), token, serving.model or SHIPPED[0], serving.runtime or "onnx"))
        try:
            stopped.wait()
        except KeyboardInterrupt:
            pass
        finally:
            require_ray("ray.serve").shutdown()


def deploy(serving: Serving, doors: Doors, replicas: Replicas, host: str, port: int) -> None:
    """Starts replicas on the cluster that this process is connected to, and waits for them.

    Args:
        serving: what is served.
        doors: who may come in.
        replicas: how many.
        host: address that the proxies listen at.
        port: of the proxies.
    """
    serve = require_ray("ray.serve")
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
    """The application of one replica, in its process; engine and journal are closed when it shuts down.

    Args:
        serving: what is served.
        doors: who may come in.
        folder: of the journals.
        lease_s: how long one may be silent.
    """
    held = ExitStack()
    shelf = held.enter_context(closing(Shelf(folder, lease_s)))
    signer = None if serving.unsigned else Signer.of_user(serving.signer)
    engines = held.enter_context(serving.engines())
    made, edges = assembled(engines, shelf.journal, doors, serving.pace, signer, shelf.adopt)
    for edge in edges:
        held.callback(edge.close)
    # Where a worker is told to end by itself, Ray shuts no application down.
    atexit.register(held.close)
    made.router.lifespan_context = _closing(made.router.lifespan_context, held)
    return made


def _closing(
    lifespan: Callable[[Any], AbstractAsyncContextManager[Any]], held: ExitStack
) -> Callable[[Any], AbstractAsyncContextManager[Any]]:
    """A lifespan after which what the application held is closed."""

    @asynccontextmanager
    async def closed_after(made: Any) -> AsyncIterator[Any]:
        async with lifespan(made) as state:
            yield state
        await asyncio.to_thread(held.close)

    return closed_after
