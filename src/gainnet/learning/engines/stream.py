"""Turns of split learning between processes: each side drives its half of every step over a connection."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from torch import Tensor

from gainnet.codecs import AnyCodec, Octets
from gainnet.core.errors import ConfigError, PayloadError
from gainnet.core.outside import reading
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.algorithm import State, load_values, values_of
from gainnet.learning.algorithms.fsl import LinkCrossing, SplitLearning, Turn, integers_of, octets_of
from gainnet.learning.clients import Client
from gainnet.learning.engines.turns import MAX_STEPS, read_turn
from gainnet.learning.split.halves import Give, Half, Take, crossing_shapes, device_half, edge_half
from gainnet.learning.split.model import SplitModel
from gainnet.models.language import task_of
from gainnet.wire import Connection, bounded

END = {"end": True}
"""Words after the last turn: a device that does not hear them knows that its edge is gone."""

_BEFORE = {"activations": "front", "gradients": "tail"}
"""Segment that a device has computed when the edge receives tensors of a kind."""


@final
@dataclass(frozen=True)
class OverConnections:
    """A `Place` of clients that are other processes; whoever fails in its turn is cut off and has fallen away.

    A turn is not tried again: who comes back takes part from its next turn on, and the edge's part is what it was.

    per turn  edge ==words, weights==> device; num_steps times the two halves of a step; device ==weights==> edge

    What crosses is priced as if it went over the links of the network, by the same ledger as in one process; the stream
    itself loses nothing.

    Args:
        connections: to the devices that are there, by name; shrinks when one fails.
    """

    connections: MutableMapping[NodeId, Connection]

    def __call__(self, turn: Turn) -> State | None:
        """As `Place`."""
        name = turn.client.name
        if name not in self.connections:
            return None
        with cut_off_on_failure(self.connections, name) as connection:
            return _take_turn(turn, connection)
        # What it had added to the gradients of the edge's part must not enter the next turn.
        turn.at_edge.zero_grad(set_to_none=True)
        return None


@contextlib.contextmanager
def cut_off_on_failure(
    connections: MutableMapping[NodeId, Connection], name: NodeId, reasons: dict[NodeId, str] | None = None
) -> Iterator[Connection]:
    """A block that uses the connection of one device, which is closed and left out when the block fails.

    Args:
        connections: by name; shrinks when it fails.
        name: of the device.
        reasons: why it was cut off, by name; grows when it fails.
    """
    connection = connections[name]
    try:
        # A device can vanish, send no frame of ours, or values that make the edge's own part overflow. None of it
        # is the others' fault: the round goes on, and the edge's part goes back to what it was.
        with reading(f"stream: {name}"):
            yield connection
    except (OSError, ValueError) as error:
        logging.getLogger(__name__).warning("%s is cut off: %s", name, error)
        connection.close()
        # It may have come again meanwhile, on another connection.
        if connections.get(name) is connection:
            del connections[name]
        if reasons is not None:
            reasons[name] = str(error)


def _take_turn(turn: Turn, connection: Connection) -> State:
    algorithm, path, (random_seed,) = turn.algorithm, list(turn.random.path), turn.random.random_seeds
    connection.send_words({"num_steps": turn.num_steps, "random_seed": random_seed, "path": path})
    connection.send_file("weights", turn.given)
    blank, shapes = _shapes_of(algorithm, turn.split, turn.client.rows)
    port = _Port(connection, algorithm.codec, turn.split, blank, shapes, turn.crossing)
    for step in range(turn.num_steps):
        for part in range(algorithm.training.num_parts):
            with algorithm.training.computing([turn.split.body], turn.random, turn.client.name, step, part):
                port.drive(edge_half(turn.split, *port.blank))
        algorithm.training.move(turn.at_edge)
    returned = connection.receive_file("weights", turn.given)
    # Gradients of bounded activations can still overflow on the way through the edge's part.
    bounded({name: p.detach() for name, p in turn.split.body.named_parameters()})
    if not all(bool(x.isfinite().all()) for kept in turn.at_edge.state.values() for x in kept.values()):
        raise PayloadError("stream: its gradients are too large for the edge's optimizer")
    return returned


def serve_turns(
    algorithm: SplitLearning,
    client: Client,
    connection: Connection,
    max_steps: int = MAX_STEPS,
    patience_s: float | None = None,
) -> None:
    """As `TurnsAtDevice.serve`, on one connection."""
    TurnsAtDevice.of(algorithm, client).serve(connection, max_steps, patience_s)


@final
@dataclass(frozen=True, eq=False)
class TurnsAtDevice:
    """A device's side of split learning, over one connection after another.

    Nothing of a turn that broke off is left in the next one: weights come anew, rows are drawn by the round.

    Args:
        algorithm: as the edge has it.
        client: this device, with its text.
        split: the model, of which the edge's part is forgotten.
        blank: (tokens, labels) of a mini-batch, [part_size, length] each.
        shapes: of what crosses, by name.
    """

    algorithm: SplitLearning
    client: Client
    split: SplitModel
    blank: tuple[Tensor, Tensor]
    shapes: Mapping[str, tuple[int, ...]]

    @staticmethod
    def of(algorithm: SplitLearning, client: Client) -> TurnsAtDevice:
        """Of a device that has just joined; the memory of the edge's part is given back."""
        split = algorithm.split_of(client)
        blank, shapes = _shapes_of(algorithm, split, client.rows)
        forget_edge(split)
        return TurnsAtDevice(algorithm, client, split, blank, shapes)

    def serve(self, connection: Connection, max_steps: int = MAX_STEPS, patience_s: float | None = None) -> None:
        """Its part of every turn, until the edge says that the run is over.

        Args:
            connection: to the edge.
            max_steps: mini-batches that the edge may ask for in a turn.
            patience_s: how long to wait for a turn.

        Raises:
            ConfigError: the edge asks for something else than a turn.
            OSError: it is gone before the end.
        """
        algorithm, split, training = self.algorithm, self.split, self.algorithm.training
        port = _Port(connection, algorithm.codec, split, self.blank, self.shapes, None)
        like, segments = values_of(algorithm.model, split.trained("device")), [split.front, *split.segments[2:]]
        while (words := connection.receive_words(patience_s)) != END:
            num_steps, random = read_turn(words, max_steps)
            load_values(algorithm.model, connection.receive_file("weights", like))
            optimizer = training.start(split.parameters("device"))
            optimizer.zero_grad(set_to_none=True)
            for step in range(num_steps):
                for part, rows in enumerate(training.parts(self.client, random, step)):
                    with training.computing(segments, random, self.client.name, step, part):
                        port.drive(device_half(split, *task_of(algorithm.model, rows)))
                training.move(optimizer)
            connection.send_file("weights", values_of(algorithm.model, split.trained("device")))


