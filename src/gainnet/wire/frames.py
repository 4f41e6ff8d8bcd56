"""Named tensors as safetensors files, and frames: byte strings of named tensors with a header of plain values.

frame = safetensors file: { header: kind, lengths, words | name: the strings of all items, one after the other }
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import safetensors
import torch
from safetensors.torch import load, save
from torch import Tensor

from gainnet.core.errors import PayloadError, PlanError
from gainnet.core.outside import read_integer, read_json, read_list, read_text, reading

LARGEST_VALUE = 1e6
"""Magnitude that no weight, activation or gradient of a model at work comes near; assumed."""


def to_bytes(tensors: Mapping[str, Tensor]) -> Tensor:
    """[num_bytes] uint8, named tensors as a safetensors file: header with names and shapes, then the values.

    >>> to_bytes({"a": torch.zeros(3)}).dtype
    torch.uint8
    """
    content = save({name: x.detach().contiguous() for name, x in tensors.items()})
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)


def from_bytes(content: Tensor | bytes) -> dict[str, Tensor]:
    """The tensors of a safetensors file of [num_bytes] uint8.

    Raises:
        PayloadError: it is no such file.

    >>> from_bytes(to_bytes({"a": torch.ones(2)}))
    {'a': tensor([1., 1.])}
    """
    try:
        with reading("payload"):
            return load(content if isinstance(content, bytes) else content.numpy().tobytes())
    except safetensors.SafetensorError as error:
        raise PayloadError(f"payload: not a safetensors file ({error})") from None


def file_of(tensors: Mapping[str, Tensor]) -> Tensor:
    """[num_bytes] uint8, tensors of one type as a safetensors file of all values in the order of the names.

    >>> file_of({"b": torch.ones(1), "a": torch.zeros(2)}).dtype
    torch.uint8
    """
    # One tensor in the place of many: the header stays short, and its length does not depend on the names.
    return to_bytes({"values": torch.cat([tensors[name].reshape(-1) for name in sorted(tensors)])})


def tensors_of(content: Tensor | bytes, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a file of `file_of`.

    Args:
        content: [num_bytes] uint8.
        like: tensors of the names and shapes that are expected.

    Raises:
        PayloadError: it is no such file, or holds other values.

    >>> tensors_of(file_of({"a": torch.ones(2)}), {"a": torch.zeros(2)})
    {'a': tensor([1., 1.])}
    """
    found = from_bytes(content)
    values, num_values = found.get("values", torch.empty(0)), sum(x.numel() for x in like.values())
    # The type may be another one than expected, as float16 for float32, but not integers for floats.
    same_kind = values.is_floating_point() == all(x.is_floating_point() for x in like.values())
    if set(found) != {"values"} or values.shape != (num_values,) or not same_kind:
        raise PayloadError(f"payload: {tuple(values.shape)} values of {values.dtype} in the place of {num_values}")
    names = sorted(like)
    parts = values.split([like[name].numel() for name in names])
    return {name: part.reshape(like[name].shape) for name, part in zip(names, parts, strict=True)}


def bounded(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of another party, whose values may enter a model.

    One value that is not finite, or so large that a product of it is not, makes a whole model useless, and an average
    hands it to everybody.

    Raises:
        PayloadError: a floating-point value is not finite, or above `LARGEST_VALUE` in magnitude.

    >>> bounded({"a": torch.tensor([1e30])})
    Traceback (most recent call last):
    gainnet.core.errors.PayloadError: a: holds a value that is not finite or above 1e+06 in magnitude
    """
    for name, x in tensors.items():
        # A comparison with NaN is false, so that one test finds all three.
        if x.is_floating_point() and not bool((x.abs() <= LARGEST_VALUE).all()):
            raise PayloadError(f"{name}: holds a value that is not finite or above {LARGEST_VALUE:g} in magnitude")
    return dict(tensors)


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

    >>> frame = Frame("activations", {"x": [b"four", b"six by"]}, {"step": 3})
    >>> frame.num_payload_bytes
    10
    >>> Frame.of_bytes(frame.to_bytes()) == frame
    True
    >>> Frame.of_bytes(b"GET / HTTP/1.1")
    Traceback (most recent call last):
    gainnet.core.errors.PayloadError: payload: not a safetensors file (...
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

    >>> check_kind("labels", frozenset({"activations", "gradients"}))
    Traceback (most recent call last):
    gainnet.core.errors.PlanError: payload: 'labels' may not cross a link here; only activations, ...
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
