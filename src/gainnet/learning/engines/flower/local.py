"""A whole federation on this machine, as it runs on many: one SuperLink and SuperNodes, each a process, TLS between.

flwr run ==app==> SuperLink (ServerApp) <==HTTPS, node keys==> SuperNode (ClientApp), one per client
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from gainnet.core.errors import ConfigError
from gainnet.core.files import write_whole
from gainnet.wire.keys import write_certificates, write_node_key

ENVIRONMENT = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"}
START_S, STOP_S, POLL_S = 60.0, 10.0, 0.5


@final
@dataclass(frozen=True)
class Federation:
    """Processes of one federation, by name: `superlink` and those of its nodes.

    Args:
        folder: certificates, keys, logs and Flower's own files.
        port: of the SuperLink.
        processes: what runs; grows with `start_node`.
    """

    folder: Path
    port: int
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def register(self, name: str) -> None:
        """Makes a key for a node and makes it known to the SuperLink under that name."""
        write_node_key(self.folder, name)
        self.flwr("supernode", "register", str(self.folder / f"{name}.pub"), "here", "--name", name)

    def start_node(self, name: str, settings: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """A SuperNode with the key of this name, whether the SuperLink knows it or not.

        Args:
            name: of the node.
            settings: the node's own, for example {"texts": path}.
        """
        config = " ".join(f"{key}={json.dumps(value)}" for key, value in {"name": name, **(settings or {})}.items())
        # The node trusts this authority alone, not those of the system.
        tls = ["--root-certificates", str(self.folder / "ca.pem")]
        key = ["--auth-supernode-private-key", str(self.folder / f"{name}.key")]
        here = ["--superlink", f"127.0.0.1:{self.port}", "--port", str(free_port()), "--node-config", config]
        return self.start(name, "flower-supernode", *here, *tls, *key)

    def submit(self, app: Path) -> str:
        """Starts a run of an app; its number.

        Raises:
            ConfigError: Flower refuses the app.
        """
        return str(self.flwr("run", str(app), "here")["run-id"])

    def wait_for(self, run_id: str, timeout_s: float) -> str:
        """Waits for the end of a run, with its words in app.log; how it ended, for example `finished:completed`.

        Raises:
            ConfigError: it does not end in time.
        """
        command = [str(_bin() / "flwr"), "log", run_id, "here", "--stream"]
        with (self.folder / "app.log").open("ab") as log:
            try:
                subprocess.run(command, stdout=log, stderr=log, env=self.environment, timeout=timeout_s)
            except subprocess.TimeoutExpired:
                raise ConfigError(f"timeout_s: no end after {timeout_s:g} s; see {self.folder}") from None
        (run,) = self.flwr("list", "here", "--run-id", run_id)["runs"]
        return str(run["status"])

    def start(self, name: str, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        """A program of Flower in a session of its own, with its words in `name`.log."""
        with (self.folder / f"{name}.log").open("ab") as log:
            command, env = [str(_bin() / program), *arguments], self.environment
            started = subprocess.Popen(command, stdout=log, stderr=log, env=env, start_new_session=True)
        self.processes[name] = started
        return started

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """A signal to a process and to all that it has started."""
        # The whole group: SuperNodes start processes of their own, which outlive them otherwise.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.processes[name].pid, number)

    def flwr(self, *arguments: str) -> dict[str, Any]:
        """The answer of a command of Flower.

        Raises:
            ConfigError: it fails.
        """
        command = [str(_bin() / "flwr"), *arguments, "--format", "json"]
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment)
        answer: dict[str, Any] = json.loads(done.stdout[done.stdout.find("{") :] or "{}")
        if done.returncode or not answer.get("success"):
            reason = " ".join(str(answer.get("error-message", done.stdout + done.stderr)).split())
            raise ConfigError(f"flower: flwr {arguments[0]} failed ({reason}); see {self.folder}")
        return answer

    @property
    def environment(self) -> dict[str, str]:
        """Of all its processes: quiet, with files of their own, and with the programs of this installation."""
        path = os.pathsep.join((str(_bin()), os.environ.get("PATH", "")))
        return {**os.environ, **ENVIRONMENT, "FLWR_HOME": str(self.folder / "flwr"), "PATH": path}

    def stop(self) -> None:
        """Ends all processes, kindly first."""
        for name in self.processes:
            self.kill(name, signal.SIGTERM)
        for name, process in self.processes.items():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_S)
            self.kill(name)
            process.wait()


@contextlib.contextmanager
def federation(folder: Path) -> Iterator[Federation]:
    """A SuperLink on loopback that lets in nodes with registered keys alone; everything ends with the context.

    Args:
        folder: of this federation; certificates are made anew.

    Raises:
        ConfigError: the SuperLink does not start.
    """
    write_certificates(folder)
    port = free_port()
    connection = (
        f'[superlink.here]\naddress = "127.0.0.1:{port}"\nroot-certificates = "{folder.absolute() / "ca.pem"}"\n'
    )
    write_whole(folder / "flwr" / "config.toml", f'[superlink]\ndefault = "here"\n\n{connection}'.encode())
    started = Federation(folder.absolute(), port)
    tls = {"--ssl-ca-certfile": "ca.pem", "--ssl-certfile": "server.pem", "--ssl-keyfile": "server.key"}
    files = [word for option, name in tls.items() for word in (option, str(started.folder / name))]
    strict = ("--enable-supernode-auth", "--disable-runtime-dependency-installation")
    try:
        link = started.start("superlink", "flower-superlink", "--port", str(port), *files, *strict)
        _wait_for(port, link, started.folder)
        yield started
    finally:
        started.stop()


def free_port() -> int:
    """A port of this machine that nobody uses."""
    with socket.socket() as probe:
        # The system picks one that is free; somebody else may take it before it is used, which the start would
        # report.
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes], folder: Path) -> None:
    end_s = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < end_s:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        time.sleep(POLL_S)
    raise ConfigError(f"flower: the SuperLink did not start; see {folder / 'superlink.log'}")


def _bin() -> Path:
    """Where the programs of this installation are."""
    return Path(sys.executable).parent
