"""The edge of this process: who is connected, and the requests that it takes part in."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, final

import torch
from torch import Tensor

from gainnet.codecs import CODECS
from gainnet.core.errors import ConfigError, PayloadError
from gainnet.core.outside import read_text
from gainnet.core.types import NodeId, Place
from gainnet.generation.memory import Memory
from gainnet.generation.planning import inputs
from gainnet.models.loading import find_folder, shipped_models
from gainnet.network import DEVICE
from gainnet.protocols import PROTOCOLS
from gainnet.protocols.task import PICTURE
from gainnet.service.engine import Engine
from gainnet.service.journal import Journal
from gainnet.service.node.digests import different, part_digests
from gainnet.service.node.frames import Frame, split_frames
from gainnet.service.node.order import Asked, Order, order_of, read_asked
from gainnet.service.node.peer import Peer
from gainnet.service.node.release import Releaser
from gainnet.service.node.session import Session
from gainnet.service.node.steps import described
from gainnet.service.node.visits import Visits
from gainnet.service.provenance import Signer, configuration_digest, source_type

PATIENCE_S: Final = 10.0
"""How long an edge that has joined may be silent; it says something every second."""
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
NUM_REMEMBERED: Final = 64
"""Outcomes of denoisers for pages, which soon ask for the opponent of the same picture."""
_MOST_SESSIONS: Final = 32
"""Open requests of one connection."""


@final
@dataclass(eq=False)
class Joined:
    """Another edge that has joined this one.

    Args:
        peer: its connection.
        heard_s: when it last said something, on the clock `time.monotonic`.
    """

    peer: Peer
    heard_s: float = field(default_factory=time.monotonic)


@final
class Edge:
    """The first edge of a cell, to which devices and the other edges are connected.

    Args:
        engine: runs the model's parts.
        journal: keeps accepted requests; nothing is kept when `None`.
        pace: of the releases, 1 for real time, 0 for as fast as possible.
        patience_s: how long a joined edge may be silent.
        paths: where devices can fetch the weights of a part, by its name.
        signer: of receipts for what devices are sent; none are given when `None`.
        visits: that its requests are put among, shared by the edges of a process; its own when `None`.
    """

    def __init__(
        self,
        engine: Engine,
        journal: Journal | None = None,
        pace: float = 0.0,
        patience_s: float = PATIENCE_S,
        paths: Mapping[str, str] | None = None,
        signer: Signer | None = None,
        visits: Visits | None = None,
    ) -> None:
        self._signer = signer
        self.engine, self.journal, self.patience_s = engine, journal, patience_s
        self.releaser = Releaser(pace)
        self.weights = digests_of(engine)
        self.joined: dict[str, Joined] = {}
        self.sessions: dict[str, tuple[Session, Peer]] = {}
        self.devices: dict[Peer, float] = {}
        self.visits = visits or Visits()
        self.memory = Memory(NUM_REMEMBERED)
        self._paths = dict(paths or {})
        # Plans are made one at a time: binding codecs reads files, and the event loop must go on meanwhile.
        self._planning = ThreadPoolExecutor(1, thread_name_prefix="plan")

    def meet(self, peer: Peer) -> None:
        """A device has said who it is; `devices` has the time, on the clock `time.monotonic`, until it is lost."""
        self.devices[peer] = time.monotonic()

    def close(self) -> None:
        """Ends every request; those that are in the journal stay there."""
        for session, _ in list(self.sessions.values()):
            session.end(ConfigError("edge: it is going down; ask again"))
        self.releaser.close()
        self._planning.shutdown(wait=False, cancel_futures=True)

    def hello(self, weights: Mapping[str, object]) -> Frame:
        """Hello of this edge: model and codecs, with the parts that a device should fetch.

        Args:
            weights: digests that the device has, by part.
        """
        model = self.engine.model
        fetch = [
            {"part": part, "sha256": self.weights[part], "path": self._paths.get(part)}
            for part in different(self.weights, weights)
        ]
        return Frame(
            "hello",
            {
                "role": "edge",
                "version": version("gainnet"),
                "model": model.name,
                "sha256": model.sha256,
                "runtime": model.runtime,
                "weights": self.weights,
                "num_steps": model.denoiser.num_steps,
                "guidance_scale": model.denoiser.guidance_scale,
                "latent": list(model.latent.shape),
                "image": list(model.image.shape),
                "protocols": {
                    name: {"sends": list(each.sends), "max_edges": each.max_edges} for name, each in PROTOCOLS.items()
                },
                "codecs": {kind: sorted(table) for kind, table in CODECS.items()},
                "num_edges": 1 + len(self.joined),
                "pace": self.releaser.pace,
                "fetch": fetch,
            },
        )

    async def open(self, peer: Peer, frame: Frame) -> None:
        """Takes a device's request on: a new one is accepted and run, one that is done is answered from the journal.

        Args:
            peer: the device.
            frame: of kind request.

        Raises:
            GainnetError: it cannot be run.
        """
        request_id = read_id(frame.head.get("request"))
        if sum(other is peer for _, other in self.sessions.values()) >= _MOST_SESSIONS:
            raise ConfigError(f"request: a connection has at most {_MOST_SESSIONS} at once; wait for one to end")
        plays = (DEVICE,) if frame.head.get("air") == "edge" else ()
        asked = read_asked(frame.head, frame.tensors())
        wanted = {**asked.to_json(), "air": "edge" if plays else "device"}
        loop = asyncio.get_running_loop()
        order = await loop.run_in_executor(self._planning, partial(self._order, asked, bool(plays)))
        at = _played(order, asked, frame) if plays else {}
        done = await loop.run_in_executor(
            self._planning, partial(self._accept, request_id, wanted, asked.config.random_seed, frame.body)
        )
        if request_id in self.sessions:
            # The device was cut off and is here again before its old connection was found dead.
            earlier, _ = self.sessions.pop(request_id)
            self.visits.end(earlier, "cancelled")
            earlier.end()
        peers = {} if done else self._seats(order)
        me = order.planned.network.edges[0]
        peer.send(
            Frame("accepted", {"request": request_id, "node": me, "resumed": done is not None} | described(order))
        )
        if done is not None:
            for octets in split_frames(done):
                peer.send(octets)
            return
        finished = partial(self._finish, request_id)
        receipt = self._receipt_of(request_id, asked, frame.head.get("key"))
        session = Session(
            request_id, order, me, {DEVICE: peer, **peers}, self.engine, self.releaser, finished, plays, at, receipt
        )
        self.sessions[request_id] = session, peer
        self.visits.begin(
            session, asked.config.protocol, asked.config.num_steps or self.engine.model.denoiser.num_steps
        )
        for node, other in peers.items():
            other.send(Frame("request", {"request": request_id, "node": node, **wanted}, frame.body))
        session.start()

    def receive(self, peer: Peer, name: str | None, frame: Frame, octets: bytes) -> None:
        """A frame about a request.

        Args:
            peer: that it comes from.
            name: of an edge that has joined; `None` for a device.
            frame: what came.
            octets: of the frame.

        Raises:
            PayloadError: it cannot have sent this.
        """
        if name is not None and "request" not in frame.head:
            return  # a sign of life
        request_id = read_id(frame.head.get("request"))
        session, device = self.sessions.get(request_id, (None, None))
        if frame.kind == "bye" and name is None:
            if session is None or device is peer:
                self._bye(request_id)
            return
        # What is under way when a request ends still arrives; it is of no use to anybody.
        if session is None:
            return
        nodes = [DEVICE] if device is peer else [node for node, other in session.peers.items() if other is peer]
        for node in nodes:
            session.receive(node, frame, octets)

    def lose(self, peer: Peer) -> None:
        """A connection has ended: of a device, with its requests, or of an edge that had joined."""
        self.devices.pop(peer, None)
        for request_id, (session, device) in list(self.sessions.items()):
            if device is peer:
                self.visits.end(session, "failed" if session.is_over else "cancelled")
                session.lose(DEVICE)
                del self.sessions[request_id]
            for node in [node for node, other in session.peers.items() if other is peer and node != DEVICE]:
                session.lose(node)
        for name in [name for name, joined in self.joined.items() if joined.peer is peer]:
            del self.joined[name]

    def cut_off_silent(self) -> None:
        """Ends the connection of every joined edge that has been silent for too long."""
        for joined in list(self.joined.values()):
            if time.monotonic() - joined.heard_s > self.patience_s:
                joined.peer.close()
                self.lose(joined.peer)

    def _order(self, asked: Asked, remembers: bool) -> Order:
        config = asked.config
        if config.runtime != (runtime := self.engine.model.runtime):
            raise ConfigError(f"runtime: this edge computes with {runtime}; ask with --runtime {runtime}")
        order = order_of(asked, self.engine.model_with(config.num_steps, config.guidance_scale))
        if not remembers:
            return order
        return replace(order, planned=replace(order.planned, plan=self.memory.over(order.planned.plan)))

    def _receipt_of(
        self, request_id: str, asked: Asked, device_key: object
    ) -> Callable[[str], Mapping[str, Any]] | None:
        """The function that signs for the payload of a request, by its digest."""
        signer = self._signer
        if signer is None:
            return None
        stated = {
            "source_type": source_type(asked.strength is not None),
            "model": self.engine.model.name,
            "sha256": self.engine.model.sha256,
            "configuration": configuration_digest(request_id, asked.to_json()),
            "device_key": None if device_key is None else read_text(device_key, "key", 64),
        }
        return lambda payload: signer.receipt(payload=payload, **stated).to_json()

    def _seats(self, order: Order) -> dict[NodeId, Peer]:
        """The joined edges by the node that each is: that of its name, or else in the order of their names."""
        nodes = order.planned.network.edges[1:]
        if len(nodes) > len(self.joined):
            raise ConfigError(
                f"num_edges: {len(nodes) + 1} edges are needed and {len(self.joined) + 1} are here; "
                "start more with gainnet serve --join, or ask for fewer"
            )
        names = nodes if self.joined.keys() >= set(nodes) else sorted(self.joined)
        return {node: self.joined[name].peer for node, name in zip(nodes, names, strict=False)}

    def _accept(self, request_id: str, wanted: Mapping[str, Any], random_seed: int, attachment: bytes) -> bytes | None:
        """Writes a request down; frames that its device was sent when it has run before."""
        if self.journal is None:
            return None
        text = json.dumps({"device": wanted}, sort_keys=True)
        if self.journal.accept(request_id, text, random_seed, attachment):
            return None
        entry = self.journal.find(request_id)
        if entry is None or (entry.config_json, entry.attachment or attachment) != (text, attachment):
            raise ConfigError("request: this id was used for another request; choose another one")
        if entry.state == "acknowledged":
            raise ConfigError("request: its device has had the picture, and it is gone; choose another id")
        return entry.result

    def _finish(self, request_id: str, frames: Sequence[bytes]) -> None:
        if self.journal is not None:
            self._planning.submit(self.journal.finish, request_id, b"".join(frames))

    def _bye(self, request_id: str) -> None:
        session, _ = self.sessions.pop(request_id, (None, None))
        if session is not None:
            self.visits.end(session, "done")
            session.end()
        if self.journal is not None:
            self._planning.submit(self.journal.acknowledge, request_id)


def digests_of(engine: Engine) -> dict[str, str]:
    """Digests of the weights of an engine's model by part; none where it is not from a folder."""
    name = engine.model.name
    if ":" in name or not (Path(name).is_dir() or name in shipped_models()):
        return {}
    return part_digests(find_folder(name))


def read_id(found: object) -> str:
    """The id of a request; raises `PayloadError` when it is none.

    >>> read_id("a-1")
    'a-1'
    """
    text = read_text(found, "request", 64)
    if not _ID.fullmatch(text):
        raise PayloadError("request: its id must be 1 to 64 letters, digits, '-' or '_'")
    return text


def _played(order: Order, asked: Asked, frame: Frame) -> dict[Place, Tensor]:
    """Tensors that a device has at the start whose uplink this edge runs.

    Raises:
        PayloadError: it sent no picture that fits.
    """
    if asked.strength is None:
        return dict(inputs(order.prompts))
    shape = order.given[PICTURE].shape
    picture = frame.tensors().get("picture")
    if picture is None or picture.dtype != torch.uint8 or tuple(picture.shape) != shape:
        raise PayloadError(f"picture: it must be bytes of shape {list(shape)}")
    return dict(inputs(order.prompts, picture / 255.0))
