"""Mobile edge generation with edges in parallel: a candidate or a region each, which the device puts together.

Definitions as in Zhong et al. (IEEE Network 2024); expansions of their acronyms inferred.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from gainnet.codecs import Codecs, Kind
from gainnet.codecs.codec import AnyCodec
from gainnet.core.types import NodeId, Spec
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.regions import Region, crop_of, merge, picture_scale, regional, regions_of
from gainnet.models.renamed import rename
from gainnet.network.scenario import DEVICE
from gainnet.protocols.candidates import best_of, stream_of
from gainnet.protocols.cooperation import area
from gainnet.protocols.cooperative import Uidcg
from gainnet.protocols.plan import Arrived, Compute, Edges, Plan, Step, Transfer
from gainnet.protocols.protocol import MANY_EDGES
from gainnet.protocols.rescue import Alternatives, resilient
from gainnet.protocols.shares import device_begins, edges_begin, prompt_to_edges
from gainnet.protocols.sketching import completed, merged_sketch, sketcher
from gainnet.protocols.task import IMAGE, Task

MAX_REGIONS = 4
"""Regions that `regions_of` divides a latent into."""


@final
@dataclass(frozen=True)
class Uidg:
    """User-equipment inferencing, distributed generating: every edge generates a region of the picture.

    device: first steps ==prompt, seed up==> edges: half of the steps whole, the others and the decoder on a region
        ==image_k down==> device: merge

    All edges take the same whole steps, which settle where things are, so nothing is exchanged between them.

    Args:
        cut: steps on the device; 1 by default, 0 with a picture.
    """

    cut: int | None = None
    sends: ClassVar[tuple[Kind, ...]] = ("prompt", "seed", "midway", "image")
    resumes: ClassVar[bool] = False
    max_edges: ClassVar[int] = MAX_REGIONS

    def plan(self, model: DiffusionModel, codecs: Codecs, edges: Edges, strength: float | None = None) -> Plan:
        task = Task.of(model, strength)
        cut = task.cut_on_device(self.cut)
        regions = regions_of(model, len(edges))

        def shared_by(owners: Sequence[NodeId]) -> Plan:
            helping = _edges_of(owners)
            made: list[Step] = []
            for k, (owner, region) in enumerate(zip(owners, regions, strict=True), 1):
                made += (*_region(task, owner, region, k, cut), *_down(owner, f"image_{k}", codecs.image))
            # All edges are dead, and the device makes the regions that never came.
            if not helping:
                return Plan((*task.begun(DEVICE, cut), *made, _merge(task, regions)), IMAGE)
            prompt = Transfer(DEVICE, helping, "prompt", codecs.prompt)
            return Plan((prompt, *device_begins(task, helping, cut, codecs), *made, _merge(task, regions)), IMAGE)

        return resilient(shared_by(edges), task, edges, _with_other_owners(shared_by, edges, "image"))

    def step_of_hand_over(self, model: DiffusionModel, strength: float | None = None) -> int:
        return Uidcg(self.cut).step_of_hand_over(model, strength)


@final
@dataclass(frozen=True)
class Diug:
    """Distributed inferencing, user-equipment generating: every edge infers a seed, the device takes the best.

    device: prompt ==up==> edges: denoise another noise each ==latent_k down==> device: decode all, choose

    The first candidate is what one edge would have made. Edges need not agree on a picture's latent: each keeps the one
    that it received.
    """

    sends: ClassVar[tuple[Kind, ...]] = ("prompt", "seed")
    max_edges: ClassVar[int] = MANY_EDGES

    def plan(self, model: DiffusionModel, codecs: Codecs, edges: Edges, strength: float | None = None) -> Plan:
        task = Task.of(model, strength)
        inferred = [
            step
            for k, edge in enumerate(edges)
            for step in (Compute(edge, task.begin(*stream_of(k))), *task.infer(edge, 0, task.num_steps))
        ]
        names = tuple(f"latent_{k}" for k in range(1, len(edges) + 1))
        sent = [Transfer(edge, (DEVICE,), "latent", codecs.seed, name) for edge, name in zip(edges, names, strict=True)]
        steps = (*prompt_to_edges(task, edges, codecs), *inferred, *sent, *best_of(task, DEVICE, names))

        def fewer(alive: Sequence[NodeId], arrived: Arrived) -> list[Plan]:
            # Candidates are complete latents, so any of them makes a picture.
            there = tuple(name for name in names if (DEVICE, name) in arrived)
            return [Plan(best_of(task, DEVICE, there), IMAGE)] if there else []

        return resilient(Plan(steps, IMAGE), task, edges, fewer)


@final
@dataclass(frozen=True)
class Dsuc:
    """Distributed sketching, user-equipment completing: every edge sketches a region, the device merges and completes.

    device: prompt ==up==> edges: half of the steps whole, the others, decoder and sketch on a region
        ==sketch_k down==> device: merge, completing

    An `EdgeMap` carries the outlines of a region, any other codec a small version of it.
    """

    sends: ClassVar[tuple[Kind, ...]] = ("prompt", "seed", "sketch")
    max_edges: ClassVar[int] = MAX_REGIONS

    def plan(self, model: DiffusionModel, codecs: Codecs, edges: Edges, strength: float | None = None) -> Plan:
        task, regions = Task.of(model, strength), regions_of(model, len(edges))
        pieces = tuple(f"sketch_{k}" for k in range(1, len(edges) + 1))
        completing = (merged_sketch(task, codecs.sketch, regions, pieces), *completed(task, codecs.sketch))

        def shared_by(owners: Sequence[NodeId]) -> Plan:
            made: list[Step] = []
            for k, (owner, region, piece) in enumerate(zip(owners, regions, pieces, strict=True), 1):
                drawn = sketcher(model, codecs.sketch, _picture(task, region))
                sketching = rename(drawn, {"image": f"image_{k}"}, {"sketch": piece})
                made += (*_region(task, owner, region, k, 0), Compute(owner, sketching))
                made += _down(owner, piece, codecs.sketch)
            helping = _edges_of(owners)
            begun = edges_begin(task, helping, codecs) if helping else task.begun(DEVICE, 0)
            return Plan((*begun, *made, *completing), IMAGE)

        return resilient(shared_by(edges), task, edges, _with_other_owners(shared_by, edges, "sketch"))


def _edges_of(owners: Sequence[NodeId]) -> Edges:
    return tuple(dict.fromkeys(owner for owner in owners if owner != DEVICE))


def _with_other_owners(shared_by: Callable[[Sequence[NodeId]], Plan], edges: Edges, piece: str) -> Alternatives:
    """Plans in which one of the living edges makes the regions of the dead; the device, if only pieces are left."""

    def alternatives(alive: Sequence[NodeId], arrived: Arrived) -> list[Plan]:
        has_pieces = any((DEVICE, f"{piece}_{k}") in arrived for k in range(1, len(edges) + 1))
        # One edge takes over all regions of the dead: it has the whole latent already.
        substitutes = alive or ([DEVICE] if has_pieces else [])
        return [shared_by([edge if edge in alive else other for edge in edges]) for other in substitutes]

    return alternatives


def _picture(task: Task, region: Region) -> Spec:
    return region.scaled(picture_scale(task.model)).of(task.model.image)


def _region(task: Task, owner: NodeId, region: Region, index: int, start: int) -> tuple[Compute, ...]:
    """A region of the picture on one node: whole steps, then steps and decoder on the region alone."""
    # Whole steps come first, since they settle where things are; then a region can go on without the others.
    middle = start + (task.num_steps - start) // 2
    latent, crop, piece = task.latent(middle), f"crop_{index}", f"latent_{index}"
    share = area(region, task)
    denoiser = regional(task.denoiser[middle:], region)
    decoder = regional(task.model.decoder, region)
    return (
        Compute(owner, task.model.text_encoder),
        # Without its text encoder, which has run above even if no whole step is left.
        *task.infer(owner, start, middle)[1:],
        Compute(owner, crop_of(latent, task.denoiser.state(middle), region, crop)),
        Compute(owner, rename(denoiser, {"latent": crop}, {"latent": piece}, share=share)),
        Compute(owner, rename(decoder, {"latent": piece}, {"image": f"image_{index}"}, share=share)),
    )


def _down(owner: NodeId, tensor: str, codec: AnyCodec) -> tuple[Transfer, ...]:
    # A region that the device makes itself is there already.
    return () if owner == DEVICE else (Transfer(owner, (DEVICE,), tensor, codec),)


def _merge(task: Task, regions: Sequence[Region]) -> Compute:
    names = tuple(f"image_{k}" for k in range(1, len(regions) + 1))
    rectangles = tuple(region.scaled(picture_scale(task.model)) for region in regions)
    return Compute(DEVICE, merge(names, rectangles, task.model.image, "image"))
