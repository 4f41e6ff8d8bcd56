"""A memory of what denoisers made, shared by many plans over the same prompts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import final

from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.core.types import Spec, Tensors
from gainnet.models.part import Part, Role
from gainnet.protocols.plan import Compute, Plan

Key = tuple[object, ...]


@final
@dataclass(frozen=True)
class Memory:
    """Outcomes of denoisers of one model, so that protocols that take the same steps of the sampler take them once.

    Two calls are the same when part, inputs (by their digest) and random streams are. Only denoisers are remembered:
    they take the time, and what they make is small.

    >>> Memory().over(Plan((), ("device", "image"))).steps
    ()
    """

    _made: dict[Key, tuple[Tensor, ...]] = field(default_factory=dict, repr=False, compare=False)

    def over(self, plan: Plan) -> Plan:
        """The plan, its fallbacks included, with denoisers that remember."""
        fallback = plan.fallback
        steps = tuple(replace(s, part=self._recalled(s.part)) if isinstance(s, Compute) else s for s in plan.steps)
        if fallback is None:
            return replace(plan, steps=steps)
        return replace(plan, steps=steps, fallback=lambda arrived: self.over(fallback(arrived)))

    def make(self, part: Part, tensors: Tensors, random: Random) -> Tensors:
        """What the part makes of the tensors, computed only the first time."""
        shapes = tuple(spec.shape for spec in part.writes.values())
        key = (part.name, shapes, random, *(_digest(tensors[name]) for name in part.reads))
        if key not in self._made:
            made = part(tensors, random)
            self._made[key] = tuple(made[name] for name in part.writes)
        return dict(zip(part.writes, self._made[key], strict=True))

    def _recalled(self, part: Part) -> Part:
        return Recalled(part, self.make) if part.role == "denoiser" else part


@final
@dataclass(frozen=True)
class Recalled:
    """A part whose calls go through a memory.

    Args:
        part: what is remembered.
        make: see `Memory.make`.
    """

    part: Part
    make: Callable[[Part, Tensors, Random], Tensors] = field(repr=False, compare=False)

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


def _digest(x: Tensor) -> bytes:
    return blake2b(x.contiguous().cpu().numpy().tobytes(), digest_size=16).digest()
