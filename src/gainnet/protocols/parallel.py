"""Mobile edge generation with edges in parallel: a candidate or a region each, which the device puts together.

Definitions as in Zhong et al. (IEEE Network 2024); expansions of their acronyms inferred.
"""

from __future__ import annotations

from collections.abc import Sequence

from gainnet.codecs.codec import AnyCodec
from gainnet.core.types import NodeId, Spec
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.regions import Crop, Merge, Region, picture_scale, regional, regions_of
from gainnet.models.renamed import Renamed
from gainnet.network.scenario import DEVICE, EDGE
from gainnet.protocols.candidates import best_of, stream_of
from gainnet.protocols.cooperation import area
from gainnet.protocols.plan import Arrived, Compute, Plan, Step, Transfer
from gainnet.protocols.rescue import resilient
from gainnet.protocols.shares import asked, handed_over, told
from gainnet.protocols.sketching import completed, merged_sketch, sketcher
from gainnet.protocols.task import IMAGE, Task


def uidg(
    model: DiffusionModel,
    prompt_codec: AnyCodec,
    seed_codec: AnyCodec,
    midway_codec: AnyCodec,
    image_codec: AnyCodec,
    edges: tuple[NodeId, ...] = (EDGE,),
    cut: int | None = None,
    strength: float | None = None,
) -> Plan:
    """User-equipment inferencing, distributed generating: every edge generates a region of the picture.

    device: first steps ==prompt, seed up==> edges: half of the steps whole, the others and the decoder on a region
        ==image_k down==> device: merge

    All edges take the same whole steps, which settle where things are, so nothing is exchanged between them.

    Args:
        model: whose parts run.
        prompt_codec: carries the prompt.
        seed_codec: carries the latent of the picture.
        midway_codec: carries a latent between two steps.
        image_codec: carries the region of a picture.
        edges: 1 to 4.
        cut: steps on the device; 1 by default, 0 with a picture.
        strength: of image-to-image.
    """
    task = Task.of(model, strength)
    at = task.cut(cut, default=1 if task.encoder is None else 0)
    regions = regions_of(model, len(edges))

    def shared_by(owners: Sequence[NodeId]) -> Plan:
        helping = tuple(dict.fromkeys(owner for owner in owners if owner != DEVICE))
        made: list[Step] = []
        for k, (owner, region) in enumerate(zip(owners, regions, strict=True), 1):
            made += (*_region(task, owner, region, k, at), *_down(owner, f"image_{k}", image_codec))
        if not helping:
            return Plan((*task.begun(DEVICE, at), *made, _merge(task, regions)), IMAGE)
        prompt = Transfer(DEVICE, helping, "prompt", prompt_codec)
        begun = handed_over(task, helping, at, seed_codec, midway_codec)
        return Plan((prompt, *begun, *made, _merge(task, regions)), IMAGE)

    def replaced(alive: Sequence[NodeId], arrived: Arrived) -> list[Plan]:
        return [shared_by(owners) for owners in _owners(edges, alive, "image", arrived)]

    return resilient(shared_by(edges), task, edges, replaced)


def diug(
    model: DiffusionModel,
    prompt_codec: AnyCodec,
    seed_codec: AnyCodec,
    edges: tuple[NodeId, ...] = (EDGE,),
    strength: float | None = None,
) -> Plan:
    """Distributed inferencing, user-equipment generating: every edge infers a seed, the device takes the best.

    device: prompt ==up==> edges: denoise another noise each ==latent_k down==> device: decode all, choose

    The first candidate is what one edge would have made. Edges need not agree on a picture's latent: each keeps the one
    that it received.

    Args:
        model: whose parts run.
        prompt_codec: carries the prompt.
        seed_codec: carries the latents.
        edges: one per candidate.
        strength: of image-to-image.
    """
    task = Task.of(model, strength)
    inferred = [
        step
        for k, edge in enumerate(edges)
        for step in (Compute(edge, task.begin(*stream_of(k))), *task.infer(edge, 0, task.num_steps))
    ]
    names = tuple(f"latent_{k}" for k in range(1, len(edges) + 1))
    sent = [Transfer(edge, (DEVICE,), "latent", seed_codec, name) for edge, name in zip(edges, names, strict=True)]
    begun = told(task, edges, prompt_codec, seed_codec)
    plan = Plan((*begun, *inferred, *sent, *best_of(task, DEVICE, names)), IMAGE)

    def fewer(alive: Sequence[NodeId], arrived: Arrived) -> list[Plan]:
        there = tuple(name for name in names if (DEVICE, name) in arrived)
        return [Plan(best_of(task, DEVICE, there), IMAGE)] if there else []

    return resilient(plan, task, edges, fewer)


