"""A memory of what denoisers made, shared by many plans over the same prompts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import final

import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.core.room import pieces
from gainnet.core.types import Tensors
from gainnet.models.part import Part, origin_of
from gainnet.models.renamed import called_by
from gainnet.protocols.plan import Compute, Plan

Key = tuple[object, ...]


@final
@dataclass(frozen=True)
class Memory:
    """Outcomes of denoisers, so that protocols that take the same steps of the sampler take them once.

    Two calls are the same when the origin of the part (weights, guidance, steps), the inputs (by their digest) and the
    random streams are. Only denoisers are remembered:
    they take the time, and what they make is small.

    Args:
        most: outcomes that are kept, the last ones; all of them when `None`.

    >>> Memory().over(Plan((), ("device", "image"))).steps
    ()
    """

    most: int | None = None
    _made: dict[Key, tuple[Part, tuple[Tensor, ...]]] = field(default_factory=dict, repr=False, compare=False)

    def over(self, plan: Plan) -> Plan:
        """The plan, its fallbacks included, with denoisers that remember."""
        fallback = plan.fallback
        steps = tuple(replace(s, part=self._recall(s.part)) if isinstance(s, Compute) else s for s in plan.steps)
        if fallback is None:
            return replace(plan, steps=steps)
        return replace(plan, steps=steps, fallback=lambda arrived: self.over(fallback(arrived)))

    def make(self, part: Part, tensors: Tensors, random: Random) -> Tensors:
        """Output of the part for these tensors, computed only the first time."""
        # Not by name: denoisers of two models, or of two guidances, are called alike.
        key = (origin_of(part), random, *(_digest(tensors[name]) for name in part.reads))
        if (known := self._made.get(key)) is None:
            made = part(tensors, random)
            # With the part, so that no other one gets its identity while the outcome is remembered.
            known = self._made[key] = part, tuple(made[name] for name in part.writes)
            # Keys stand in the order of their coming; another thread may have removed one meanwhile.
            for oldest in list(self._made)[: len(self._made) - (self.most or len(self._made))]:
                self._made.pop(oldest, None)
        return dict(zip(part.writes, known[1], strict=True))

    def _recall(self, part: Part) -> Part:
        return called_by(self.make, part) if part.role == "denoiser" else part


def _digest(x: Tensor) -> Key:
    digest = blake2b(digest_size=16)
    for (some,) in pieces(torch.atleast_1d(x)):
        digest.update(some.contiguous().cpu().numpy().tobytes())
    return (x.shape, x.dtype, digest.digest())
