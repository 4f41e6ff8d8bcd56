"""The app in Flower's simulation: every client a virtual node, as many at once as there are workers of Ray."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gainnet.core.errors import check_range
from gainnet.core.run.loop import silent
from gainnet.learning.engines.flower.app import client_app_of, learn_with
from gainnet.learning.engines.turns import Admit
from gainnet.learning.runner import Progress, Run
from gainnet.learning.safeguards.signing import nodes_folder
from gainnet.learning.session import Session

OBJECT_STORE_BYTES = 200 * 2**20


def simulate(
    session: Session,
    offered: Mapping[str, Any],
    admit: Admit,
    timeout_s: float,
    out: Path,
    num_workers: int = 2,
    progress: Progress = silent,
) -> Run:
    """All rounds of an app on this machine.

    Args:
        session: what to learn.
        offered: settings as the nodes are sent them, as JSON.
        admit: makes a node's side of the run.
        timeout_s: how long a round waits.
        out: folder for checkpoint and records.
        num_workers: processes of Ray, at least 1.
        progress: called after every round.

    Raises:
        ConfigError: the settings do not fit, or there is no worker.
        MissingExtraError: Flower is not installed.
    """
    check_range(num_workers >= 1, "num_workers", num_workers, "1 or more")
    # Once `app` is there: it keeps telemetry off, and says so where Flower is not installed.
    from flwr.app import ConfigRecordValues, Context
    from flwr.serverapp import Grid, ServerApp
    from flwr.simulation import run_simulation

    finished: list[Run] = []
    server = ServerApp()

    @server.main()
    def main(grid: Grid, context: Context) -> None:
        finished.append(learn_with(grid, session, offered, timeout_s, out, progress))

    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    # Ray keeps its sockets there, whose paths have to be short.
    with _quiet(), tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        backend: dict[str, dict[str, ConfigRecordValues]] = {
            "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
            "init_args": {"num_cpus": num_workers, "object_store_memory": OBJECT_STORE_BYTES, "_temp_dir": folder},
        }
        # As of nodes apart: what each keeps lies beside the run, in the folder of the nodes.
        app = client_app_of(lambda context: admit, lambda context: nodes_folder(out))
        run_simulation(server, app, len(session.clients), backend_config=backend)
    return finished[0]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the messages of Flower at every step."""
    logger = logging.getLogger("flwr")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
