"""A part under other tensor names, so that one node can hold several of what it reads or writes; or with a memory."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import final

from gainnet.core.randomness import Name, Random
from gainnet.core.types import Spec, Tensors
from gainnet.models.part import Part, Role, TensorMap, origin_of


@final
@dataclass(frozen=True)
class Renamed:
    """A part under other names, as `rename` makes it; its costs are counted when they are asked for.

    Args:
        part: what runs.
        reads: names of the tensors that it takes.
        writes: shape of every tensor that it returns, by name.
        function: (tensors, random) -> tensors, [*batch, *spec.shape] each.
        stream: names that the random streams are descended by.
        share: of the part's passes.
    """

    part: Part
    reads: tuple[str, ...]
    writes: Mapping[str, Spec]
    function: Callable[[Tensors, Random], Tensors] = field(repr=False)
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

    # Counting operations takes a copy of the network, which a device that only decodes has no libraries for.
    @property
    def flops(self) -> float:
        return self.part.flops

    @property
    def memory_bytes(self) -> float:
        return self.part.memory_bytes

    @property
    def origin(self) -> Hashable:
        """As of `TensorMap`: names of tensors change nothing of the values, other random streams do."""
        return origin_of(self.part), self.stream

    def __call__(self, tensors: Tensors, random: Random) -> Tensors:
        return self.function(tensors, random)


def rename(
    part: Part,
    reads_as: Mapping[str, str] | None = None,
    writes_as: Mapping[str, str] | None = None,
    stream: tuple[Name, ...] = (),
    share: float = 1.0,
) -> Renamed:
    """A part that reads and writes under other names, so that tensors before and after it differ in name.

    latent[3] --[ as latent ]--> part --[ latent as ]--> latent[5]

    Args:
        part: what runs.
        reads_as: where it finds what it reads, by the part's own name; names that are not listed stay.
        writes_as: likewise for what it writes.
        stream: names that the random streams are descended by; the second of several candidates draws other noise.
        share: of the part's work that is done, for its price; less than 1 for a region.

    >>> from gainnet.models.loading import load_model
    >>> second = rename(load_model("scenes").decoder, {"latent": "latent_2"}, {"image": "image_2"})
    >>> second.reads, tuple(second.writes)
    (('latent_2',), ('image_2',))
    """
    sources = {key: (reads_as or {}).get(key, key) for key in part.reads}
    targets = {key: (writes_as or {}).get(key, key) for key in part.writes}

    def run(tensors: Tensors, random: Random) -> Tensors:
        outputs = part({key: tensors[source] for key, source in sources.items()}, random.child(*stream))
        return {targets.get(key, key): x for key, x in outputs.items()}

    writes = {targets[key]: spec for key, spec in part.writes.items()}
    return Renamed(part, tuple(sources.values()), writes, run, stream, share)


def called_by(call: Callable[[Part, Tensors, Random], Tensors], part: Part) -> TensorMap:
    """A part that is run by a function of the part, what it reads, and its random streams."""

    def run(tensors: Tensors, random: Random) -> Tensors:
        return call(part, {key: tensors[key] for key in part.reads}, random)

    costs = part.num_passes, part.flops, part.memory_bytes
    return TensorMap(part.name, part.reads, part.writes, run, part.role, *costs, origin_of(part))
