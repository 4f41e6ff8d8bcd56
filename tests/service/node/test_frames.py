"""Frames are the documented bytes, hold what was put in, and refuse whatever else comes."""

from __future__ import annotations

import json
import resource
import struct
from pathlib import Path

import pytest
import torch

from gainnet.core.errors import PayloadError
from gainnet.core.types import Bits, NodeId, Payload, Symbols, Usage
from gainnet.protocols.transmit import Sent
from gainnet.service.node.content import content_frame, sent_of
from gainnet.service.node.frames import HEADER, KINDS, MOST_BYTES, Frame, lengths_of
from gainnet.studies.serving_faults.malformed import malformed, refusal

GOLDEN = Path(__file__).parent / "golden_frames.json"
USAGE = Usage(136, 512.0, 1, 0.000512, 0.004, 0.1, 0.05, False, (0.25, 1 / 3))
EDGE, DEVICE = NodeId("edge"), NodeId("device")


def symbols(dtype: torch.dtype = torch.complex64, snr: bool = True) -> Symbols:
    values = torch.arange(12, dtype=torch.float32).reshape(2, 6).to(dtype) * (1 - 2j)
    reported = torch.tensor([torch.inf, 3.5]) if snr else None
    return Symbols(values, values.conj().resolve_conj() / 3, values.real.square(), reported)


PAYLOADS = {
    "bits": Bits((b"a seed", None, b"", b"\x00\xff"), (2, 2)),
    "nothing": Bits((None, None), (2,)),
    "symbols": symbols(),
    "wide": symbols(torch.complex128, snr=False),
}


def content(payload: Payload) -> Frame:
    return content_frame("a-1", 4, EDGE, DEVICE, "latent", Sent(payload, USAGE))


@pytest.mark.parametrize("name", PAYLOADS)
def test_a_payload_comes_out_as_it_went_in(name: str) -> None:
    sent = sent_of(Frame.of_bytes(content(PAYLOADS[name]).to_bytes()))
    assert sent is not None
    assert sent.usage == USAGE
    expected, found = PAYLOADS[name], sent.payload
    if isinstance(expected, Bits):
        assert found == expected
        return
    assert isinstance(found, Symbols)
    for x, y in zip(vars(expected).values(), vars(found).values(), strict=True):
        assert (x is None and y is None) or (x.dtype == y.dtype and torch.equal(x, y))


def test_a_tensor_that_never_came_is_said() -> None:
    frame = content_frame("a", 0, DEVICE, EDGE, "prompt", None)
    assert sent_of(Frame.of_bytes(frame.to_bytes())) is None


def test_frames_are_the_documented_bytes() -> None:
    golden = json.loads(GOLDEN.read_text())
    assert {entry["kind"] for entry in golden} == set(KINDS)
    for entry in golden:
        frame = Frame(entry["kind"], entry["head"], bytes.fromhex(entry["body"]))
        assert frame.to_bytes().hex() == entry["frame"]
        assert Frame.of_bytes(bytes.fromhex(entry["frame"])) == frame


def test_the_header_is_laid_out_as_documented() -> None:
    octets = content(PAYLOADS["bits"]).to_bytes()
    assert octets[:8] == b"gnet\x01\x05\x00\x00"
    num_head, num_body = struct.unpack("<II", octets[8:16])
    assert num_head % 8 == 0
    assert len(octets) == 16 + num_head + num_body
    assert json.loads(octets[16 : 16 + num_head])["source"] == "edge"
    assert lengths_of(octets[: HEADER.size]) == ("content", num_head, num_body)


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b[:15],
        lambda b: b + b"x",
        lambda b: b"gnat" + b[4:],
        lambda b: b[:4] + b"\x02" + b[5:],
        lambda b: b[:5] + b"\x0a" + b[6:],
        lambda b: b[:6] + b"\x01" + b[7:],
        lambda b: b[:8] + struct.pack("<II", 8, MOST_BYTES) + b[16:],
        lambda b: HEADER.pack(b"gnet", 1, 9, 0, 8, 0) + b"[]      ",
        lambda b: HEADER.pack(b"gnet", 1, 9, 0, 16, 0) + b'{"x": NaN}      ',
        lambda b: HEADER.pack(b"gnet", 1, 9, 0, 8, 0) + b'{"x": 1e',
    ],
)
def test_what_is_no_frame_is_refused(damage: object) -> None:
    with pytest.raises(PayloadError):
        Frame.of_bytes(damage(content(PAYLOADS["bits"]).to_bytes()))  # type: ignore[operator]


def refused(num_frames: int, random_seed: int) -> int:
    """How many malformed frames are refused, in a line each; whatever is raised else passes through."""
    lines = [line for octets in malformed(num_frames, random_seed) if (line := refusal(octets)) is not None]
    assert all("\n" not in line and len(line) < 400 for line in lines)
    return len(lines)


def test_thousands_of_malformed_frames_raise_one_error() -> None:
    assert refused(4_000, 1) > 3_000


@pytest.mark.slow
def test_a_million_malformed_frames_take_no_memory() -> None:
    refused(20_000, 2)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for part in range(50):
        refused(20_000, 3 + part)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 50_000  # KiB
