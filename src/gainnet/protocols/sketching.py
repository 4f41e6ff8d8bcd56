"""Sketches that a device completes: a map of outlines or a small picture, as their codec requires."""

from __future__ import annotations

from collections.abc import Sequence

from gainnet.codecs.codec import AnyCodec
from gainnet.codecs.edge_map import EdgeMap
from gainnet.core.types import Spec
from gainnet.models.completing import completion, completion_of_edges
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.part import Part, TensorMap
from gainnet.models.regions import Region, merge, picture_scale
from gainnet.models.sketches import edge_sketch, picture_sketch, sketch_factor
from gainnet.network.scenario import DEVICE
from gainnet.protocols.plan import Compute
from gainnet.protocols.task import Task

EDGES_PER_LATENT = 4
"""Pixels of a map of edges per entry of the latent, along one side; outlines need more of them than colours."""


def sketcher(model: DiffusionModel, codec: AnyCodec, image: Spec | None = None) -> TensorMap:
    """Part that draws the sketch of a picture, or of a region of one.

    Args:
        model: whose pictures are sketched.
        codec: carries the sketch: an `EdgeMap` a map of outlines, four by four pixels per entry of the latent; any
            other codec a small picture, one pixel per entry.
        image: shape of a region; of the whole picture when `None`.
    """
    # The codec decides what a sketch is: no other codec makes sense of a binary map, and an EdgeMap of nothing else.
    drawn, scale = model.image if image is None else image, picture_scale(model)
    if isinstance(codec, EdgeMap):
        return edge_sketch(drawn, max(1, scale // EDGES_PER_LATENT))
    return picture_sketch(drawn, scale)


def completed(task: Task, codec: AnyCodec) -> tuple[Compute, ...]:
    """The device makes the picture from the prompt and the sketch: prompt, sketch -> image."""
    sketch = sketcher(task.model, codec).writes["sketch"]
    complete = completion_of_edges if isinstance(codec, EdgeMap) else completion
    parts: tuple[Part, ...] = complete(task.model, sketch)
    return Compute(DEVICE, task.model.text_encoder), *(Compute(DEVICE, part) for part in parts)


def merged_sketch(task: Task, codec: AnyCodec, regions: Sequence[Region], pieces: tuple[str, ...]) -> Compute:
    """The device puts the sketches of regions together, without a seam: pieces -> sketch."""
    # Regions are given on the latent; a sketch is finer than it and coarser than the picture.
    sketch, scale = sketcher(task.model, codec).writes["sketch"], picture_scale(task.model)
    factor = sketch_factor(task.model.image, sketch)
    rectangles = tuple(region.scaled(scale).shrunk(factor) for region in regions)
    return Compute(DEVICE, merge(pieces, rectangles, sketch, "sketch"))
