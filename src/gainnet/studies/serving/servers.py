"""Servers as processes of their own, pinned to one core, whose processor time is read from outside."""

from __future__ import annotations

import atexit
import contextlib
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, final

import httpx

from gainnet.core.errors import ConfigError, import_extra
from gainnet.studies.serving.question import BATCHED, FEW_STEPS, LOCKED, REQUEST_BATCHING, SINGLE, ServingConfig

Threads = Mapping[str, tuple[float, float]]
"""Seconds on the core and seconds ready for it, by thread."""
MOST_WORK: Final = 0.9
ROWS_OF_ONE: Final = 2
"""A guided picture has two rows, so that a pass of two rows is that of one request."""


@final
@dataclass(frozen=True, eq=False)
class Server:
    """A running server.

    Args:
        method: of the study.
        url: ends in a slash.
        process: it is.
    """

    method: str
    url: str
    process: subprocess.Popen[str]

    def cpu_s(self) -> float:
        """Processor time of its process and of those that it started, user and system."""
        psutil: Any = import_extra("psutil", "psutil", "serve")
        root = psutil.Process(self.process.pid)
        times = [each.cpu_times() for each in (root, *root.children(recursive=True))]
        return float(sum(t.user + t.system for t in times))

    def threads(self) -> Threads:
        """Seconds on the core, and seconds ready and waiting for it, of every thread; none where the system is silent.

        As in Linux's `schedstat`: what other processes take of the core is known, not guessed.
        """
        found = {}
        for path in Path(f"/proc/{self.process.pid}/task").glob("*/schedstat"):
            # A thread may end between the listing and the reading.
            with contextlib.suppress(OSError, ValueError):
                ran_ns, waited_ns, _ = map(int, path.read_text().split())
                found[path.parent.name] = ran_ns / 1e9, waited_ns / 1e9
        return found

    def unet_s(self) -> float:
        """Processor time of the denoiser's network, as the server counts it; NaN where it counts none."""
        if self.method in (LOCKED, REQUEST_BATCHING):
            return math.nan
        status: Any = httpx.get(f"{self.url}v1/status", timeout=60.0).json()
        return float(status["engine"]["busy_s"]["unet"])

    def request(self, prompt: str, random_seed: int, num_steps: int, within_s: float) -> tuple[str, dict[str, Any]]:
        """Address and body by which a client asks this server for a picture."""
        if self.method in (LOCKED, REQUEST_BATCHING):
            return f"{self.url}generate", {"prompt": prompt, "random_seed": random_seed, "num_steps": num_steps}
        own = {"random_seed": random_seed, "num_steps": num_steps, "within_s": within_s}
        return f"{self.url}v1/images/generations", {"prompt": prompt, "gainnet": own}


@final
@dataclass
class Servers:
    """The servers of a run, each started when it is first needed and ended with this process.

    Args:
        config: of the study.
    """

    config: ServingConfig
    running: dict[str, Server] = field(default_factory=dict)
    _folder: tempfile.TemporaryDirectory[str] = field(default_factory=tempfile.TemporaryDirectory)

    def __post_init__(self) -> None:
        atexit.register(self.close)

    def of(self, method: str) -> Server:
        """The server of a method.

        Raises:
            ConfigError: it does not start.
        """
        name = BATCHED if method == FEW_STEPS else method
        if name not in self.running:
            with pinned(self.config.core):
                process = subprocess.Popen(
                    self._command(name), stdout=subprocess.PIPE, text=True,
                    env={**os.environ, "OMP_NUM_THREADS": "1"},
                )  # fmt: skip
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise ConfigError(f"serving: the server {name} did not start; the lines above say why")
            self.running[name] = Server(name, str(json.loads(line)["url"]), process)
        return self.running[name]

    def close(self) -> None:
        """Ends all servers."""
        for server in self.running.values():
            server.process.kill()
            server.process.wait()
            if server.process.stdout is not None:
                server.process.stdout.close()
        self.running.clear()
        self._folder.cleanup()

    def _command(self, method: str) -> list[str]:
        if method in (LOCKED, REQUEST_BATCHING):
            number = 1 if method == LOCKED else self.config.most_requests
            return [sys.executable, "-m", "gainnet.studies.serving.locked", str(number)]
        journal = Path(self._folder.name) / f"{method}.db"
        rows = ROWS_OF_ONE if method == SINGLE else self.config.most_batch
        options = {"--model": "scenes", "--port": 0, "--journal": journal, "--runtime": "onnx", "--most-batch": rows}
        flat = [str(each) for pair in options.items() for each in pair]
        # Unsigned, as the others' pictures are.
        return [sys.executable, "-m", "gainnet.cli", "serve", "--json", "--unsigned", *flat]


def stretch(before: Threads, after: Threads) -> float:
    """Seconds that passed per second of processor time for the threads that did nine tenths of the work.

    The others wait for those, and not for other processes.

    Args:
        before: threads at the start.
        after: at the end.

    >>> stretch({"engine": (1.0, 0.0)}, {"engine": (3.0, 4.0), "loop": (0.1, 9.0)})
    3.0
    """
    spans = sorted(((now[0] - then[0], now[1] - then[1]) for name, now in after.items()
                    for then in (before.get(name, (0.0, 0.0)),)), reverse=True)  # fmt: skip
    total_s, ran_s, waited_s = sum(ran for ran, _ in spans), 0.0, 0.0
    for ran, waited in spans:
        if ran_s < MOST_WORK * total_s:
            ran_s, waited_s = ran_s + ran, waited_s + waited
    return 1.0 + waited_s / ran_s if ran_s else 1.0


@contextlib.contextmanager
def pinned(core: int) -> Iterator[None]:
    """A block on one core, and with it the processes that it starts; on any where the system does not say."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(mine)[core % len(mine)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, mine)
