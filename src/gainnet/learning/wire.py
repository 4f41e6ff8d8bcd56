"""One end of a stream between a device and an edge: frames of safetensors, of known kinds and bounded length.

frame = length (4 bytes, big endian) | safetensors file: header with kind, names, shapes and lengths | payload
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor

from gainnet.codecs.codec import AnyCodec
from gainnet.core.errors import PayloadError
from gainnet.core.types import Bits, Spec
from gainnet.learning.exchange import file_of, tensors_of
from gainnet.learning.payloads import check_kind, from_bytes

LENGTH = struct.Struct("!I")
LARGEST_BYTES = 1 << 30
"""Of a frame; a longer one is refused before memory is taken for it."""

_WORDS = "metrics"
"""Kind of a frame that holds no tensor of a model: what both sides have to know about the steps that follow."""


@final
class Wire:
    """Sends and receives payloads over a socket, and counts them.

    Payload is what a codec makes of a tensor: the same bits that a round on the air books. Framing is the rest of what
    goes into the socket: four bytes of length and the header of the file, about 150 bytes per frame.

    Args:
        stream: connected; with TLS or without.
        allowed: kinds of payload that may cross, in either direction.
    """

    def __init__(self, stream: socket.socket, allowed: frozenset[str]) -> None:
        self._stream, self._allowed = stream, allowed
        self.num_bits_sent, self.num_bits_received = 0, 0
        self.num_bytes_sent, self.num_bytes_received = 0, 0
        self.framing_bytes_sent, self.framing_bytes_received = 0, 0

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
        encoded = {name: _strings(codec.encode(x, _no_limit(x))) for name, x in tensors.items()}
        shapes = {name: list(x.shape[1:]) for name, x in tensors.items()}
        self._send(kind, encoded, {"shapes": shapes})

    def receive(self, kind: str, codec: AnyCodec) -> dict[str, Tensor]:
        """The tensors of the next frame, as the codec decodes them.

        Args:
            kind: that has to come.
            codec: as the sender has.

        Raises:
            PayloadError: something else came, or it is corrupt.
            OSError: the other end is gone, or silent for too long.
        """
        strings, told = self._receive(kind)
        try:
            shapes = {name: tuple(int(n) for n in told["shapes"][name]) for name in strings}
        except (KeyError, TypeError, ValueError):
            raise PayloadError(f"stream: a frame of {kind} without shapes") from None
        return {
            name: codec.decode(Bits(tuple(items), (len(items),)), Spec(shapes[name])) for name, items in strings.items()
        }

    def send_file(self, kind: str, tensors: Mapping[str, Tensor]) -> None:
        """Sends named tensors of one type as they are; errors as `send`."""
        self._send(kind, {"file": [file_of(tensors).numpy().tobytes()]}, {})

    def receive_file(self, kind: str, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Named tensors of the names and shapes of others; errors as `receive`."""
        strings, _ = self._receive(kind)
        if set(strings) != {"file"} or len(strings["file"]) != 1:
            raise PayloadError(f"stream: a frame of {kind} without a file")
        return tensors_of(torch.frombuffer(bytearray(strings["file"][0]), dtype=torch.uint8), like)

    def tell(self, words: Mapping[str, Any]) -> None:
        """Sends plain values: framing, no payload."""
        self._send(_WORDS, {}, {"words": words})

    def told(self) -> dict[str, Any]:
        """Plain values that the other end tells; errors as `receive`."""
        words = self._receive(_WORDS)[1].get("words")
        if not isinstance(words, dict):
            raise PayloadError("stream: a frame without words")
        return words

    def close(self) -> None:
        """Ends the stream; the other end finds it closed."""
        self._stream.close()

    def _send(self, kind: str, strings: Mapping[str, list[bytes]], told: Mapping[str, Any]) -> None:
        check_kind(kind, self._allowed)
        frame = _frame_of(kind, strings, told)
        self._stream.sendall(LENGTH.pack(len(frame)) + frame)
        num_payload = sum(len(item) for items in strings.values() for item in items)
        self.num_bits_sent += 8 * num_payload
        self.num_bytes_sent += LENGTH.size + len(frame)
        self.framing_bytes_sent += LENGTH.size + len(frame) - num_payload

    def _receive(self, kind: str) -> tuple[dict[str, list[bytes]], dict[str, Any]]:
        (length,) = LENGTH.unpack(_exactly(self._stream, LENGTH.size))
        if length > LARGEST_BYTES:
            raise PayloadError(f"stream: a frame of {length} bytes; {LARGEST_BYTES} at most")
        found, strings, told = _parts_of(_exactly(self._stream, length))
        if found != kind or found not in self._allowed:
            raise PayloadError(f"stream: {found!r} came in the place of {kind!r}")
        num_payload = sum(len(item) for items in strings.values() for item in items)
        self.num_bits_received += 8 * num_payload
        self.num_bytes_received += LENGTH.size + length
        self.framing_bytes_received += LENGTH.size + length - num_payload
        return strings, told


def _frame_of(kind: str, strings: Mapping[str, list[bytes]], told: Mapping[str, Any]) -> bytes:
    from safetensors.torch import save

    lengths = {name: [len(item) for item in items] for name, items in strings.items()}
    tensors = {name: torch.frombuffer(bytearray(b"".join(items)), dtype=torch.uint8) for name, items in strings.items()}
    return save(tensors, {"gainnet": json.dumps({"kind": kind, "lengths": lengths, **told})})


def _parts_of(frame: bytes) -> tuple[str, dict[str, list[bytes]], dict[str, Any]]:
    """(kind, strings by name, the rest of what the header tells) of a frame; whatever is odd about it is refused."""
    tensors = from_bytes(torch.frombuffer(bytearray(frame), dtype=torch.uint8))
    try:
        header = json.loads(frame[8 : 8 + int.from_bytes(frame[:8], "little")])
        told = json.loads(header["__metadata__"]["gainnet"])
        kind, lengths = str(told.pop("kind")), dict(told.pop("lengths"))
        strings = {name: _cut(tensors[name], [int(n) for n in lengths[name]]) for name in tensors}
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise PayloadError(f"stream: a frame that is not one of ours ({type(error).__name__})") from None
    return kind, strings, told


def _cut(values: Tensor, lengths: list[int]) -> list[bytes]:
    if values.dtype != torch.uint8 or min(lengths, default=0) < 0:
        raise ValueError("not bytes")
    return [part.numpy().tobytes() for part in values.split(lengths)]


def _strings(payload: Bits) -> list[bytes]:
    if not isinstance(payload, Bits):
        raise PayloadError("codec: a stream carries bits; choose a codec of bits")
    return [string or b"" for string in payload.strings]


def _no_limit(x: Tensor) -> Tensor:
    """[batch], the SNR that a codec is told: a stream loses nothing."""
    return torch.full((x.shape[0],), torch.inf)


def _exactly(stream: socket.socket, length: int) -> bytes:
    received = bytearray()
    while len(received) < length:
        part = stream.recv(min(length - len(received), 1 << 20))
        if not part:
            raise ConnectionError("the other end has closed the stream")
        received += part
    return bytes(received)
