"""A part under other tensor names, so that one node can hold several of what it reads or writes; or with a memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import final

import torch

from gainnet.core.randomness import Name, Random
from gainnet.core.types import Spec, Tensors
from gainnet.models.part import Part, Role

Caller = Callable[[Part, Tensors, Random], Tensors]
"""How a part is run: it is called, or its outcome is looked up."""


def _call(part: Part, tensors: Tensors, random: Random) -> Tensors:
    return part(tensors, random)


@final
@dataclass(frozen=True)
class Renamed:
    """A part that reads and writes under other names, so that tensors before and after it differ in name.

    latent[3] --[ as latent ]--> part --[ latent as ]--> latent[5]

    Args:
        part: what runs.
        reads_as: where it finds what it reads, by the part's own name; names that are not listed stay.
        writes_as: likewise for what it writes.
        stream: names that the random streams are descended by; the second of several candidates draws other noise.
        share: of the part's work that is done, for its price; less than 1 for a region.
        call: how the part is run; by default it is called.

    >>> from gainnet.models.loading import load_model
    >>> second = Renamed(load_model("scenes").decoder, {"latent": "latent_2"}, {"image": "image_2"})
    >>> second.reads, tuple(second.writes)
    (('latent_2',), ('image_2',))
    """

    part: Part
    reads_as: Mapping[str, str] = field(default_factory=dict)
    writes_as: Mapping[str, str] = field(default_factory=dict)
    stream: tuple[Name, ...] = ()
    share: float = 1.0
    call: Caller = field(default=_call, repr=False, compare=False)

    @property
    def name(self) -> str:
        return self.part.name

    @property
    def role(self) -> Role:
        return self.part.role

    @property
    def num_passes(self) -> float:
        return self.share * self.part.num_passes

    @property
    def reads(self) -> tuple[str, ...]:
        return tuple(self.reads_as.get(key, key) for key in self.part.reads)

    @property
    def writes(self) -> Mapping[str, Spec]:
        return {self.writes_as.get(key, key): spec for key, spec in self.part.writes.items()}

    @property
    def flops(self) -> float:
        return self.part.flops

    @property
    def memory_bytes(self) -> float:
        return self.part.memory_bytes

    def __call__(self, tensors: Tensors, random: Random) -> Tensors:
        inputs = {key: tensors[self.reads_as.get(key, key)] for key in self.part.reads}
        outputs = self.call(self.part, inputs, random.child(*self.stream))
        return {self.writes_as.get(key, key): x for key, x in outputs.items()}


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
            # Streams first: comparing tensors is dearer than comparing numbers.
            if last_random == random and _equal(last_inputs, tensors):
                return last_outputs
        outputs = part(tensors, random)
        self._last["call"] = random, dict(tensors), outputs
        return outputs


def remembered(part: Part) -> Renamed:
    """A part that repeats its last outcome for equal inputs, so that many plans over one batch denoise it once."""
    return Renamed(part, call=LastCall())


def _equal(a: Tensors, b: Tensors) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)
