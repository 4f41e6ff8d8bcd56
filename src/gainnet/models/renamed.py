"""A part under other tensor names, so that one node can hold several of what it reads or writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

from gainnet.core.randomness import Name, Random
from gainnet.core.types import Spec, Tensors
from gainnet.models.part import Part, Role


@final
@dataclass(frozen=True)
class Renamed:
    """A part that reads and writes under other names, so that tensors before and after it can be told apart.

    latent[3] --[ as latent ]--> part --[ latent as ]--> latent[5]

    Args:
        part: what runs.
        reads_as: where it finds what it reads, by the part's own name; names that are not listed stay.
        writes_as: likewise for what it writes.
        stream: names that the random streams are descended by; the second of several candidates draws other noise.
        share: of the whole part's work that is done, for its price; less than 1 for a region.

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
        made = self.part(inputs, random.child(*self.stream))
        return {self.writes_as.get(key, key): x for key, x in made.items()}
