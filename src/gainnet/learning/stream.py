"""Split learning between processes: devices and an edge that talk over streams of their own, with TLS on both sides.

edge process: rounds, its part of the model   <==TLS 1.3, frames of `Wire`==>   device process: text, its part
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Collection, Iterator, MutableMapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import torch
from torch.optim import Optimizer

from gainnet.core.errors import ConfigError, PayloadError, PlanError
from gainnet.core.randomness import Random
from gainnet.core.types import NodeId
from gainnet.learning.algorithm import State, load_values, values_of
from gainnet.learning.clients import Client
from gainnet.learning.exchange import Exchange
from gainnet.learning.fsl import Air, AveragedEdge, Fsl, SharedEdge, split_of
from gainnet.learning.halves import device_step, edge_step
from gainnet.learning.payloads import KINDS, PRIVATE
from gainnet.learning.split import SplitModel
from gainnet.learning.wire import Wire
from gainnet.models.language import task_of
from gainnet.network.scenario import EDGE

MAX_PORT = 65535
MAX_TIMEOUT_S = 1e6
_GONE = (OSError, PayloadError, PlanError, RuntimeError)
"""What a device can do to the edge: vanish, send what is no frame of ours, or tensors of shapes that do not fit."""


@final
@dataclass(frozen=True)
class StreamTurn:
    """A `Turn` of a client that is another process; whoever fails in its turn is cut off and has fallen away.

    per turn  edge ==words, weights==> device; num_steps times the two halves of a step; device ==weights==> edge

    What crosses is priced as if it went over the links of the network, by the same ledger as in one process; the stream
    itself loses nothing.

    Args:
        wires: to the devices that are there, by name; shrinks when one fails.
    """

    wires: MutableMapping[NodeId, Wire]

    def __call__(
        self, algorithm: Fsl, exchange: Exchange, client: Client, start: State, at_edge: Optimizer, random: Random, /
    ) -> dict[str, torch.Tensor] | None:
        """As `Turn`."""
        if client.name not in self.wires:
            return None
        try:
            return _turn(algorithm, exchange, client, start, at_edge, random, self.wires[client.name])
        except _GONE:
            self.wires.pop(client.name).close()
            at_edge.zero_grad(set_to_none=True)
            return None


def _turn(
    algorithm: Fsl,
    exchange: Exchange,
    client: Client,
    start: State,
    at_edge: Optimizer,
    random: Random,
    wire: Wire,
) -> dict[str, torch.Tensor] | None:
    cut, training = client.cut or algorithm.cut, algorithm.training
    split = split_of(algorithm, cut)
    given = {name: start[name] for name in split.names("device")}
    if exchange.send_until("weights", EDGE, client.name, given) is None:
        return None
    lost_at = algorithm.participation.steps_before_loss(client, training.num_steps, random)
    num_steps = training.num_steps if lost_at is None else lost_at
    wire.tell({"num_steps": num_steps, "random_seed": random.random_seeds[0], "path": list(random.path)})
    wire.send_file("weights", given)
    blank = torch.zeros(training.batch_size, client.rows.shape[1], dtype=torch.long)
    tokens, labels = task_of(algorithm.model, blank)
    booked = Air(exchange, client, algorithm.codec, algorithm.cost_of_cut[cut.name])
    for _ in range(num_steps):
        edge_step(split, tokens, labels, wire, algorithm.codec, booked)
        at_edge.step()
        at_edge.zero_grad(set_to_none=True)
    returned = wire.receive_file("weights", given)
    if lost_at is not None:
        return None
    received, stop_s = exchange.send_up("weights", client.name, returned)
    return received if stop_s <= algorithm.participation.deadline_s else None


def serve_turns(algorithm: Fsl, client: Client, wire: Wire) -> None:
    """A device's side: its part of every turn, until the edge closes the stream.

    Args:
        algorithm: as the edge has it.
        client: this device, with its text.
        wire: to the edge.
    """
    split = split_of(algorithm, client.cut or algorithm.cut)
    forget_edge(split)
    like = values_of(algorithm.model, split.names("device"))
    while True:
        try:
            told = wire.told()
        except ConnectionError:
            return
        random = Random((int(told["random_seed"]),), (), tuple(told["path"]))
        load_values(algorithm.model, wire.receive_file("weights", like))
        _take_steps(algorithm, split, client, int(told["num_steps"]), random, wire)
        wire.send_file("weights", values_of(algorithm.model, split.names("device")))


def _take_steps(algorithm: Fsl, split: SplitModel, client: Client, num_steps: int, random: Random, wire: Wire) -> None:
    optimizer = algorithm.training.start(split.parameters("device"))
    for step in range(num_steps):
        tokens, labels = task_of(algorithm.model, algorithm.training.batch(client, random, step))
        device_step(split, tokens, labels, wire, algorithm.codec)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def forget_edge(split: SplitModel) -> None:
    """Gives back the memory of what the edge holds: a device that read any of it would fail at once."""
    kept = {id(p) for p in split.parameters("device")}
    for p in [*split.whole.parameters(), *split.body.parameters()]:
        if id(p) not in kept:
            p.data = p.data.new_empty(0)


def allowed_on(algorithm: Fsl) -> frozenset[str]:
    """Kinds of payload on a stream: labels only where the cut leaves the head on the edge."""
    return KINDS if algorithm.cut.labels_reach_edge else PRIVATE


def over_streams(algorithm: Any, wires: MutableMapping[NodeId, Wire]) -> Fsl:
    """Split learning whose clients are other processes.

    Args:
        algorithm: how.
        wires: to the clients, by name.

    Raises:
        ConfigError: it is not split learning.
    """
    if not isinstance(algorithm, SharedEdge | AveragedEdge):
        raise ConfigError("algorithm: only split learning has steps to send; choose fsl or fsl_averaged")
    return replace(algorithm, turn=StreamTurn(wires))


@contextlib.contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that devices connect to; port 0 for any that is free.

    Raises:
        ConfigError: there is no such port, or the address is not free or not of this machine.
    """
    _check_port(port)
    try:
        listener = socket.create_server((host, port))
    except OSError as error:
        raise ConfigError(
            f"port: cannot listen on {host}:{port} ({error.strerror}); give another host or port"
        ) from None
    with listener:
        yield listener


