"""A part under other tensor names, so that one node can hold several of what it reads or writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from gainnet.core.randomness import Name, Random
from gainnet.core.types import Spec, Tensors
from gainnet.models.part import Part, Role


@final
@dataclass(frozen=True)
class Renamed:
    """A part whose tensors are called otherwise, and that may draw its noise from a stream of its own.

    latent_2 --[ as latent ]--> part --[ image as ]--> image_2

    Args:
        part: what runs.
        names: new name of a tensor by its old one; a tensor that is not listed keeps its name.
        stream: names that the random streams are descended by; the second of several candidates draws other noise.

    >>> from gainnet.models.loading import load_model
    >>> second = Renamed(load_model("scenes").decoder, {"latent": "latent_2", "image": "image_2"})
    >>> second.reads, tuple(second.writes)
    (('latent_2',), ('image_2',))
    """

    part: Part
    names: Mapping[str, str]
    stream: tuple[Name, ...] = ()

    @property
    def name(self) -> str:
        made = ", ".join(self.writes)
        return self.part.name if tuple(self.writes) == tuple(self.part.writes) else f"{self.part.name} -> {made}"

    @property
    def role(self) -> Role:
        return self.part.role

    @property
    def num_passes(self) -> float:
        return self.part.num_passes

    @property
    def reads(self) -> tuple[str, ...]:
        return tuple(self._renamed(key) for key in self.part.reads)

    @property
    def writes(self) -> Mapping[str, Spec]:
        return {self._renamed(key): spec for key, spec in self.part.writes.items()}

    @property
    def flops(self) -> float:
        return self.part.flops

    @property
    def memory_bytes(self) -> float:
        return self.part.memory_bytes

    def __call__(self, tensors: Tensors, random: Random) -> Tensors:
        inputs = {key: tensors[self._renamed(key)] for key in self.part.reads}
        outputs = self.part(inputs, random.child(*self.stream))
        return {self._renamed(key): x for key, x in outputs.items()}

    def _renamed(self, key: str) -> str:
        return self.names.get(key, key)
