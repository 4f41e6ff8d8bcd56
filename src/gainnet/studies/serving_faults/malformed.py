"""Frames that are nearly right: good ones with bytes changed, cut off, doubled, or a body that fits no head."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from gainnet.core.errors import PayloadError
from gainnet.core.types import Bits, NodeId, Payload, Symbols, Usage
from gainnet.protocols.transmit import Sent
from gainnet.service.node.content import content_frame, sent_of
from gainnet.service.node.frames import KINDS, Frame

_USAGE = Usage(136, 512.0, 1, 0.000512, 0.004, 0.1, 0.05, False, (0.25, 1 / 3))


def good_frames() -> list[bytes]:
    """Frames of content with bits and with symbols."""
    values = torch.complex(torch.arange(12.0), torch.ones(12)).reshape(2, 6)
    payloads: list[Payload] = [
        Bits((b"a seed", None), (2,)),
        Symbols(values, values, values.real.square(), torch.tensor([torch.inf, 3.5])),
    ]
    edge, device = NodeId("edge"), NodeId("device")
    return [content_frame("a-1", 4, edge, device, "latent", Sent(each, _USAGE)).to_bytes() for each in payloads]


def malformed(num_frames: int, random_seed: int) -> Iterator[bytes]:
    """Frames, most of which are none.

    Args:
        num_frames: how many.
        random_seed: of what is changed.
    """
    random, good = np.random.default_rng(random_seed), good_frames()
    for _ in range(num_frames):
        octets = bytearray(good[random.integers(len(good))])
        match random.integers(4):
            case 0:  # bytes anywhere
                for place in random.integers(len(octets), size=random.integers(1, 6)):
                    octets[place] = random.integers(256)
            case 1:  # the end is missing, or the beginning comes twice
                octets = octets[: random.integers(len(octets))] * int(random.integers(1, 3))
            case 2:  # digits of the head: lengths, batch, usage
                digits = [k for k, octet in enumerate(octets) if 48 <= octet < 58]
                for place in random.choice(digits, size=3):
                    octets[place] = random.choice(list(b'0123456789-"[{'))
            case _:  # another kind, with a body that is no file
                kind = KINDS[random.integers(len(KINDS))]
                octets = bytearray(Frame(kind, {"payload": "symbols", "batch": [1]}, bytes(octets[16:])).to_bytes())
        yield bytes(octets)


def refusal(octets: bytes) -> str | None:
    """The line with which the parser refuses a frame; `None` where it takes it. Anything but a refusal is raised."""
    try:
        sent_of(Frame.of_bytes(octets))
    except PayloadError as error:
        return str(error)
    return None
