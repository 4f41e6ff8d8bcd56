"""Plans of all protocols for a small model, and networks that they run on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from gainnet.codecs import CODECS, Codecs, Float32, RawAnalog, RawPixels, TextCodec
from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.core.types import Place
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.loading import load_model
from gainnet.network import DEVICE, Network, cell, edge_names, profile
from gainnet.protocols import PROTOCOLS, Plan
from gainnet.radio import Air, Analog, Ideal

PROMPTS = ("cat", "a red dog")
SEVERAL = [name for name, protocol in PROTOCOLS.items() if protocol.max_edges > 1]
NUM_STEPS = 3


@dataclass(frozen=True)
class Desk:
    """A model with codecs and inputs of both tasks."""

    model: DiffusionModel
    lossless: bool = False

    def plan(self, name: str, num_edges: int = 1, strength: float | None = None, **options: Any) -> Plan:
        """The plan of a protocol; options are its parameters, and codecs by kind."""
        seed, pixels = (Float32(), Float32()) if self.lossless else (RawAnalog(), RawPixels())
        prompt = TextCodec(expected_bytes=sum(map(len, PROMPTS)) / len(PROMPTS))
        kinds = {kind: options.pop(kind) for kind in CODECS if kind in options}
        codecs = replace(Codecs(prompt, seed, seed, pixels, pixels, Float32()), **kinds)
        return PROTOCOLS[name](**options).plan(self.model, codecs, edge_names(num_edges), strength)

    def inputs(self, with_picture: bool) -> Mapping[Place, torch.Tensor]:
        prompts = {(DEVICE, "prompt"): text_to_tensor(PROMPTS)}
        if not with_picture:
            return prompts
        return prompts | {(DEVICE, "picture"): Random.of([1, 2]).uniform(self.model.image.shape, "picture")}


RANDOM = Random.of([7, 8])


def ideal(num_edges: int = 1) -> Network:
    bearers = Ideal(), Analog(Air(snr_db=float("inf")))
    return cell(profile("edge_a100"), profile("laptop"), bearers, bearers, num_edges)


def small_desk(folder: Path, lossless: bool = False, num_steps: int = NUM_STEPS) -> Desk:
    return Desk(load_model(str(folder), num_steps=num_steps), lossless)
