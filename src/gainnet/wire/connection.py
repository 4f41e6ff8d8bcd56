"""One end of a stream between two processes: frames of known kinds and bounded length, each in bounded time.

on the socket: length of the frame (4 bytes, big endian) | frame
"""

from __future__ import annotations

import math
import socket
import struct
import time
from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor

from gainnet.codecs.codec import AnyCodec
from gainnet.core.errors import PayloadError
from gainnet.core.outside import shorten
from gainnet.core.types import Bits, Spec
from gainnet.wire.frames import LARGEST_BYTES, Frame, bounded, check_kind, file_of, tensors_of

LENGTH = struct.Struct("!I")
FRAMING_BYTES = 1 << 16
"""Of a frame without payload, and on top of the payload of any other one; a header has a few hundred."""
BYTES_PER_ITEM = 32
"""Of the header, at most: every item has a length there."""

_WORDS = "metrics"
"""Kind of a frame that holds no tensor of a model: what both sides have to know about the steps that follow."""


@final
class Connection:
    """Sends and receives payloads over a socket, and counts them.

    Payload is what a codec makes of a tensor: the same bits that a round on the air books. Framing is the rest of what
    goes into the socket: four bytes of length and the header of the file, about 150 bytes per frame.

    Nothing that comes in is trusted: names, shapes and lengths are compared with what is expected before memory is
    taken, and values are finite and of bounded size.

    Args:
        stream: connected; with TLS or without. Its timeout is that of every whole frame.
        allowed: kinds of payload that may cross, in either direction.

    >>> import torch
    >>> from gainnet.codecs import Float16
    >>> here, there = socket.socketpair()
    >>> sender, receiver = (Connection(end, frozenset({"activations"})) for end in (here, there))
    >>> sender.send("activations", {"x": torch.ones(2, 3)}, Float16())
    >>> receiver.receive("activations", Float16(), {"x": (2, 3)})
    {'x': tensor([[1., 1., 1.],
            [1., 1., 1.]])}
    >>> sender.num_bits_sent, receiver.num_bits_received  # a scale of 32 bits and 3 values of 16, twice
    (160, 160)
    >>> sender.send("weights", {"x": torch.ones(2, 3)}, Float16())
    Traceback (most recent call last):
    gainnet.core.errors.PlanError: payload: 'weights' may not cross a link here; only activations may
    >>> sender.close(), receiver.close()
    (None, None)
    """

    def __init__(self, stream: socket.socket, allowed: frozenset[str]) -> None:
        self._stream, self._allowed, self._timeout_s = stream, allowed, stream.gettimeout()
        self.num_bits_sent, self.num_bits_received = 0, 0
        self.num_bytes_sent, self.num_bytes_received = 0, 0
        self.framing_bytes_sent = 0

    def send(self, kind: str, tensors: Mapping[str, Tensor], codec: AnyCodec) -> None:
        """Sends tensors as a codec encodes them.

        Args:
            kind: of payload.
            tensors: [batch, *shape] by name.
            codec: of bits.

        Raises:
            PlanError: this kind may not cross.
            OSError: the other end is gone.
        """
        # A stream loses nothing: the SNR that a codec works with is infinite.
        strings = {name: _strings(codec.encode(x, torch.full((len(x),), torch.inf))) for name, x in tensors.items()}
        self._send(Frame(kind, strings, {"shapes": {name: list(x.shape[1:]) for name, x in tensors.items()}}))

    def receive(self, kind: str, codec: AnyCodec, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
        """The tensors of the next frame, as the codec decodes them.

        Args:
            kind: that has to come.
            codec: as the sender has.
            shapes: [batch, *shape] by name, what has to come.

        Raises:
            PayloadError: something else came, or it is corrupt.
            OSError: the other end is gone, or silent for too long.
        """
        num_items = sum(shape[0] for shape in shapes.values())
        # The codec knows how much it sends for a shape, so that the limit is known before the length is read.
        num_bytes = sum(shape[0] * codec.size(Spec(shape[1:])).upper / 8 for shape in shapes.values())
        frame = self._receive(kind, int(num_bytes) + BYTES_PER_ITEM * num_items)
        found = {name: [len(items), *_shape_of(frame, name)] for name, items in frame.strings.items()}
        if found != {name: list(shape) for name, shape in shapes.items()}:
            came = ", ".join(f"{name} {shape}"[:80] for name, shape in sorted(found.items())[:4])
            raise PayloadError(f"stream: {kind} must be tensors of {dict(shapes)}, not of {came or 'none'}")
        return bounded(
            {
                name: codec.decode(Bits(tuple(items), (len(items),)), Spec(shapes[name][1:]))
                for name, items in frame.strings.items()
            }
        )

    def send_file(self, kind: str, tensors: Mapping[str, Tensor]) -> None:
        """Sends named tensors of one type as they are; errors as `send`."""
        self._send(Frame(kind, {"file": [file_of(tensors).numpy().tobytes()]}, {}))

    def receive_file(self, kind: str, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Named tensors of the names and shapes of others; errors as `receive`."""
        frame = self._receive(kind, sum(x.numel() * x.element_size() for x in like.values()))
        if set(frame.strings) != {"file"} or len(frame.strings["file"]) != 1:
            raise PayloadError(f"stream: a frame of {kind} without a file")
        return bounded(tensors_of(frame.strings["file"][0], like))

    def send_words(self, words: Mapping[str, Any]) -> None:
        """Sends plain values: framing, no payload."""
        self._send(Frame(_WORDS, {}, {"words": words}))

    def receive_words(self, within_s: float | None = None) -> dict[str, Any]:
        """Plain values of the other end, of any type and size; errors as `receive`.

        Args:
            within_s: how long to wait, where it is not as long as for any other frame.
        """
        words = self._receive(_WORDS, 0, within_s).words.get("words")
        if not isinstance(words, dict):
            raise PayloadError("stream: a frame without words")
        return words

    def close(self) -> None:
        """Ends the stream; the other end finds it closed."""
        self._stream.close()

    def _send(self, frame: Frame) -> None:
        check_kind(frame.kind, self._allowed)
        content = frame.to_bytes()
        end_s = self._end_s()
        rest = memoryview(LENGTH.pack(len(content)) + content)
        # In pieces: one call of `sendall` on TLS would restart the timeout with every record.
        while rest:
            self._wait_until(end_s)
            rest = rest[self._stream.send(rest[: 1 << 20]) :]
        self.num_bits_sent += 8 * frame.num_payload_bytes
        self.num_bytes_sent += LENGTH.size + len(content)
        self.framing_bytes_sent += LENGTH.size + len(content) - frame.num_payload_bytes

    def _receive(self, kind: str, most_bytes: int, within_s: float | None = None) -> Frame:
        end_s = self._end_s() if within_s is None else time.monotonic() + within_s
        (length,) = LENGTH.unpack(self._exactly(LENGTH.size, end_s))
        most = min(LARGEST_BYTES, most_bytes + FRAMING_BYTES)
        if length > most:
            raise PayloadError(f"stream: a frame of {length} bytes; {most} at most are expected")
        frame = Frame.of_bytes(self._exactly(length, end_s))
        if frame.kind != kind or kind not in self._allowed:
            raise PayloadError(f"stream: {shorten(frame.kind)} came in the place of {kind!r}")
        self.num_bits_received += 8 * frame.num_payload_bytes
        self.num_bytes_received += LENGTH.size + length
        return frame

    def _exactly(self, length: int, end_s: float) -> bytes:
        received = bytearray()
        while len(received) < length:
            self._wait_until(end_s)
            # Memory grows with what has really come, not with what was promised.
            part = self._stream.recv(min(length - len(received), 1 << 20))
            if not part:
                raise ConnectionError("the other end has closed the stream")
            received += part
        return bytes(received)

    def _end_s(self) -> float:
        return math.inf if self._timeout_s is None else time.monotonic() + self._timeout_s

    def _wait_until(self, end_s: float) -> None:
        """Leaves the socket what is left of a frame's time: who sends a byte now and then does not get more of it."""
        if end_s < math.inf:
            if (left_s := end_s - time.monotonic()) <= 0.0:
                raise TimeoutError("a frame takes too long")
            self._stream.settimeout(left_s)


def _shape_of(frame: Frame, name: str) -> list[Any]:
    """The shape of one item that a frame claims, whatever it is."""
    shapes = frame.words.get("shapes")
    shape = shapes.get(name) if isinstance(shapes, dict) else None
    # Compared by type as well: True equals 1, and 12.0 equals 12.
    return shape if isinstance(shape, list) and all(type(n) is int for n in shape) else [None]


def _strings(payload: Bits) -> list[bytes]:
    if not isinstance(payload, Bits):
        raise PayloadError("codec: a stream carries bits; choose a codec of bits")
    return [string or b"" for string in payload.strings]
