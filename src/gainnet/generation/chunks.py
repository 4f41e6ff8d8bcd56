"""Parts and codecs that take a few items at a time, so that the memory of a run does not grow with the batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Final, final

import torch
from torch import Tensor

from gainnet.codecs.codec import Codec
from gainnet.codecs.rate_matched import Itemised
from gainnet.codecs.seed_codec import SeedCodec
from gainnet.core.randomness import Random
from gainnet.core.room import LEAST_BYTES, give_back, pieces, room_for, room_for_strings
from gainnet.core.types import Bits, Payload, Size, Spec, Symbols, Tensors
from gainnet.generation.trials import is_of_user
from gainnet.models.part import Part
from gainnet.models.renamed import called_by
from gainnet.protocols.plan import Compute, Plan, Step

MOST_ITEMS: Final = 8
"""Items that a part takes at once; more are hardly faster on a processor, and each takes megabytes."""
MOST_SEEDS: Final = 256
"""Items of the learned seed codec: of fewer the last bits of what it decodes are others than of all together."""


def in_chunks(plan: Plan, watch: Callable[[str], None] = lambda label: None) -> Plan:
    """The plan, its fallbacks included, with parts and codecs that take at most `MOST_ITEMS` items at once.

    Pictures of large batches that parts make and transfers bring lie in files.

    Args:
        plan: of any batch.
        watch: called with how many of more items a part has made.

    >>> in_chunks(Plan((), ("device", "image"))).steps
    ()
    """
    fallback = plan.fallback
    steps = tuple(_in_chunks(step, watch) for step in plan.steps)
    if fallback is None:
        return replace(plan, steps=steps)
    return replace(plan, steps=steps, fallback=lambda arrived: in_chunks(fallback(arrived), watch))


@final
@dataclass(frozen=True)
class InPieces:
    """A codec that is given a few pictures at a time; whatever is no large batch of pictures it is given whole.

    Args:
        codec: bound; it knows nothing of the items, or is `Itemised`.
    """

    codec: Codec[Bits]
    emits: ClassVar[type[Payload]] = Bits

    def size(self, spec: Spec) -> Size:
        return self.codec.size(spec)

    def encode(self, x: Tensor, reported_snr: Tensor) -> Bits:
        if reported_snr.dim() != 1 or not _are_many_pictures(x.shape):
            return self.codec.encode(x, reported_snr)
        return Bits(room_for_strings(self._strings(x, reported_snr)), (len(x),))

    def decode(self, payload: Bits, spec: Spec) -> Tensor:
        if len(payload.batch) != 1 or not _are_many_pictures((*payload.batch, *spec.shape)):
            return self.codec.decode(payload, spec)
        whole: Tensor | None = None
        for first in range(0, len(payload.strings), MOST_ITEMS):
            strings = payload.strings[first : first + MOST_ITEMS]
            made = self._of_items(first, len(strings)).decode(Bits(strings, (len(strings),)), spec)
            if whole is None:
                whole = _room_as(made, len(payload.strings))
            place = whole[first : first + MOST_ITEMS]
            place[:] = made
            give_back(place)
        return self.codec.decode(payload, spec) if whole is None else whole

    def _strings(self, x: Tensor, reported_snr: Tensor) -> Iterator[bytes | None]:
        first = 0
        for some, snr in pieces(x, reported_snr, num_items=MOST_ITEMS):
            yield from self._of_items(first, len(some)).encode(some, snr).strings
            first += len(some)

    def _of_items(self, first: int, number: int) -> Codec[Bits]:
        return self.codec.of_items(range(first, first + number)) if isinstance(self.codec, Itemised) else self.codec


@final
@dataclass(frozen=True)
class SeedsInPieces:
    """The learned seed codec, whose networks take 0.4 MB for an item, on `MOST_SEEDS` items at a time.

    Args:
        codec: bound.
    """

    codec: SeedCodec
    emits: ClassVar[type[Payload]] = Symbols
    nested: ClassVar[bool] = SeedCodec.nested

    def size(self, spec: Spec) -> Size:
        return self.codec.size(spec)

    def encode(self, x: Tensor, reported_snr: Tensor) -> Symbols:
        if reported_snr.dim() != 1 or len(x) <= MOST_SEEDS:
            return self.codec.encode(x, reported_snr)
        made = [self.codec.of_items(range(len(x))[rows]).encode(x[rows], reported_snr[rows]) for rows in _rows(len(x))]
        return Symbols.clean(torch.cat([one.values for one in made]), reported_snr)

    def decode(self, payload: Symbols, spec: Spec) -> Tensor:
        number = len(payload.values)
        if len(payload.batch) != 1 or number <= MOST_SEEDS:
            return self.codec.decode(payload, spec)
        made = (self.codec.of_items(range(number)[rows]).decode(payload.items(rows), spec) for rows in _rows(number))
        return torch.cat(list(made))


def _rows(number: int) -> list[slice]:
    return [slice(first, first + MOST_SEEDS) for first in range(0, number, MOST_SEEDS)]


def _in_chunks(step: Step, watch: Callable[[str], None]) -> Step:
    if isinstance(step, Compute):
        return replace(step, part=called_by(partial(_run, watch), step.part))
    if isinstance(step.codec, SeedCodec):
        return replace(step, codec=SeedsInPieces(step.codec))
    # A codec of the user's may count on the whole batch.
    is_split = step.codec.emits is Bits and not is_of_user(step.codec)
    return replace(step, codec=InPieces(step.codec)) if is_split else step


def _are_many_pictures(shape: Sequence[int]) -> bool:
    """Of seeds all are coded together, however many: sums over another number of rows are rounded otherwise."""
    return len(shape) == 4 and shape[1] == 3 and 4 * math.prod(shape) >= LEAST_BYTES


def _room_as(made: Tensor, num_items: int) -> Tensor:
    """Room for as many items, in the order of memory that those that are made have: sums over it are the same."""
    order = sorted(range(made.dim()), key=lambda dim: (dim > 0, -made.stride()[dim]))
    shape = (num_items, *made.shape[1:])
    return room_for([shape[dim] for dim in order], made).permute([order.index(dim) for dim in range(made.dim())])


def _run(watch: Callable[[str], None], part: Part, tensors: Tensors, random: Random) -> Tensors:
    """Output of a part for a batch, put together of those of its pieces; an item's does not depend on the others."""
    if random.num_items <= MOST_ITEMS or len(random.batch) != 1:
        return part(tensors, random)
    whole: dict[str, Tensor] = {}
    for first in range(0, random.num_items, MOST_ITEMS):
        rows = slice(first, first + MOST_ITEMS)
        seeds = random.random_seeds[rows]
        given = {name: x[rows] for name, x in tensors.items()}
        made = part(given, Random(seeds, (len(seeds),), random.path))
        for x in given.values():
            give_back(x)
        for name in part.writes:
            # Into its place, since pieces that are joined at the end would take the memory twice.
            if name not in whole:
                whole[name] = room_for((random.num_items, *made[name].shape[1:]), made[name])
            whole[name][rows] = made[name]
            give_back(whole[name][rows])
        watch(f"{part.name}: {min(first + MOST_ITEMS, random.num_items)} of {random.num_items} pictures")
    return whole
