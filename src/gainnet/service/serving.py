"""An edge as a process: engine, journal, doors and routes put together, from start to the end of what it had begun."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ipaddress
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, final

import uvicorn
from fastapi import FastAPI

from gainnet.core.errors import ConfigError, MissingExtraError, ModelError, check_range
from gainnet.core.weights import user_folder
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.loading import SHIPPED, load_model
from gainnet.models.runtime import on_runtime
from gainnet.models.shipped import present_models
from gainnet.network.file import address_in
from gainnet.service.engine import Engine, Engines
from gainnet.service.http import Doors, application, hosts_of
from gainnet.service.http.doors import Rates
from gainnet.service.http.metrics import Metrics
from gainnet.service.http.tokens import TokenFile, Tokens, read_tokens, tokens_file
from gainnet.service.journal import Journal
from gainnet.service.node.edge import Edge
from gainnet.service.node.joining import Guest
from gainnet.service.node.joining import listening as joining_at
from gainnet.service.node.router import device_router
from gainnet.service.node.visits import Visit, Visits
from gainnet.service.page.router import page_router, weight_paths
from gainnet.service.provenance import Signer

SWITCH_S: Final = 0.0005
"""How long a thread keeps Python to itself when another one waits: the engine's should not wait 5 ms for the others."""
LOOK_EVERY_S: Final = 0.02
SESSION: Final = "session"
"""Name of the token that is made at the start where others can reach the edge and none was given."""


@final
@dataclass(frozen=True)
class Listening:
    """Where an edge is reached, and by whom.

    Args:
        host: address to listen at; any but this machine's own needs a token, and a certificate or `plain`.
        port: 0 to 65535; 0 takes a free one.
        names: under which it is reached, beside its addresses.
        certificate: of TLS, a .pem file.
        key: of the certificate, a .pem file.
        plain: without TLS at an address that others reach.
        tokens: file of hashed tokens; those of the user when `None`.

    Raises:
        ConfigError: others could reach it in the open, or half of a certificate is given.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    names: tuple[str, ...] = ()
    certificate: Path | None = None
    key: Path | None = None
    plain: bool = False
    tokens: Path | None = None

    def __post_init__(self) -> None:
        check_range(0 <= self.port <= 65_535, "port", self.port, "0 to 65535")
        if (self.certificate is None) != (self.key is None):
            raise ConfigError("certificate: it comes with its key; give --certificate and --key")
        if missing := [path for path in (self.certificate, self.key) if path is not None and not path.is_file()]:
            raise ConfigError(f"certificate: {missing[0]} is not there; give a .pem file")
        if not self.is_loopback and self.certificate is None and not self.plain:
            raise ConfigError(
                f"host: others reach {self.host}, and what they send could be read on the way; give --certificate and "
                "--key, or --plain behind a reverse proxy or in a network of yours"
            )

    @property
    def is_loopback(self) -> bool:
        """Whether this machine alone can reach it."""
        with contextlib.suppress(ValueError):
            return ipaddress.ip_address(self.host).is_loopback
        return self.host == "localhost"

    def doors(self) -> tuple[Doors, str | None]:
        """Who may come in, and a token that was made for it; none where this machine alone reaches it."""
        path, own, made = tokens_file(self.tokens), Tokens(), None
        has_tokens = bool(read_tokens(path).digests)
        if self.is_loopback and (self.tokens is None or not has_tokens):
            return Doors(hosts_of(self.host, self.names)), None
        if not has_tokens:
            own, made = own.add(SESSION)
        return Doors(hosts_of(self.host, self.names), TokenFile(path, own)), made

    def bound(self) -> socket.socket:
        """A socket that listens; raises `ConfigError` where it cannot."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            return socket.create_server((self.host, self.port), family=family, backlog=2048)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ConfigError(f"port: cannot listen at {self.host}:{self.port} ({reason}); give another") from None

    def url(self, port: int) -> str:
        """Address for clients of the port that it listens at."""
        host = self.names[0] if self.names else _reached(self.host)
        scheme = "http" if self.certificate is None else "https"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/"


@final
@dataclass(frozen=True)
class Serving:
    """Model, runtime and limits that an edge serves with.

    Args:
        model: a shipped model, or a folder in diffusers' format; all shipped models that are here when `None`.
        runtime: of its networks; onnx where the model has graphs when `None`.
        journal: file of accepted requests; one of the user's when `None`.
        pace: of the releases of frames, 1 for real time, 0 for as fast as possible.
        most_batch: rows of a pass at most.
        most_waiting: requests that are open at the same time at most.
        signer: folder of keys that sign the pictures; one of the user's, made when missing, when `None`.
        unsigned: whether pictures leave without a word on where they come from.
    """

    model: str | None = None
    runtime: Literal["onnx", "torch"] | None = None
    journal: Path | None = None
    pace: float = 0.0
    most_batch: int = 4
    most_waiting: int = 256
    signer: Path | None = None
    unsigned: bool = False

    @contextlib.contextmanager
    def engines(self) -> Iterator[Engines]:
        """The engines of its models, which run while the block does; raises `GainnetError` where one cannot be used."""
        names = present_models() if self.model is None else (self.model,)
        models = [opened(name, self.runtime) for name in names]
        with contextlib.ExitStack() as stack:
            started = [
                stack.enter_context(Engine(model, most_batch=self.most_batch, most_waiting=self.most_waiting))
                for model in models
            ]
            yield Engines(tuple(started))


