"""Drawing scenes: anti-aliased pictures from signed distances, in batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from gainnet.models.scenes.backgrounds import PAINTERS
from gainnet.models.scenes.scene import LAYOUTS, SETTINGS, Scenes
from gainnet.models.scenes.shapes import TABLE_REACH, distance_tables

SIDE = 128
OUTLINE_PIXELS = 2.0
PALETTE = (
    (226, 36, 42),
    (250, 140, 24),
    (252, 226, 50),
    (46, 168, 62),
    (44, 92, 232),
    (140, 58, 190),
    (250, 130, 190),
    (250, 250, 250),
)


@final
@dataclass(frozen=True)
class Style:
    """How scenes are drawn.

    Args:
        rim_pixels: width of the outline of a thing.
        rim: its colour in [0, 1]; half of the thing's own when `None`.
        wash: share of paper in the background, in [0, 1].
        paper: colour of the paper in [0, 1].
    """

    rim_pixels: float = OUTLINE_PIXELS
    rim: tuple[float, float, float] | None = None
    wash: float = 0.0
    paper: tuple[float, float, float] = (1.0, 1.0, 1.0)


PLAIN = Style()
STICKERS = Style(5.0, (1.0, 1.0, 1.0), 0.5, (0.98, 0.93, 0.82))
"""Things as stickers with a broad white rim, on a background that is half washed out to the cream of paper."""


def _axis() -> Tensor:
    return (torch.arange(SIDE) + 0.5) / SIDE


def _backgrounds(scenes: Scenes) -> Tensor:
    x, y = _axis().view(1, 1, SIDE), _axis().view(1, SIDE, 1)
    u = torch.from_numpy(scenes.nuisance)[:, 8:, None, None]
    background = torch.from_numpy(scenes.background)
    pictures = torch.empty(len(scenes), 3, SIDE, SIDE)
    for index, setting in enumerate(SETTINGS):
        mine = (background == index).nonzero()[:, 0]
        if len(mine):
            pictures[mine] = PAINTERS[setting](x, y, u[mine])
    return pictures


def _centres(scenes: Scenes) -> Tensor:
    """[n, 2 things, (x, y)], centres in pixels."""
    u = torch.from_numpy(scenes.nuisance)
    layout = torch.from_numpy(scenes.layout)
    jitter = u[:, :4].unflatten(1, (2, 2)) - 0.5
    sign = torch.tensor([-1.0, 1.0])
    # about 62 pixels apart, two things of 29 pixels radius do not overlap and stay in the picture
    apart = torch.stack((31 * sign + 64, torch.full((2,), 64.0)), dim=-1)
    spread = torch.tensor([4.0, 44.0])
    along_x, along_y = apart + jitter * spread, apart.flip(-1) + jitter * spread.flip(-1)
    single = 64 + jitter * 48
    index = layout.view(-1, 1, 1)
    two = torch.where(index == LAYOUTS.index("horizontal"), along_x, along_y)
    return torch.where(index == LAYOUTS.index("single"), single, two)


def _radii(scenes: Scenes) -> Tensor:
    """[n, 2 things], radii in pixels: 19-21 are small, 27-29 large."""
    return 19 + 8.0 * torch.from_numpy(scenes.size) + 2 * torch.from_numpy(scenes.nuisance[:, 4:6])


def _distances(scenes: Scenes, slot: int) -> Tensor:
    """[n, 128, 128], distance in pixels to the outline of one thing of each scene."""
    radius = _radii(scenes)[:, slot].view(-1, 1, 1)
    centre = _centres(scenes)[:, slot]
    axis = _axis() * SIDE
    x = ((axis - centre[:, :1])[:, None, :] / radius).expand(-1, SIDE, SIDE)
    y = ((axis - centre[:, 1:])[:, :, None] / radius).expand(-1, SIDE, SIDE)
    # Looked up and scaled by the radius, which is far faster than distances to polygons for every scene.
    tables = distance_tables()[torch.from_numpy(scenes.shape[:, slot])][:, None]
    grid = torch.stack((x, y), dim=-1) / TABLE_REACH
    return functional.grid_sample(tables, grid, padding_mode="border", align_corners=False)[:, 0] * radius


def render(scenes: Scenes, style: Style = PLAIN) -> Tensor:
    """[n, 3, 128, 128], the pictures of scenes, pixels in [0, 1].

    A thing is filled with its colour, a little darker towards the bottom, inside an outline of half that brightness, or
    as the style says.

    >>> from gainnet.models.scenes.scene import draw_scenes, stream
    >>> render(draw_scenes(2, stream(0, "doctest", 0))).shape
    torch.Size([2, 3, 128, 128])
    """
    pictures = _backgrounds(scenes)
    if style.wash:
        pictures = torch.lerp(pictures, torch.tensor(style.paper).view(3, 1, 1), style.wash)
    shade = (1.04 - 0.12 * _axis()).view(1, 1, SIDE, 1)
    visible = torch.from_numpy(scenes.layout).view(-1, 1) >= torch.tensor([0, 1])
    palette = torch.tensor(PALETTE) / 255
    for slot in range(2):
        mine = visible[:, slot].nonzero()[:, 0]
        drawn = scenes[mine.numpy()]
        distance = _distances(drawn, slot)[:, None]
        colour = palette[torch.from_numpy(drawn.colour[:, slot])][:, :, None, None]
        # Coverage of a pixel by a distance within half a pixel of the edge: anti-aliasing without supersampling.
        outside, inside = (0.5 - distance).clamp(0, 1), (0.5 - style.rim_pixels - distance).clamp(0, 1)
        rim = 0.5 * colour if style.rim is None else torch.tensor(style.rim).view(3, 1, 1)
        picture = torch.lerp(pictures[mine], rim, outside)
        pictures[mine] = torch.lerp(picture, colour * shade, inside)
    return pictures.clamp(0, 1)
