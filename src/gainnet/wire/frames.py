"""Frames: byte strings of named tensors, with a header of plain values, as one safetensors file.

frame = safetensors file: { header: kind, lengths, words | name: the strings of all items, one after the other }
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from gainnet.core.errors import PayloadError, PlanError
from gainnet.core.outside import read_integer, read_json, read_list, read_text, reading
from gainnet.wire.files import from_bytes

LARGEST_BYTES = 1 << 30
"""Of a frame; a longer one is refused before memory is taken for it."""

_HEADER_LENGTH_BYTES = 8


@final
@dataclass(frozen=True)
class Frame:
    """One message: byte strings by name, and plain values.

    Args:
        kind: of payload, for example `activations`.
        strings: one byte string per item, by name of the tensor.
        words: plain values of JSON.
    """

    kind: str
    strings: Mapping[str, list[bytes]]
    words: Mapping[str, Any]

    @property
    def num_payload_bytes(self) -> int:
        """Bytes of all strings; the rest of a frame is framing."""
        return sum(len(item) for items in self.strings.values() for item in items)

    def to_bytes(self) -> bytes:
        """The frame as a safetensors file."""
        from safetensors.torch import save

        lengths = {name: [len(item) for item in items] for name, items in self.strings.items()}
        tensors = {name: _octets(b"".join(items)) for name, items in self.strings.items()}
        return save(tensors, {"gainnet": json.dumps({"kind": self.kind, "lengths": lengths, **self.words})})

    @staticmethod
    def of_bytes(content: bytes) -> Frame:
        """The inverse of `to_bytes`.

        Raises:
            PayloadError: the content is no frame.

        >>> Frame.of_bytes(Frame("labels", {"x": [b"ab", b""]}, {"n": 1}).to_bytes())
        Frame(kind='labels', strings={'x': [b'ab', b'']}, words={'n': 1})
        """
        tensors = from_bytes(content)
        with reading("frame"):
            # safetensors does not hand out the metadata of a file in memory: its header is read once more.
            stop = _HEADER_LENGTH_BYTES + int.from_bytes(content[:_HEADER_LENGTH_BYTES], "little")
            words = read_json(
                read_json(content[_HEADER_LENGTH_BYTES:stop], "frame")["__metadata__"]["gainnet"], "frame"
            )
            kind, lengths = read_text(words.pop("kind"), "kind", 64), words.pop("lengths")
            strings = {name: _cut(tensors[name], lengths[name]) for name in tensors}
        return Frame(kind, strings, words)


def check_kind(kind: str, allowed: frozenset[str]) -> None:
    """Raises `PlanError` unless payloads of this kind may cross.

    >>> check_kind("gradients", frozenset({"gradients"}))
    """
    if kind not in allowed:
        raise PlanError(f"payload: {kind!r} may not cross a link here; only {', '.join(sorted(allowed))} may")


def _octets(content: bytes) -> Tensor:
    return torch.frombuffer(bytearray(content), dtype=torch.uint8) if content else torch.empty(0, dtype=torch.uint8)


def _cut(values: Tensor, lengths: object) -> list[bytes]:
    """The strings that stand one after the other in [num_bytes] uint8."""
    sizes = [read_integer(n, "lengths", 0, LARGEST_BYTES) for n in read_list(lengths, "lengths", 1 << 20)]
    if values.dtype != torch.uint8 or values.dim() != 1 or sum(sizes) != len(values):
        raise PayloadError(f"lengths: their sum must be the {values.numel()} bytes that follow")
    content, starts = values.numpy().tobytes(), [0]
    for size in sizes:
        starts.append(starts[-1] + size)
    return [content[start:stop] for start, stop in itertools.pairwise(starts)]