@final
@dataclass(frozen=True, eq=False)
class _Port:
    """A half's way to the other one: activations and gradients by the codec, labels and tied gradients as they are.

    The edge's one books what crosses on both sides: it knows what a device computes between two frames.
    """

    connection: Connection
    codec: AnyCodec
    split: SplitModel
    blank: tuple[Tensor, Tensor]
    shapes: Mapping[str, tuple[int, ...]]
    crossing: LinkCrossing | None

    def drive(self, half: Half) -> None:
        """Runs one half to its end; the other one is at the other end of the connection."""
        answer: Any = None
        while True:
            try:
                event = half.send(answer)
            except StopIteration:
                return
            answer = None
            if isinstance(event, Give):
                self._give(event)
            elif isinstance(event, Take):
                answer = self._take(event), torch.tensor(True)  # a stream loses nothing
            else:
                self._book(event.segment)

    def _give(self, event: Give) -> None:
        kind, tensors = event.kind, event.tensors
        if kind == "tied_gradients":
            self.connection.send_file(kind, {name: x.cpu() for name, x in tensors.items()})
        elif kind == "labels":
            self.connection.send(kind, {name: octets_of(x.cpu()) for name, x in tensors.items()}, Octets())
        else:
            self.connection.send(kind, {name: x.float().cpu() for name, x in tensors.items()}, self.codec)
        if self.crossing is not None:
            self.crossing.down(kind, tensors)
        if kind == "gradients":
            self._book("front_backward")

    def _take(self, event: Take) -> dict[str, Tensor]:
        kind, whole, shapes = event.kind, self.split.whole, {name: self.shapes.get(name, ()) for name in event.names}
        if kind == "tied_gradients":
            received = self.connection.receive_file(kind, {name: whole.get_parameter(name) for name in event.names})
        else:
            received = self.connection.receive(kind, Octets() if kind == "labels" else self.codec, shapes)
        if kind == "labels":
            received = {name: integers_of(octets, torch.long) for name, octets in received.items()}
        if kind in _BEFORE:
            self._book(_BEFORE[kind])
        if self.crossing is not None:
            self.crossing.up(kind, received)
        return received

    def _book(self, segment: str) -> None:
        if self.crossing is not None:
            self.crossing.computed(segment)


def _shapes_of(
    algorithm: SplitLearning, split: SplitModel, rows: Tensor
) -> tuple[tuple[Tensor, Tensor], Mapping[str, tuple[int, ...]]]:
    """(tokens and labels of a mini-batch, shapes of what crosses by name)."""
    # Both sides know every shape from the settings alone, so that nothing is read off what the other one says.
    size = (algorithm.training.part_size, rows.shape[1])
    blank = task_of(algorithm.model, torch.zeros(size, dtype=torch.long))
    return blank, crossing_shapes(split, *blank) | {"labels": tuple(octets_of(blank[1]).shape)}


def forget_edge(split: SplitModel) -> None:
    """Gives back the memory of what the edge holds: a device that read any of it would fail at once."""
    kept = {id(p) for p in split.parameters("device")}
    for p in [*split.whole.parameters(), *split.body.parameters()]:
        if id(p) not in kept:
            p.data = p.data.new_empty(0)


def over_streams(algorithm: Any, connections: MutableMapping[NodeId, Connection]) -> SplitLearning:
    """Split learning whose clients are other processes.

    Args:
        algorithm: how.
        connections: to the clients, by name.

    Raises:
        ConfigError: it is not split learning.
    """
    if not isinstance(algorithm, SplitLearning):
        raise ConfigError("algorithm: only split learning has steps to send; choose fsl or fsl_averaged")
    return replace(algorithm, place=OverConnections(connections))
