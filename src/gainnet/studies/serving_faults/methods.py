"""Rows of the study serving-faults: one kill each, or many malformed frames."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import resource
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import cached_property
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final, final

import torch
from torch import Tensor

from gainnet.catalog.records import GenerationConfig
from gainnet.core.errors import GainnetError, import_extra
from gainnet.core.randomness import Random
from gainnet.core.types import NodeId
from gainnet.generation.planning import inputs
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.loading import find_folder, load_model, weights_sha256
from gainnet.protocols import execute
from gainnet.service.extra import require_serve
from gainnet.service.http.tokens import Tokens, write_tokens
from gainnet.service.node.course import Failures
from gainnet.service.node.device import Answer, Device
from gainnet.service.node.local import FIRST, Edges
from gainnet.service.node.nursery import Nursery
from gainnet.service.node.order import Asked, Order, order_of
from gainnet.studies.serving_faults.malformed import malformed, refusal
from gainnet.studies.serving_faults.question import (
    COLD,
    DEVICE,
    EDGE,
    ENGINE,
    FRAMES,
    STRANGERS,
    STREAMS,
    FaultsConfig,
)
from gainnet.studies.serving_faults.strangers import KINDS_OF_STRANGERS
from gainnet.studies.serving_faults.trigger import PACE, Trigger
from gainnet.studies.serving_faults.victim import NUM_STEPS, PROTOCOLS, config_of, die
from gainnet.studies.settings import linear_seed
from gainnet.studies.study import Case, Method, Row
from gainnet.wire import client_context
from gainnet.wire.keys import write_certificates

SECOND: Final = NodeId("edge_2")
CELLS: Final = {"alone": (), "two": (SECOND,), "guarded": ()}
"""Edges that join the first one, by the name of the cell."""
SEVERAL: Final = ("dcsuc", "uidcg", "dsuc", "diug", "uidg")
"""Protocols of several edges, in turn."""
RECONNECT_S: Final = 120.0
AGAIN_S: Final = 0.2
PAUSE_S: Final = 2.0
NUM_BESIDE: Final = 16
"""Connections with malformed frames at a time."""
DENOISING_S: Final = 0.05
"""Two steps of the shipped denoiser take about that long; a kill comes at a moment of its own within."""


def identity(config: FaultsConfig) -> Mapping[str, str]:
    """sha256 of the weights of the model."""
    return {"scenes": weights_sha256(find_folder("scenes"))}


def open_methods(config: FaultsConfig) -> Mapping[str, Method]:
    """The methods, whose processes start when they are first needed.

    Raises:
        MissingExtraError: a library of the service is not installed.
    """
    require_serve()
    desk = Desk()
    return {
        ENGINE: desk.kill_engine, EDGE: desk.kill_edge, DEVICE: desk.kill_device,
        FRAMES: lambda case, random: _parse(config.num_frames, case.random_seed),
        STREAMS: lambda case, random: desk.stream(config.num_streams, case.random_seed),
        STRANGERS: lambda case, random: desk.meet(case.text("phase"), config.num_strangers, case.random_seed),
    }  # fmt: skip


@final
@dataclass
class Desk:
    """Cells whose processes are killed: an edge that is alone, and one that another has joined."""

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="gainnet-faults-")))
    _simulated: dict[tuple[str, int, Failures], Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # First here and last there: what runs in it is ended before.
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)

    @cached_property
    def model(self) -> DiffusionModel:
        """Of all nodes."""
        torch.set_num_threads(1)
        model = load_model("scenes", NUM_STEPS)
        # What a request imports is imported before anything is forked: every process would do it anew, and the air
        # alone takes a second and a half.
        for number in range(len(PROTOCOLS)):
            simulated(order_of(Asked(config_of(number)), model))
        for module in ("websockets.websockets_sansio_impl", "http.httptools_impl"):
            import_extra(f"uvicorn.protocols.{module}", "uvicorn", "serve")
        return model

    @cached_property
    def cells(self) -> Mapping[str, Edges]:
        """By name; their processes are not started yet."""
        made = {name: self._made(name, others) for name, others in CELLS.items()}
        for cell in made.values():
            atexit.register(cell.close)
        return made

    @cached_property
    def token(self) -> str:
        """Of the devices that the guarded edge lets in."""
        tokens, token = Tokens().add("device")
        write_tokens(self.folder / "tokens.json", tokens)
        return token

    @cached_property
    def guarded(self) -> Edges:
        """An edge as the command starts it, which asks for a token."""
        cell, _ = self.cells["guarded"], self.token
        cell.start_first_anew()
        return cell

    @cached_property
    def devices(self) -> Nursery:
        """Of devices that kill themselves."""
        nursery = Nursery({DEVICE: self._die})
        atexit.register(nursery.close)
        return nursery

    def kill_engine(self, case: Case, random: Random) -> Row:
        """The first edge is killed and started again; the device comes back with its request id."""
        cell, config = self._cell("alone"), config_of(case.count("number") + 1000 * case.random_seed)
        start = cell.start_first_anew if case.text("start") == COLD else cell.start_first

        def kill() -> None:
            cell.kill(FIRST)
            threading.Thread(target=start).start()

        return self._killed(cell, case, config, Trigger(case.text("phase"), FIRST, kill, _delay_s(random)), FIRST)

    def kill_edge(self, case: Case, random: Random) -> Row:
        """An edge that has joined is killed: the others go on without it; it joins again for the next case."""
        cell, number = self._cell("two"), case.count("number")
        protocol = SEVERAL[number % len(SEVERAL)]
        config = GenerationConfig(
            ("a red star",), protocol, num_edges=2, snr_db=8.0, num_steps=NUM_STEPS,
            random_seed=number + 1000 * case.random_seed, harq="none", codec=linear_seed(protocol),
        )  # fmt: skip
        again = cell.join_anew if case.text("start") == COLD else cell.join

        def kill() -> None:
            cell.kill(SECOND)
            # Before a request is accepted, its plan needs all edges: the device asks again until they are there.
            if case.text("phase") == "before_accept":
                threading.Thread(target=again, args=(SECOND,)).start()

        row = self._killed(cell, case, config, Trigger(case.text("phase"), SECOND, kill, _delay_s(random)), SECOND)
        if SECOND not in cell.processes:
            again(SECOND)
        return row

    def kill_device(self, case: Case, random: Random) -> Row:
        """A device kills itself; another one comes with its request id."""
        cell, phase, begin_s = self._cell("alone"), case.text("phase"), time.monotonic()
        random_seed, request_id = case.count("number") + 1000 * case.random_seed, uuid.uuid4().hex
        before = _tracebacks(cell)
        if case.text("start") == COLD:
            arguments = cell.url, request_id, str(random_seed), phase
            victim = (sys.executable, "-m", "gainnet.studies.serving_faults.victim", *arguments)
            code = subprocess.run(victim, check=False, stderr=subprocess.DEVNULL).returncode
        else:
            code = self.devices.start(DEVICE, cell.url, request_id, random_seed, phase).wait()
        killed_s = time.monotonic() - begin_s
        answer = self._answer(cell, config_of(random_seed), request_id)
        return self._row(answer, config_of(random_seed), code == -signal.SIGKILL, before, cell, killed_s)

    def stream(self, num_streams: int, random_seed: int) -> Row:
        """Malformed frames from an edge with a certificate, each on a connection of its own; others are served."""
        cell = self._cell("two")
        # An edge that has served and been poured at has taken what it needs: from here on it could only grow.
        self._answer(cell, config_of(random_seed), uuid.uuid4().hex)
        asyncio.run(_pour(cell, min(num_streams, 20 * NUM_BESIDE), random_seed + 1))
        before, memory = _tracebacks(cell), _memory_bytes(cell)
        asyncio.run(_pour(cell, num_streams, random_seed))
        growth = None if memory is None else max((_memory_bytes(cell) or 0) - memory, 0)
        config = config_of(random_seed)
        row = self._row(self._answer(cell, config, uuid.uuid4().hex), config, False, before, cell)
        return {**row, "malformed_frames_tls": num_streams, "measured_memory_growth_bytes": growth}

    def meet(self, kind: str, num_strangers: int, random_seed: int) -> Row:
        """Strangers of a kind, all at once; meanwhile a device with a token is served again and again."""
        cell, asked = self.guarded, config_of(random_seed)
        before, served, lost, different = _tracebacks(cell), 0, 0, 0
        stranger = KINDS_OF_STRANGERS[kind]
        with ThreadPoolExecutor(max(num_strangers, 1)) as threads:
            come = [threads.submit(stranger, cell.url, self.token) for _ in range(num_strangers)]
            while not served or any(not each.done() for each in come):
                answer = self._answer(cell, asked, uuid.uuid4().hex, token=self.token)
                served, lost = served + 1, lost + (answer is None)
                different += answer is not None and not self._is_as_simulated(answer, asked)
                # Strangers that say nothing are waited for without work.
                wait(come, PAUSE_S)
        return {
            "strangers": num_strangers, "strangers_let_in": sum(each.result() for each in come),
            "measured_num_served": served, "lost": lost, "different": different,
            "tracebacks": _tracebacks(cell) - before,
        }  # fmt: skip

    def _cell(self, name: str) -> Edges:
        """A cell of which all processes are there."""
        # Nurseries are forked while this process has no threads: those that ask and kill come later.
        cell, _ = self.cells[name], self.devices
        if FIRST not in cell.processes:
            cell.start_first()
        for other in CELLS[name]:
            if other not in cell.processes:
                cell.join(other)
        return cell

    def _made(self, name: str, others: tuple[str, ...]) -> Edges:
        keys, log = self.folder / name, self.folder / f"{name}.log"
        write_certificates(keys, devices=(*others, "stranger"))
        log.touch()
        tokens = self.folder / "tokens.json" if name == "guarded" else None
        return Edges(self.model, keys, self.folder / f"{name}.db", PACE, tokens=tokens, log=log)

    def _die(self, said: Connection, url: str, request_id: str, random_seed: int, phase: str) -> None:
        die(url, self.model, request_id, random_seed, phase)

    def _killed(self, cell: Edges, case: Case, config: GenerationConfig, trigger: Trigger, victim: str) -> Row:
        """A request in whose course a process is killed."""
        before, request_id = _tracebacks(cell), uuid.uuid4().hex
        answer = self._answer(cell, config, request_id, trigger)
        if case.text("phase") == "before_acknowledgement" and victim == FIRST and answer is not None:
            # The picture was there, and the edge does not know it: whoever asks again gets the same.
            again = self._answer(cell, config, request_id)
            answer = answer if again is not None and torch.equal(again.values, answer.values) else None
        return self._row(answer, config, trigger.has_fired, before, cell, trigger.killed_s)

    def _row(
        self,
        answer: Answer | None,
        config: GenerationConfig,
        was_killed: bool,
        tracebacks: int,
        cell: Edges,
        killed_s: float | None = None,
    ) -> Row:
        return {
            "measured_killed_s": killed_s,
            "kills": int(was_killed), "lost": int(answer is None),
            "different": int(answer is not None and not self._is_as_simulated(answer, config)),
            "tracebacks": _tracebacks(cell) - tracebacks,
        }  # fmt: skip

    def _is_as_simulated(self, answer: Answer, config: GenerationConfig) -> bool:
        """Whether a picture is that of a simulation with the same deaths."""
        key = config.protocol, config.random_seed, answer.failures
        # The same request meets a death in every phase, and a simulation takes as long as half a kill.
        if key not in self._simulated:
            self._simulated[key] = simulated(answer.order, answer.failures)
        return torch.equal(answer.values, self._simulated[key])

    def _answer(
        self,
        cell: Edges,
        config: GenerationConfig,
        request_id: str,
        trigger: Trigger | None = None,
        token: str | None = None,
    ) -> Answer | None:
        """Answer to a device that asks until it gets one; `None` when it never does."""
        end_s = time.monotonic() + RECONNECT_S
        while time.monotonic() < end_s:
            with contextlib.suppress(GainnetError):
                device = Device(
                    cell.url, Asked(config), self.model, token=token, request_id=request_id, reconnect_s=RECONNECT_S,
                    tap=trigger or (lambda way, frame: None),
                )  # fmt: skip
                return device.ask()
            time.sleep(AGAIN_S)
        return None


def _delay_s(random: Random) -> float:
    return DENOISING_S * float(random.uniform((), "moment").ravel()[0])


def simulated(order: Order, failures: Failures = ()) -> Tensor:
    """[*batch, 3, H, W], the picture of a simulation in which these nodes die."""
    planned = order.planned
    with torch.inference_mode():
        places, _ = execute(
            planned.plan, inputs(order.prompts), planned.network, order.random, order.pricing, failures
        )  # fmt: skip
    return places[planned.plan.result]


def _tracebacks(cell: Edges) -> int:
    assert cell.log is not None
    return cell.log.read_text(errors="replace").count("Traceback")


def _memory_bytes(cell: Edges) -> int | None:
    """Resident memory of the first edge, where the system says."""
    with contextlib.suppress(OSError):
        pages = int(Path(f"/proc/{cell.processes[FIRST].pid}/statm").read_text().split()[1])
        return pages * resource.getpagesize()
    return None


def _parse(num_frames: int, random_seed: int) -> Row:
    """Malformed frames through the parser; a fault of ours would be raised, and counts as a traceback."""
    tracebacks = 0
    for octets in malformed(min(num_frames, 2000), random_seed + 1):
        refusal(octets)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for octets in malformed(num_frames, random_seed):
        try:
            refusal(octets)
        except Exception:
            tracebacks += 1
    growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    return {"malformed_frames": num_frames, "tracebacks": tracebacks, "measured_memory_growth_bytes": growth}


async def _pour(cell: Edges, num_streams: int, random_seed: int) -> None:
    """Sends each frame after the handshake, and waits until the edge has hung up or answered."""
    context, frames = client_context(cell.keys, "stranger"), malformed(num_streams, random_seed)

    async def pour() -> None:
        for octets in frames:
            with contextlib.suppress(OSError, ssl.SSLError, asyncio.IncompleteReadError):
                await _send(octets, await asyncio.open_connection("127.0.0.1", cell.join_port, ssl=context))

    # Side by side, as half a frame keeps a connection waiting for its other half.
    await asyncio.gather(*(pour() for _ in range(NUM_BESIDE)))


async def _send(octets: bytes, stream: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
    reader, writer = stream
    try:
        writer.write(octets)
        await writer.drain()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(reader.read(1), 1.0)
    finally:
        writer.transport.abort()
