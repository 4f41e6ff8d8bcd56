"""Frames of the device protocol: the same bytes on a WebSocket and between edges.

    0   4   magic, "gnet"
    4   1   version, 1
    5   1   kind, 1 to 9 in the order of `KINDS`
    6   2   zeros
    8   4   h, length of the head, a multiple of 8
    12  4   b, length of the body
    16  h   head: a JSON object in UTF-8, filled up with spaces
    ..  b   body: a safetensors file, or nothing

All numbers are little-endian. A head is a multiple of 8 bytes, so that the body of a WebSocket message is aligned.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, final, get_args

from torch import Tensor

from gainnet.core.errors import GainnetError, PayloadError
from gainnet.core.outside import reading
from gainnet.wire import from_bytes, to_bytes

Kind = Literal["hello", "request", "accepted", "progress", "content", "report", "failure", "error", "bye"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

MAGIC: Final = b"gnet"
VERSION: Final = 1
HEADER: Final = struct.Struct("<4sBBHII")
MOST_HEAD_BYTES: Final = 1 << 20
MOST_BYTES: Final = 1 << 26
"""Of a whole frame; a longer one is refused before memory is taken for it."""

_ALIGNMENT: Final = 8


@final
@dataclass(frozen=True)
class Frame:
    """One message of the device protocol.

    Args:
        kind: what it is.
        head: plain values of JSON.
        body: a safetensors file; empty where no tensor goes along.

    >>> Frame.of_bytes(Frame("bye", {"request": "a"}).to_bytes())
    Frame(kind='bye', head={'request': 'a'}, body=b'')
    """

    kind: Kind
    head: Mapping[str, Any] = field(default_factory=dict)
    body: bytes = b""

    def to_bytes(self) -> bytes:
        """The frame as it goes over a WebSocket or a stream."""
        # Infinity and NaN are no JSON; a browser could not read the frame.
        head = json.dumps(self.head, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
        head += b" " * (-len(head) % _ALIGNMENT)
        number = KINDS.index(self.kind) + 1
        return HEADER.pack(MAGIC, VERSION, number, 0, len(head), len(self.body)) + head + self.body

    @staticmethod
    def of_bytes(content: bytes) -> Frame:
        """The inverse of `to_bytes`.

        Raises:
            PayloadError: the content is no frame, or one of another version.
        """
        kind, num_head, num_body = lengths_of(content[: HEADER.size])
        if len(content) != HEADER.size + num_head + num_body:
            raise PayloadError(f"frame: {len(content)} bytes in the place of {HEADER.size + num_head + num_body}")
        stop = HEADER.size + num_head
        with reading("frame"):
            head = json.loads(content[HEADER.size : stop], parse_constant=_no_constant)
        if not isinstance(head, dict):
            raise PayloadError("frame: its head is no JSON object; send {...}")
        return Frame(kind, head, content[stop:])

    @staticmethod
    def of(kind: Kind, head: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Frame:
        """A frame with tensors by name, [...] each.

        >>> import torch
        >>> Frame.of("content", {}, {"x": torch.ones(2)}).tensors()
        {'x': tensor([1., 1.])}
        """
        return Frame(kind, head, to_bytes(tensors).numpy().tobytes() if tensors else b"")

    def tensors(self) -> dict[str, Tensor]:
        """The tensors of the body by name; raises `PayloadError` when it is no safetensors file."""
        return from_bytes(self.body) if self.body else {}


def lengths_of(header: bytes) -> tuple[Kind, int, int]:
    """Kind, length of the head and length of the body that the first 16 bytes of a frame state.

    Raises:
        PayloadError: they begin no frame of this version, or one that is too long.

    >>> lengths_of(Frame("hello").to_bytes()[:16])
    ('hello', 8, 0)
    """
    if len(header) != HEADER.size:
        raise PayloadError(f"frame: it has {len(header)} bytes; must have at least {HEADER.size}")
    magic, version, number, zeros, num_head, num_body = HEADER.unpack(header)
    if magic != MAGIC or zeros:
        raise PayloadError("frame: it does not begin as one; send frames of the device protocol")
    if version != VERSION:
        raise PayloadError(f"frame: version {version} is not spoken here; use version {VERSION}")
    if not 1 <= number <= len(KINDS):
        raise PayloadError(f"frame: kind {number} is unknown; use 1 to {len(KINDS)}")
    if num_head % _ALIGNMENT or num_head > MOST_HEAD_BYTES or HEADER.size + num_head + num_body > MOST_BYTES:
        raise PayloadError(f"frame: head of {num_head} and body of {num_body} bytes; send at most {MOST_BYTES} bytes")
    return KINDS[number - 1], num_head, num_body


def error_frame(error: GainnetError, request: object = None) -> Frame:
    """A frame that says what is wrong, and when to come again where the error knows.

    Args:
        error: that is told.
        request: its id, where it is about one.

    >>> error_frame(PayloadError("frame: it is odd"), "a-1").head
    {'request': 'a-1', 'message': 'frame: it is odd'}
    """
    retry_after_s = getattr(error, "retry_after_s", None)
    head = {"request": request, "message": str(error), "retry_after_s": retry_after_s}
    return Frame("error", {name: value for name, value in head.items() if value is not None})


def body_of(content: bytes) -> memoryview:
    """The body of a frame, without a copy; nothing of what is too short to be one.

    >>> len(body_of(Frame("content", {}, b"12345678").to_bytes()))
    8
    """
    if len(content) < HEADER.size:
        return memoryview(b"")
    return memoryview(content)[HEADER.size + lengths_of(content[: HEADER.size])[1] :]


def split_frames(content: bytes) -> Iterator[bytes]:
    """The frames that stand one after the other; raises `PayloadError` where one does not begin as a frame.

    >>> [len(octets) for octets in split_frames(2 * Frame("bye").to_bytes())]
    [24, 24]
    """
    start = 0
    while start < len(content):
        _, num_head, num_body = lengths_of(content[start : start + HEADER.size])
        stop = start + HEADER.size + num_head + num_body
        yield content[start:stop]
        start = stop


def _no_constant(text: str) -> None:
    raise PayloadError(f"frame: {text} is no JSON; send finite numbers")
