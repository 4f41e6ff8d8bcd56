"""Protocols for people: who runs what, and what is on the air."""

from __future__ import annotations

from typing import Final

from gainnet.protocols import PROTOCOLS

_PREPARED = "prompt: device -> edge_1, edge_2; latent[1]: device -> edge_1, edge_2"
# Written down, since plans are made of models, and to load one takes seconds; a test reads the same off the plans.
_PLANNED: Final = {
    "centralized": ("text_encoder, denoiser, decoder", "–", "prompt: device -> edge; image: edge -> device"),
    "device_only": ("–", "text_encoder, denoiser, decoder", "–"),
    "uieg": (
        "text_encoder, denoiser, decoder", "text_encoder, denoiser",
        "prompt: device -> edge; latent[1]: device -> edge; image: edge -> device",
    ),
    "eiug": ("text_encoder, denoiser", "decoder", "prompt: device -> edge; latent: edge -> device"),
    "ciag": (
        "text_encoder, denoiser", "text_encoder, denoiser, decoder",
        "prompt: device -> edge; latent[9]: edge -> device",
    ),
    "esuc": (
        "text_encoder, denoiser, decoder, choice of 4", "text_encoder, image_encoder, predict, decoder",
        "prompt: device -> edge; sketch: edge -> device",
    ),
    "uidg": (
        "text_encoder, denoiser, decoder", "text_encoder, denoiser",
        f"{_PREPARED}; image_1: edge_1 -> device; image_2: edge_2 -> device",
    ),
    "diug": (
        "text_encoder, denoiser", "decoder, choice of 2",
        "prompt: device -> edge_1, edge_2; latent: edge_1 -> device; latent: edge_2 -> device",
    ),
    "dsuc": (
        "text_encoder, denoiser, decoder", "text_encoder, image_encoder, predict, decoder",
        "prompt: device -> edge_1, edge_2; sketch_1: edge_1 -> device; sketch_2: edge_2 -> device",
    ),
    "uidcg": (
        "text_encoder, denoiser, decoder", "text_encoder, denoiser", f"{_PREPARED}; image: edge_1 -> device"
    ),
    "dcsuc": (
        "text_encoder, denoiser, decoder", "text_encoder, image_encoder, predict, decoder",
        "prompt: device -> edge_1, edge_2; sketch: edge_1 -> device",
    ),
    "draft": (
        "text_encoder, denoiser, residual", "text_encoder, denoiser, corrected, decoder",
        "prompt: device -> edge; correction: edge -> device",
    ),
}  # fmt: skip
"""By protocol: parts that edges run, parts that the device runs, transfers; with two edges where it takes several."""


def describe_protocols() -> list[dict[str, str]]:
    """One row per protocol, as it plans for the shipped model; nothing is loaded.

    >>> describe_protocols()[3]["on the air"]
    'prompt: device -> edge; latent: edge -> device'
    """
    rows = []
    for name, protocol in PROTOCOLS.items():
        edge, device, air = _PLANNED[name]
        rows.append(
            {
                "protocol": name,
                "edges": "1 …" if protocol.max_edges > 1 else str(protocol.max_edges or "–"),
                "edge runs": edge,
                "device runs": device,
                "on the air": air,
                "what it is": (protocol.__doc__ or "").strip().splitlines()[0],
            }
        )
    return rows
