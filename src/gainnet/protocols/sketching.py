"""Sketches of an edge that a device completes."""

from __future__ import annotations

from collections.abc import Sequence

from gainnet.core.types import Spec
from gainnet.models.completing import completion
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.regions import Merge, Region, picture_scale
from gainnet.models.sketches import PictureSketch
from gainnet.network.scenario import DEVICE
from gainnet.protocols.plan import Compute
from gainnet.protocols.task import Task


def sketcher(model: DiffusionModel, image: Spec | None = None) -> PictureSketch:
    """What draws the sketch of a picture, or of a region of one: a pixel per entry of the latent.

    Args:
        model: whose pictures are sketched.
        image: shape of a region of them; the whole when `None`.
    """
    return PictureSketch(model.image if image is None else image, picture_scale(model))


def completed(task: Task) -> tuple[Compute, ...]:
    """The device makes the picture from the prompt and the sketch: prompt, sketch -> image."""
    parts = completion(task.model, sketcher(task.model))
    return Compute(DEVICE, task.model.text_encoder), *(Compute(DEVICE, part) for part in parts)


def merged_sketch(task: Task, regions: Sequence[Region], pieces: tuple[str, ...]) -> Compute:
    """The device puts the sketches of regions together, without a seam: pieces -> sketch."""
    drawn, scale = sketcher(task.model), picture_scale(task.model)
    rectangles = tuple(region.scaled(scale).shrunk(drawn.factor) for region in regions)
    return Compute(DEVICE, Merge(pieces, rectangles, drawn.writes["sketch"], "sketch"))
