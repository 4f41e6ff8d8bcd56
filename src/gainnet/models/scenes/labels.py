"""Attributes as class indices, for what is trained on them and what is judged by them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gainnet.models.scenes.captions import Scene, Thing
from gainnet.models.scenes.scene import COLOURS, LAYOUTS, SETTINGS, SHAPES, SIZES, Scenes

UNNAMED = -100
"""The label of what a caption leaves open; torch's cross entropy leaves it out."""

ATTRIBUTES: dict[str, int] = {
    "background": len(SETTINGS),
    "layout": len(LAYOUTS),
    "first_shape": len(SHAPES),
    "first_colour": len(COLOURS),
    "first_size": len(SIZES),
    "second_shape": len(SHAPES),
    "second_colour": len(COLOURS),
    "second_size": len(SIZES),
}
"""Attribute -> number of its classes, in the order of the label columns."""


def scene_labels(scenes: Scenes) -> Tensor:
    """[n, 8], the classes of all attributes; those of the second thing are `UNNAMED` where there is a single one.

    >>> from gainnet.models.scenes.scene import draw_scenes, stream
    >>> scene_labels(draw_scenes(3, stream(0, "doctest", 0))).shape
    torch.Size([3, 8])
    """
    columns = [scenes.background, scenes.layout]
    for slot in range(2):
        columns += [scenes.shape[:, slot], scenes.colour[:, slot], scenes.size[:, slot]]
    labels = torch.stack([torch.from_numpy(column) for column in columns], dim=1)
    labels[labels[:, 1] == LAYOUTS.index("single"), 5:] = UNNAMED
    return labels


def _thing_labels(thing: Thing) -> list[int]:
    size = UNNAMED if thing.size is None else SIZES.index(thing.size)
    return [SHAPES.index(thing.shape), COLOURS.index(thing.colour), size]


def caption_labels(parsed: Sequence[Scene | None]) -> Tensor:
    """[n, 8], the classes that captions name, `UNNAMED` for what they leave open.

    Args:
        parsed: what `parse` made of the captions; None names nothing.

    >>> from gainnet.models.scenes.captions import parse
    >>> caption_labels([parse("a red star at night")]).tolist()
    [[1, 0, 3, 0, -100, -100, -100, -100]]
    """
    labels = torch.full((len(parsed), len(ATTRIBUTES)), UNNAMED)
    for row, scene in zip(labels, parsed, strict=True):
        if scene is not None:
            things = [label for thing in scene.things for label in _thing_labels(thing)]
            setting = UNNAMED if scene.setting is None else SETTINGS.index(scene.setting)
            row[: 2 + len(things)] = torch.tensor([setting, LAYOUTS.index(scene.layout), *things])
    return labels
