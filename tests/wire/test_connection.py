"""Frames come through whole and counted, and whatever else comes is refused before memory is taken for it."""

from __future__ import annotations

import json
import math
import socket
import struct
import time
from typing import Any

import pytest
import torch

from gainnet.codecs import ACTIVATION_CODECS
from gainnet.codecs.raw import Float32
from gainnet.core.errors import PayloadError
from gainnet.wire.connection import FRAMING_BYTES, LENGTH, Connection
from gainnet.wire.frames import LARGEST_VALUE, bounded

KINDS = frozenset({"activations", "weights", "metrics"})
SHAPES = {"hidden": (1, 8)}


def pair(timeout_s: float | None = 10.0) -> tuple[Connection, socket.socket]:
    ours, theirs = socket.socketpair()
    ours.settimeout(timeout_s)
    return Connection(ours, KINDS), theirs


def frame(lengths: str, shape: str, num_bytes: int, kind: str = "activations", name: str = "hidden") -> bytes:
    """A frame whose numbers are raw JSON text, so that Infinity and 1e400 can stand in it."""
    words = f'{{"kind": "{kind}", "lengths": {{"{name}": {lengths}}}, "shapes": {{"{name}": {shape}}}}}'
    tensor = {"dtype": "U8", "shape": [num_bytes], "data_offsets": [0, num_bytes]}
    header = json.dumps({"__metadata__": {"gainnet": words}, name: tensor}).encode()
    header += b" " * (-len(header) % 8)
    body = struct.pack("<Q", len(header)) + header + bytes(num_bytes)
    return LENGTH.pack(len(body)) + body


ODD = {
    "lengths Infinity": ("[Infinity]", "[8]", 12),
    "lengths 1e400": ("[1e400]", "[8]", 12),
    "lengths NaN": ("[NaN]", "[8]", 12),
    "lengths 10**30": (f"[{10**30}]", "[8]", 12),
    "lengths of 5,000 digits": (f"[{'9' * 5000}]", "[8]", 12),
    "lengths true": ("[true]", "[8]", 1),
    "lengths -1": ("[-1, 13]", "[8]", 12),
    "lengths deep": ("[" * 3000 + "]" * 3000, "[8]", 12),
    "shape Infinity": ("[12]", "[Infinity]", 12),
    "shape 2**62": ("[12]", f"[{2**62}]", 12),
    "shape 3 x (2**63 - 1)": ("[12]", f"[3, {2**63 - 1}]", 12),
    "shape 10**308": ("[12]", "[3, 1e308]", 12),
    "shape -1": ("[12]", "[-1, 8]", 12),
    "shape -1, -1": ("[12]", "[-1, -1]", 12),
    "shape 3 x 2**32": ("[12]", f"[3, {2**32}]", 12),
    "shape 0": ("[12]", "[0]", 12),
    "shape 8 x 0": ("[0]", "[8, 0]", 0),
    "shape 0 x 8": ("[0]", "[0, 8]", 0),
    "shape []": ("[12]", "[]", 12),
    "shape true": ("[12]", "[true, 8]", 12),
    "shape 8.0": ("[12]", "[8.0]", 12),
    "no items": ("[]", "[8]", 0),
}


@pytest.mark.parametrize("codec", sorted(ACTIVATION_CODECS))
@pytest.mark.parametrize("label", sorted(ODD))
def test_frames_with_odd_numbers_are_refused(label: str, codec: str) -> None:
    ours, theirs = pair()
    with theirs:
        theirs.sendall(frame(*ODD[label]))
        with pytest.raises(PayloadError):
            ours.receive("activations", ACTIVATION_CODECS[codec](), SHAPES)
        ours.close()


@pytest.mark.parametrize(
    "content",
    [LENGTH.pack(0), LENGTH.pack(8) + bytes(8), LENGTH.pack(1 << 31), frame("[0]", "[]", 0, "weights", "file")],
    ids=["empty frame", "zeros", "2 GiB", "empty file"],
)
def test_empty_and_endless_files_are_refused(content: bytes) -> None:
    ours, theirs = pair()
    with theirs:
        theirs.sendall(content)
        with pytest.raises(PayloadError):
            ours.receive_file("weights", {"x": torch.zeros(3)})
        ours.close()


def test_no_memory_is_taken_for_more_than_is_expected() -> None:
    ours, theirs = pair()
    with theirs:
        theirs.sendall(LENGTH.pack(2 * FRAMING_BYTES))
        with pytest.raises(PayloadError, match=f"{2 * FRAMING_BYTES} bytes; .* at most"):
            ours.receive("activations", Float32(), SHAPES)
        ours.close()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e30, 2 * LARGEST_VALUE])
def test_values_that_would_ruin_a_model_are_refused(value: float) -> None:
    ours, theirs = pair()
    other = Connection(theirs, KINDS)
    other.send_file("weights", {"x": torch.tensor([0.0, value])})
    with pytest.raises(PayloadError, match="not finite or above"):
        ours.receive_file("weights", {"x": torch.zeros(2)})
    with pytest.raises(PayloadError, match="not finite or above"):
        bounded({"x": torch.tensor([value])})
    ours.close()
    other.close()


@pytest.mark.parametrize("words", [[], 5, None, "x"])
def test_words_are_named_values(words: Any) -> None:
    ours, theirs = pair()
    other = Connection(theirs, KINDS)
    other.send_words(words)
    with pytest.raises(PayloadError, match="without words"):
        ours.receive_words()
    ours.close()
    other.close()


def test_a_frame_that_drips_is_cut_off_in_time() -> None:
    ours, theirs = pair(0.5)
    with theirs:
        theirs.sendall(LENGTH.pack(100) + b"x")
        begin_s = time.monotonic()
        theirs.settimeout(1.0)
        with pytest.raises(OSError):  # noqa: PT011
            ours.receive_words()
        assert time.monotonic() - begin_s < 5.0
        ours.close()
