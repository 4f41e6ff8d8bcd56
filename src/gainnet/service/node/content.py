"""Payloads as frames of content, and back: strings of bits, or symbols with gain and noise variance.

bits     strings [num_bytes] uint8, one after the other; head: lengths, null where an item did not arrive
symbols  values, gain [*batch, num_symbols, 2] (real, imaginary); noise_variance [*batch, num_symbols]; reported_snr
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from itertools import accumulate, pairwise
from typing import Any, Final

import torch
from torch import Tensor

from gainnet.core.errors import PayloadError
from gainnet.core.outside import read_integer, read_list, read_text, reading
from gainnet.core.types import Bits, NodeId, Symbols, Usage
from gainnet.protocols.transmit import Sent
from gainnet.protocols.walk import Failure
from gainnet.service.node.frames import MOST_BYTES, Frame

MOST_ITEMS: Final = 64
"""Of a batch."""
MOST_STEPS: Final = 1 << 20
MOST_DEATHS: Final = 64
_MOST_DIMENSIONS: Final = 4
_FLOATS: Final = (torch.float32, torch.float64)


def content_frame(
    request: str,
    index: int,
    source: NodeId,
    target: NodeId,
    tensor: str,
    sent: Sent | None,
    under: Sequence[Failure] = (),
) -> Frame:
    """A transfer as a frame.

    Args:
        request: id of the request.
        index: of the step, counted over the plan and its fallbacks.
        source: node that sent it.
        target: node that receives it.
        tensor: its name at the source.
        sent: as it arrives; `None` when the source never had it.
        under: failures that the nodes have agreed on.
    """
    head: dict[str, Any] = {"request": request, "index": index, "source": source, "target": target, "tensor": tensor}
    if under:
        head["under"] = [list(each) for each in under]
    if sent is None:
        return Frame("content", head | {"payload": "none"})
    head |= {"batch": list(sent.payload.batch), "usage": usage_to_json(sent.usage)}
    if isinstance(sent.payload, Bits):
        strings = sent.payload.strings
        head |= {"payload": "bits", "lengths": [None if string is None else len(string) for string in strings]}
        joined = b"".join(string or b"" for string in strings)
        # torch makes no tensor of an empty buffer.
        octets = {"strings": torch.frombuffer(bytearray(joined), dtype=torch.uint8)} if joined else {}
        return Frame.of("content", head, octets)
    return Frame.of("content", head | {"payload": "symbols"}, _tensors_of(sent.payload))


def sent_of(frame: Frame) -> Sent | None:
    """The inverse of `content_frame`.

    Raises:
        PayloadError: the frame holds no payload.
    """
    form = frame.head.get("payload")
    if form == "none":
        return None
    with reading("content"):
        batch = tuple(
            read_integer(n, "batch", 0, MOST_ITEMS) for n in read_list(frame.head["batch"], "batch", _MOST_DIMENSIONS)
        )
        usage = usage_of_json(frame.head["usage"], math.prod(batch))
        if form == "bits":
            return Sent(Bits(_strings(frame), batch), usage)
        if form == "symbols":
            return Sent(_symbols(frame.tensors(), batch), usage)
    raise PayloadError("content: its payload must be bits, symbols or none")


def read_failures(found: object) -> tuple[Failure, ...]:
    """Deaths as a peer states them.

    Args:
        found: list of pairs (node, index of the step).

    Raises:
        PayloadError: it is no such list.

    >>> read_failures([["edge_2", 7]])
    (('edge_2', 7),)
    """
    with reading("failures"):
        pairs = [read_list(pair, "failures", 2) for pair in read_list(found, "failures", MOST_DEATHS)]
        return tuple(
            (NodeId(read_text(node, "failures", 64)), read_integer(index, "failures", 0, MOST_STEPS))
            for node, index in pairs
        )


def read_index(found: object) -> int:
    """The index of a step, counted over a plan and its fallbacks; raises `PayloadError` when it is none."""
    return read_integer(found, "index", 0, MOST_STEPS)


def usage_to_json(usage: Usage) -> dict[str, Any]:
    """A usage as plain values of JSON, which Python and JavaScript read back to the same numbers."""
    return asdict(usage)


def usage_of_json(found: object, num_items: int) -> Usage:
    """The usage that a peer states.

    Args:
        found: of `usage_to_json`.
        num_items: of the batch.

    Raises:
        PayloadError: a number is missing, negative or not finite.
    """
    if not isinstance(found, dict):
        raise PayloadError("usage: it must have exactly the fields of a usage")
    with reading("usage"):
        names = [field.name for field in fields(Usage) if field.name not in ("delivered", "item_s", "has_uses")]
        numbers = {name: _amount(found[name]) for name in names}
        item_s = tuple(_amount(x) for x in read_list(found["item_s"], "item_s", num_items))
        delivered, has_uses = found["delivered"], found["has_uses"]
        if {type(delivered), type(has_uses)} != {bool} or len(found) != len(numbers) + 3:
            raise PayloadError("usage: it must have exactly the fields of a usage")
        return Usage(**numbers, delivered=delivered, item_s=item_s, has_uses=has_uses)


def _amount(value: object) -> float:
    if type(value) not in (int, float) or not 0.0 <= value < math.inf:  # type: ignore[operator]
        raise PayloadError("usage: its numbers must be finite and not negative")
    return value  # type: ignore[return-value]


def _strings(frame: Frame) -> tuple[bytes | None, ...]:
    lengths = read_list(frame.head["lengths"], "lengths", MOST_ITEMS)
    sizes = [0 if n is None else read_integer(n, "lengths", 0, MOST_BYTES) for n in lengths]
    octets = frame.tensors().get("strings", torch.empty(0, dtype=torch.uint8))
    if octets.dtype != torch.uint8 or octets.dim() != 1 or len(octets) != sum(sizes):
        raise PayloadError(f"content: {octets.numel()} bytes in the place of {sum(sizes)}")
    content = octets.numpy().tobytes()
    cuts = pairwise(accumulate(sizes, initial=0))
    return tuple(None if n is None else content[a:b] for n, (a, b) in zip(lengths, cuts, strict=True))


def _tensors_of(symbols: Symbols) -> dict[str, Tensor]:
    # A browser reads no complex numbers of safetensors files: real and imaginary part stand side by side. Copies,
    # since a channel may hand out one tensor twice, and a file holds none twice.
    pairs = {"values": symbols.values, "gain": symbols.gain}
    tensors = {name: torch.view_as_real(x.resolve_conj()).clone() for name, x in pairs.items()}
    tensors["noise_variance"] = symbols.noise_variance.clone()
    return tensors if symbols.reported_snr is None else tensors | {"reported_snr": symbols.reported_snr.clone()}


def _symbols(tensors: Mapping[str, Tensor], batch: tuple[int, ...]) -> Symbols:
    values, noise = tensors["values"], tensors["noise_variance"]
    shape, snr = (*batch, values.shape[-2]), tensors.get("reported_snr")
    shapes = {"values": (*shape, 2), "gain": (*shape, 2), "noise_variance": shape, "reported_snr": batch}
    for name, x in tensors.items():
        if x.dtype not in _FLOATS or tuple(x.shape) != shapes[name] or bool(x.isnan().any()):
            raise PayloadError(f"content: {name} must be numbers of shape {shapes[name]}")
    # Values and gain meet in products; noise is added to |gain|^2. Infinite is the reported SNR of an ideal air alone.
    if not all(bool(tensors[name].isfinite().all()) for name in ("values", "gain", "noise_variance")):
        raise PayloadError("content: values, gain and noise variance must be finite")
    return Symbols(torch.view_as_complex(values), torch.view_as_complex(tensors["gain"]), noise, snr)
