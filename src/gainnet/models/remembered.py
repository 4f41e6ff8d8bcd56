"""A part that does not repeat itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

import torch

from gainnet.core.randomness import Random
from gainnet.core.types import Spec, Tensors
from gainnet.models.part import Part, Role


@final
@dataclass(frozen=True)
class Remembered:
    """A part that remembers its last call, so that many plans over one batch of prompts denoise it once.

    Equal inputs and equal random streams give the remembered tensors; anything else runs the part.

    Args:
        part: what is remembered.
    """

    part: Part
    _last: dict[str, tuple[Random, Tensors, Tensors]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def name(self) -> str:
        return self.part.name

    @property
    def role(self) -> Role:
        return self.part.role

    @property
    def num_passes(self) -> float:
        return self.part.num_passes

    @property
    def reads(self) -> tuple[str, ...]:
        return self.part.reads

    @property
    def writes(self) -> Mapping[str, Spec]:
        return self.part.writes

    @property
    def flops(self) -> float:
        return self.part.flops

    @property
    def memory_bytes(self) -> float:
        return self.part.memory_bytes

    def __call__(self, tensors: Tensors, random: Random) -> Tensors:
        if "call" in self._last:
            last_random, last_inputs, last_outputs = self._last["call"]
            if last_random == random and _equal(last_inputs, tensors):
                return last_outputs
        outputs = self.part(tensors, random)
        self._last["call"] = random, dict(tensors), outputs
        return outputs


def _equal(a: Tensors, b: Tensors) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)
