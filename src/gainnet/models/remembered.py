"""A part that does not repeat itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import final

import torch

from gainnet.core.randomness import Random
from gainnet.core.types import Spec, Tensors
from gainnet.models.part import Part, Role

Maker = Callable[[Part, Tensors, Random], Tensors]
"""What a part makes of tensors, from memory where it knows."""


@final
@dataclass(frozen=True)
class LastCall:
    """A memory of the last call of one part.

    Equal inputs and equal random streams give the remembered tensors; anything else runs the part.
    """

    _last: dict[str, tuple[Random, Tensors, Tensors]] = field(default_factory=dict, repr=False, compare=False)

    def __call__(self, part: Part, tensors: Tensors, random: Random) -> Tensors:
        if "call" in self._last:
            last_random, last_inputs, last_outputs = self._last["call"]
            if last_random == random and _equal(last_inputs, tensors):
                return last_outputs
        outputs = part(tensors, random)
        self._last["call"] = random, dict(tensors), outputs
        return outputs


@final
@dataclass(frozen=True)
class Remembered:
    """A part whose calls go through a memory, so that many plans over one batch of prompts denoise it once.

    Args:
        part: what is remembered.
        make: the memory; by default one of this part's last call.
    """

    part: Part
    make: Maker = field(default_factory=LastCall, repr=False, compare=False)

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
        return self.make(self.part, tensors, random)


def _equal(a: Tensors, b: Tensors) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)