def dsuc(
    model: DiffusionModel,
    prompt_codec: AnyCodec,
    seed_codec: AnyCodec,
    sketch_codec: AnyCodec,
    edges: tuple[NodeId, ...] = (EDGE,),
    strength: float | None = None,
) -> Plan:
    """Distributed sketching, user-equipment completing: every edge sketches a region, the device merges and completes.

    device: prompt ==up==> edges: half of the steps whole, the others, decoder and sketch on a region
        ==sketch_k down==> device: merge, completing

    Args:
        model: whose parts run.
        prompt_codec: carries the prompt.
        seed_codec: carries the latent of the picture up.
        sketch_codec: carries the sketch of a region; an `EdgeMap` that of its outlines, any other one a small picture.
        edges: 1 to 4.
        strength: of image-to-image.
    """
    task, regions = Task.of(model, strength), regions_of(model, len(edges))
    pieces = tuple(f"sketch_{k}" for k in range(1, len(edges) + 1))

    def shared_by(owners: Sequence[NodeId]) -> Plan:
        helping = tuple(dict.fromkeys(owner for owner in owners if owner != DEVICE))
        made: list[Step] = []
        for k, (owner, region) in enumerate(zip(owners, regions, strict=True), 1):
            drawn = Renamed(
                sketcher(model, sketch_codec, _picture(task, region)),
                {"image": f"image_{k}"},
                {"sketch": pieces[k - 1]},
            )
            made += (*_region(task, owner, region, k, 0), Compute(owner, drawn))
            made += _down(owner, pieces[k - 1], sketch_codec)
        begun = asked(task, helping, prompt_codec, seed_codec) if helping else task.begun(DEVICE, 0)
        return Plan(
            (*begun, *made, merged_sketch(task, sketch_codec, regions, pieces), *completed(task, sketch_codec)), IMAGE
        )

    def replaced(alive: Sequence[NodeId], arrived: Arrived) -> list[Plan]:
        return [shared_by(owners) for owners in _owners(edges, alive, "sketch", arrived)]

    return resilient(shared_by(edges), task, edges, replaced)


def _picture(task: Task, region: Region) -> Spec:
    return region.scaled(picture_scale(task.model)).of(task.model.image)


def _region(task: Task, owner: NodeId, region: Region, index: int, start: int) -> tuple[Compute, ...]:
    """A region of the picture on one node: whole steps, then steps and decoder on the region alone."""
    middle = start + (task.num_steps - start) // 2
    latent, crop, piece = task.latent(middle), f"crop_{index}", f"latent_{index}"
    share = area(region, task)
    denoiser = regional(task.denoiser[middle:], region)
    decoder = regional(task.model.decoder, region)
    return (
        Compute(owner, task.model.text_encoder),
        *task.infer(owner, start, middle)[1:],
        Compute(owner, Crop(latent, task.model.latent, region, crop)),
        Compute(owner, Renamed(denoiser, {"latent": crop}, {"latent": piece}, share=share)),
        Compute(owner, Renamed(decoder, {"latent": piece}, {"image": f"image_{index}"}, share=share)),
    )


def _down(owner: NodeId, tensor: str, codec: AnyCodec) -> tuple[Transfer, ...]:
    return () if owner == DEVICE else (Transfer(owner, (DEVICE,), tensor, codec),)


def _merge(task: Task, regions: Sequence[Region]) -> Compute:
    names = tuple(f"image_{k}" for k in range(1, len(regions) + 1))
    rectangles = tuple(region.scaled(picture_scale(task.model)) for region in regions)
    return Compute(DEVICE, Merge(names, rectangles, task.model.image, "image"))


def _owners(edges: Sequence[NodeId], alive: Sequence[NodeId], piece: str, arrived: Arrived) -> list[list[NodeId]]:
    """Who makes which region when edges died: one of the living; the device, if it has a region but nobody lives."""
    has_pieces = any((DEVICE, f"{piece}_{k}") in arrived for k in range(1, len(edges) + 1))
    others = alive or ([DEVICE] if has_pieces else [])
    return [[edge if edge in alive else other for edge in edges] for other in others]
