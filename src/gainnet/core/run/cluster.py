"""Ray, on this machine or on the cluster that the environment names."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from gainnet.core.errors import import_extra

OBJECT_STORE_BYTES: Final = 100 * 2**20
"""Cases, rows and settings are a few hundred bytes; Ray takes no less than 75 MiB."""

ENVIRONMENT: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_raylet_start_wait_time_s": "60",
}
"""Nothing is reported to anybody, devices stay visible to workers that ask for none, and a busy machine may be slow."""


def require_ray(module: str = "ray") -> Any:
    """The library, or a module of it; raises `MissingExtraError` when it is not installed."""
    # Read when the library is imported.
    os.environ.update({name: value for name, value in ENVIRONMENT.items() if name not in os.environ})
    return import_extra(module, "ray", "engines")


@contextmanager
def cluster(num_cpus: int | None = None, namespace: str | None = None) -> Iterator[Any]:
    """A block with Ray: a cluster of this machine alone, gone afterwards with all its files, or that of `RAY_ADDRESS`.

    Args:
        num_cpus: of a cluster of this machine; those that it has when `None`.
        namespace: of the names of actors; one of its own when `None`.

    Raises:
        MissingExtraError: Ray is not installed.
    """
    ray = require_ray()
    shared = {"log_to_driver": False, "logging_level": "ERROR", "namespace": namespace}
    folder = None
    if "RAY_ADDRESS" not in os.environ:
        folder = tempfile.mkdtemp(prefix="ray-")  # short: Ray keeps sockets in it
        own = {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES, "_temp_dir": folder}
        shared |= own | {"num_cpus": num_cpus}
    try:
        ray.init(**shared)
        yield ray
    finally:
        ray.shutdown()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