@final
@dataclass(frozen=True)
class Joining:
    """Where other edges join this one.

    Args:
        keys: folder of certificates, which `gainnet serve keys` makes.
        port: 0 to 65535; 0 takes a free one.
    """

    keys: Path
    port: int = 0

    def __post_init__(self) -> None:
        check_range(0 <= self.port <= 65_535, "join_port", self.port, "0 to 65535")


@final
@dataclass(frozen=True)
class Ready:
    """An edge that takes requests.

    Args:
        url: of its page; of the first edge for one that has joined it.
        token: that was made for it; `None` where clients have theirs, or need none.
        model: name of its model, of the first where it has several.
        runtime: of its networks.
        join: address at which other edges join; `None` where they cannot.
        models: names of all that it serves, where there are several.
    """

    url: str
    token: str | None
    model: str
    runtime: str
    join: str | None = None
    models: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values; without `token` and `join` where there are none."""
        values = {
            "url": self.url, "token": self.token, "model": self.model, "runtime": self.runtime, "join": self.join,
        }  # fmt: skip
        known = {name: value for name, value in values.items() if value is not None}
        return known | ({"models": list(self.models)} if len(self.models) > 1 else {})

    @property
    def link(self) -> str:
        """Address with the token in its fragment, which browsers keep to themselves."""
        return self.url if self.token is None else f"{self.url}#token={self.token}"


def run(serving: Serving, listening: Listening, ready: Callable[[Ready], None], joining: Joining | None = None) -> None:
    """Serves until the process is told to stop, and then until what was begun is done.

    Args:
        serving: what is served.
        listening: where, and to whom.
        ready: called once, when requests are taken.
        joining: where other edges join; nobody can when `None`.

    Raises:
        GainnetError: the model, the journal or the address cannot be used.
    """
    check_range(0.0 <= serving.pace <= 1e6, "pace", serving.pace, "0 or more")
    doors, token = listening.doors()
    # The port before the model: what is wrong is said before seconds of loading.
    with listening.bound() as bound, _journal(serving.journal) as journal:
        signer = None if serving.unsigned else Signer.of_user(serving.signer)
        url = listening.url(bound.getsockname()[1])
        sys.setswitchinterval(SWITCH_S)
        with serving.engines() as engines:
            # Half a million objects that stay: looking through them again held engines up, and the end by seconds.
            gc.freeze()
            made, edges = assembled(engines, journal, doors, serving.pace, signer)
            model, names = engines.first.model, engines.names

            async def serve() -> None:
                async with _joined(edges[0], listening, joining) as join:
                    ready_edge = Ready(url, token, model.name, model.runtime, join, names)
                    await _until_stopped(made, listening, bound, lambda: ready(ready_edge))

            try:
                asyncio.run(serve())
            finally:
                for edge in edges:
                    edge.close()


def assembled(
    engines: Engines,
    journal: Journal,
    doors: Doors,
    pace: float,
    signer: Signer | None,
    adopt: Callable[[], int] | None = None,
) -> tuple[FastAPI, tuple[Edge, ...]]:
    """All routes of an edge, and its end of the device protocol, once per model.

    Args:
        engines: run the passes.
        journal: keeps accepted requests.
        doors: who may come in.
        pace: of the releases of frames.
        signer: of pictures and payloads; nothing is signed when `None`.
        adopt: puts requests of other processes that are dead into the journal.
    """
    bases = ["" if engine is engines.first else f"{engine.model.name}/" for engine in engines.each]
    visits = Visits()
    edges = tuple(
        Edge(each, journal, pace, paths=weight_paths(each.model, base), signer=signer, visits=visits)
        for each, base in zip(engines.each, bases, strict=True)
    )
    admit = partial(_admit, doors, Rates(doors.rate_per_s, doors.burst))
    routers = device_router(edges, admit), page_router(edges, signer=signer)
    made = application(engines, journal, doors, routers, partial(_seen_by, edges), signer, adopt)
    visits.ended = partial(_count, made.state.metrics)
    return made, edges


def join(serving: Serving, url: str, keys: Path, name: str, ready: Callable[[Ready], None]) -> None:
    """Takes part in the requests of another edge, until the process is told to stop.

    Args:
        serving: model and runtime, which are those of the first edge.
        url: of the first edge, `tls://host:port`, or a network file whose first edge has an address.
        keys: folder of certificates.
        name: of this edge, as in its certificate.
        ready: called when it has joined.

    Raises:
        GainnetError: the model or the keys cannot be used, or the first edge refuses.
    """
    address = address_in(Path(url)) if url.endswith(".toml") else url
    # Joined edges take part in requests of the first edge's first model alone.
    with replace(serving, model=serving.model or SHIPPED[0]).engines() as engines:
        ready_edge = Ready(address, None, engines.first.model.name, engines.first.model.runtime)
        asyncio.run(Guest(engines.first, address, keys, name, lambda: ready(ready_edge)).run())


@contextlib.asynccontextmanager
async def _joined(edge: Edge, listening: Listening, joining: Joining | None) -> AsyncIterator[str | None]:
    """A block in which other edges can join: their address, or `None` where they cannot."""
    if joining is None:
        yield None
        return
    async with joining_at(edge, listening.host, joining.port, joining.keys) as port:
        host = _reached(listening.host)
        yield f"tls://{f'[{host}]' if ':' in host else host}:{port}"


def opened(name: str, runtime: Literal["onnx", "torch"] | None) -> DiffusionModel:
    """A model on a runtime; on onnx where it has graphs when `None`."""
    model = load_model(name)
    if runtime is not None:
        return on_runtime(model, runtime)
    try:
        return on_runtime(model, "onnx")
    except (ModelError, MissingExtraError):
        return model


def _admit(
    doors: Doors, rates: Rates, headers: Mapping[str, str], token: str | None, address: str
) -> Callable[[], None]:
    """Lets a device in by the token of its hello, or of its headers where a client can set them, at the rate of one."""
    kind, _, bearer = headers.get("authorization", "").partition(" ")
    caller = doors.caller_of(token or (bearer.strip() if kind.lower() == "bearer" else None))
    return lambda: rates.take(caller or address)


def _count(metrics: Metrics, visit: Visit) -> None:
    """Counts a device's request as one of a program is counted."""
    failures = len(visit.session.failures)
    metrics.count(visit.state, (visit.end_s or visit.begin_s) - visit.begin_s, visit.session.report, failures)


