"""Rows of the study serving-faults: one kill each, or many malformed frames."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import multiprocessing
import resource
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final, final

import torch

from gainnet.catalog.records import GenerationConfig
from gainnet.core.errors import GainnetError, import_extra
from gainnet.core.randomness import Random
from gainnet.core.types import NodeId
from gainnet.generation.planning import inputs
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.loading import find_folder, load_model, weights_sha256
from gainnet.protocols import execute
from gainnet.service.node.device import Answer, Device
from gainnet.service.node.local import FIRST, Edges
from gainnet.service.node.order import Asked
from gainnet.studies.serving_faults.malformed import malformed, refusal
from gainnet.studies.serving_faults.question import COLD, DEVICE, EDGE, ENGINE, FRAMES, STREAMS, FaultsConfig
from gainnet.studies.serving_faults.trigger import PACE, Trigger
from gainnet.studies.serving_faults.victim import NUM_STEPS, config_of, die
from gainnet.studies.study import Case, Method, Row
from gainnet.wire import client_context
from gainnet.wire.keys import write_certificates

SECOND: Final = NodeId("edge_2")
SEVERAL: Final = ("dcsuc", "uidcg", "dsuc", "diug", "uidg")
"""Protocols of several edges, in turn."""
RECONNECT_S: Final = 120.0
AGAIN_S: Final = 0.2
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
    for module, package in (("uvicorn", "uvicorn"), ("fastapi", "FastAPI"), ("websockets", "websockets")):
        import_extra(module, package, "serve")
    desk = Desk()
    return {
        ENGINE: desk.kill_engine, EDGE: desk.kill_edge, DEVICE: desk.kill_device,
        FRAMES: lambda case, random: _parse(config.num_frames, case.random_seed),
        STREAMS: lambda case, random: desk.stream(config.num_streams, case.random_seed),
    }  # fmt: skip


@final
@dataclass
class Desk:
    """Cells whose processes are killed: an edge that is alone, and one that another has joined."""

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="gainnet-faults-")))
    _cells: dict[str, Edges] = field(default_factory=dict)

    def __post_init__(self) -> None:
        atexit.register(self.close)

    def close(self) -> None:
        """Ends all processes."""
        for cell in self._cells.values():
            cell.close()

    @cached_property
    def model(self) -> DiffusionModel:
        """Of all nodes."""
        torch.set_num_threads(1)
        return load_model("scenes", NUM_STEPS)

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
        cell, number = self._cell("two", SECOND), case.count("number")
        config = GenerationConfig(
            ("a red star",), SEVERAL[number % len(SEVERAL)], num_edges=2, snr_db=8.0, num_steps=NUM_STEPS,
            random_seed=number + 1000 * case.random_seed,
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
            arguments_ = cell.url, self.model, request_id, random_seed, phase
            process = multiprocessing.get_context("fork").Process(target=die, args=arguments_)
            process.start()
            process.join()
            code = process.exitcode or 0
        killed_s = time.monotonic() - begin_s
        answer = self._answer(cell, config_of(random_seed), request_id, None)
        return _row(answer, code == -signal.SIGKILL, before, cell, self.model, killed_s)

    def stream(self, num_streams: int, random_seed: int) -> Row:
        """Malformed frames from an edge with a certificate, each on a connection of its own; others are served."""
        cell = self._cell("two", SECOND)
        # An edge that has served has taken what it needs: from here on strangers alone could make it grow.
        self._answer(cell, config_of(random_seed), uuid.uuid4().hex, None)
        before, memory = _tracebacks(cell), _memory_bytes(cell)
        asyncio.run(_pour(cell, num_streams, random_seed))
        growth = None if memory is None else max((_memory_bytes(cell) or 0) - memory, 0)
        row = _row(self._answer(cell, config_of(random_seed), uuid.uuid4().hex, None), False, before, cell, self.model)
        return {**row, "malformed_frames_tls": num_streams, "measured_memory_growth_bytes": growth}

    def _cell(self, name: str, *others: str) -> Edges:
        if name not in self._cells:
            keys, log = self.folder / name, self.folder / f"{name}.log"
            write_certificates(keys, devices=(*others, "stranger"))
            log.touch()
            cell = Edges(self.model, keys, self.folder / f"{name}.db", PACE, log=log)
            cell.start_first()
            self._cells[name] = cell
        for other in others:
            if other not in self._cells[name].processes:
                self._cells[name].join(other)
        return self._cells[name]

    def _killed(self, cell: Edges, case: Case, config: GenerationConfig, trigger: Trigger, victim: str) -> Row:
        """A request in whose course a process is killed."""
        before, request_id = _tracebacks(cell), uuid.uuid4().hex
        answer = self._answer(cell, config, request_id, trigger)
        if case.text("phase") == "before_acknowledgement" and victim == FIRST and answer is not None:
            # The picture was there, and the edge does not know it: whoever asks again gets the same.
            again = self._answer(cell, config, request_id, None)
            answer = answer if again is not None and torch.equal(again.values, answer.values) else None
        return _row(answer, trigger.has_fired, before, cell, self.model, trigger.killed_s)

    def _answer(self, cell: Edges, config: GenerationConfig, request_id: str, trigger: Trigger | None) -> Answer | None:
        """Answer to a device that asks until it gets one; `None` when it never does."""
        end_s = time.monotonic() + RECONNECT_S
        while time.monotonic() < end_s:
            with contextlib.suppress(GainnetError):
                device = Device(
                    cell.url, Asked(config), self.model, request_id=request_id, reconnect_s=RECONNECT_S,
                    tap=trigger or (lambda way, frame: None),
                )  # fmt: skip
                return device.ask()
            time.sleep(AGAIN_S)
        return None


def _delay_s(random: Random) -> float:
    return DENOISING_S * float(random.uniform((), "moment").ravel()[0])


def _row(
    answer: Answer | None,
    was_killed: bool,
    tracebacks: int,
    cell: Edges,
    model: DiffusionModel,
    killed_s: float | None = None,
) -> Row:
    return {
        "measured_killed_s": killed_s,
        "kills": int(was_killed), "lost": int(answer is None),
        "different": int(answer is not None and not _is_as_simulated(answer, model)),
        "tracebacks": _tracebacks(cell) - tracebacks,
    }  # fmt: skip


def _is_as_simulated(answer: Answer, model: DiffusionModel) -> bool:
    """Whether a picture is that of a simulation with the same deaths."""
    order = answer.order
    with torch.inference_mode():
        places, _ = execute(
            order.planned.plan, inputs(order.prompts), order.planned.network, order.random, order.pricing,
            answer.failures,
        )  # fmt: skip
    return torch.equal(answer.values, places[order.planned.plan.result])


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
    context = client_context(cell.keys, "stranger")
    for octets in malformed(num_streams, random_seed):
        with contextlib.suppress(OSError, ssl.SSLError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection("127.0.0.1", cell.join_port, ssl=context)
            try:
                writer.write(octets)
                # Half a frame would be waited for; the end of the stream says that no more comes.
                await writer.drain()
                writer.transport.abort() if len(octets) < 64 else await asyncio.wait_for(reader.read(1), 1.0)
            except TimeoutError:
                pass
            finally:
                writer.transport.abort()