def accept(
    listener: socket.socket, keys: Path, names: Collection[NodeId], allowed: frozenset[str], timeout_s: float
) -> dict[NodeId, Wire]:
    """A wire to each of these devices, once all have come; a device is who its certificate says.

    Whoever has no certificate of our authority, or one of a name that is not waited for, is turned away.

    Args:
        listener: of `listening`.
        keys: folder of `write_certificates`.
        names: of the devices.
        allowed: kinds of payload that may cross.
        timeout_s: to wait for all of them, and later for every frame.

    Raises:
        ConfigError: some do not come in time.
    """
    _check_timeout(timeout_s)
    context = _context(ssl.PROTOCOL_TLS_SERVER, keys, "server")
    wires: dict[NodeId, Wire] = {}
    end_s = time.monotonic() + timeout_s
    while missing := sorted(set(names) - set(wires)):
        listener.settimeout(max(end_s - time.monotonic(), 0.01))
        try:
            plain, _ = listener.accept()
        except TimeoutError:
            raise ConfigError(f"clients: {', '.join(missing)} did not come in {timeout_s:g} s; start them") from None
        plain.settimeout(timeout_s)
        try:
            stream = context.wrap_socket(plain, server_side=True)
            name = _name_of(stream)
        except (OSError, KeyError):
            plain.close()
            continue
        if name in missing:
            wires[name] = Wire(stream, allowed)
        else:
            stream.close()
    return wires


def connect(host: str, port: int, keys: Path, name: str, allowed: frozenset[str], timeout_s: float) -> Wire:
    """A device's wire to the edge.

    Args:
        host: name or address of the edge, as in its certificate.
        port: where it listens.
        keys: folder with ca.pem, `name`.pem and `name`.key.
        name: of this device.
        allowed: kinds of payload that may cross.
        timeout_s: to connect, and later for every frame.

    Raises:
        ConfigError: the edge is not there, or one of the two is not who it says.
    """
    _check_port(port)
    _check_timeout(timeout_s)
    context = _context(ssl.PROTOCOL_TLS_CLIENT, keys, name)
    try:
        plain = socket.create_connection((host, port), timeout_s)
        return Wire(context.wrap_socket(plain, server_hostname=host), allowed)
    except ssl.SSLError as error:
        raise ConfigError(f"keys: the edge at {host}:{port} is not trusted ({error.reason})") from None
    except ConnectionResetError:
        raise ConfigError(f"host: the edge at {host}:{port} hung up; it has all its devices, or ended") from None
    except OSError as error:
        raise ConfigError(f"host: no edge at {host}:{port} ({error}); start it first") from None


def _check_port(port: int) -> None:
    if not 0 <= port <= MAX_PORT:
        raise ConfigError(f"port: {port} is outside 0 to {MAX_PORT}")


def _check_timeout(timeout_s: float) -> None:
    if not 0.0 < timeout_s <= MAX_TIMEOUT_S:
        raise ConfigError(f"timeout_s: {timeout_s:g} is outside 0 to {MAX_TIMEOUT_S:g} seconds; give for example 600")


def _context(protocol: int, keys: Path, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_cert_chain(keys / f"{name}.pem", keys / f"{name}.key")
        context.load_verify_locations(keys / "ca.pem")
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"keys: {keys} has no usable keys of {name} ({error}); make them with split keys") from None
    return context


def _name_of(stream: ssl.SSLSocket) -> NodeId:
    """The common name in the certificate that the other end has proved to own."""
    subject: Any = (stream.getpeercert() or {})["subject"]
    return NodeId(str(dict(pair for group in subject for pair in group)["commonName"]))