def _seen_by(nodes: Sequence[Edge]) -> Mapping[str, Any]:
    """Devices and joined edges for the dashboard, in the form of `http.status`."""
    now_s = time.monotonic()
    open_ = Counter(id(peer) for edge in nodes for _, peer in list(edge.sessions.values()))
    met = [each for edge in nodes for each in list(edge.devices.items())]
    devices = [
        {"name": f"device-{k}", "kind": "device", "requests": open_[id(peer)], "since_s": now_s - met_s}
        for k, (peer, met_s) in enumerate(met, 1)
    ]
    first = nodes[0]
    names = "edge", *first.joined
    edges: list[Mapping[str, Any]] = [{"name": n, "kind": "edge", "address": "", "alive": True} for n in names]
    ends = [(name, "backhaul") for name in first.joined] + [(str(each["name"]), "air") for each in devices]
    links = [{"source": "edge", "target": name, "medium": medium} for name, medium in ends]
    return {
        "topology": {"nodes": [*edges, *devices], "links": links},
        "connected": devices,
        **first.visits.to_json(),
    }


@contextlib.contextmanager
def _journal(path: Path | None) -> Iterator[Journal]:
    with Journal(user_folder() / "journal.db" if path is None else path) as journal:
        yield journal


async def _until_stopped(made: FastAPI, listening: Listening, bound: socket.socket, ready: Callable[[], None]) -> None:
    tls: Mapping[str, Any] = (
        {} if listening.certificate is None else {"ssl_certfile": listening.certificate, "ssl_keyfile": listening.key}
    )
    config = uvicorn.Config(
        made, log_level="warning", access_log=False, server_header=False, proxy_headers=False, lifespan="on",
        timeout_keep_alive=30, timeout_graceful_shutdown=120, ws="websockets-sansio", **tls,
    )  # fmt: skip
    server = uvicorn.Server(config)
    # uvicorn raises the signal again when all is done; to be told to stop is no failure.
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    running = asyncio.create_task(server.serve(sockets=[bound]))
    while not server.started and not running.done():
        await asyncio.sleep(LOOK_EVERY_S)
    if running.done():
        await running
        raise ConfigError("serve: it could not start; the lines above say why")
    ready()
    # uvicorn waits for open responses when it is told to stop, so that streams without an end must be told, too.
    while not server.should_exit and not running.done():
        await asyncio.sleep(10 * LOOK_EVERY_S)
    made.state.is_draining = True
    await running


def _reached(host: str) -> str:
    """An address of this machine by which others reach it when it listens at all of them."""
    if host not in ("0.0.0.0", "::"):
        return host
    # Nothing is sent: the kernel only says from which address it would send to a place outside.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])
    return "127.0.0.1"
