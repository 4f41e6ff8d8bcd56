"""A picture shared by several nodes: regions with overlap, parts that work on one, and their smooth merge."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError, check_range
from gainnet.core.randomness import Random
from gainnet.core.types import Spec, Tensors
from gainnet.models.diffusion import Decoder, Denoiser, DiffusionModel
from gainnet.models.part import TensorMap


@final
@dataclass(frozen=True)
class Region:
    """A rectangle of a tensor [channels, height, width].

    Args:
        top: first row.
        left: first column.
        height: rows, >= 1.
        width: columns, >= 1.

    >>> Region(0, 4, 16, 12).scaled(8)
    Region(top=0, left=32, height=128, width=96)
    """

    top: int
    left: int
    height: int
    width: int

    def scaled(self, factor: int) -> Region:
        """The same rectangle of a tensor that is larger by a factor."""
        return Region(self.top * factor, self.left * factor, self.height * factor, self.width * factor)

    def shrunk(self, factor: int) -> Region:
        """The same rectangle of a tensor that is smaller by a factor.

        Raises:
            ConfigError: an edge of the rectangle would not fall between two entries.
        """
        numbers = (self.top, self.left, self.height, self.width)
        if any(number % factor for number in numbers):
            raise ConfigError(f"region: {numbers} is not divisible by {factor}")
        return Region(*(number // factor for number in numbers))

    def of(self, spec: Spec) -> Spec:
        """Shape of this region of a tensor."""
        return Spec((spec.shape[0], self.height, self.width))

    def cut(self, x: Tensor) -> Tensor:
        """[..., height, width], this region of [..., rows, columns]."""
        return x[..., self.top : self.top + self.height, self.left : self.left + self.width]


def regions_of(model: DiffusionModel, num_regions: int, overlap: int | None = None) -> tuple[Region, ...]:
    """Regions of a model's latent with overlap: columns for 1, 2 or 3, two by two for 4.

    Their edges lie where the denoiser can take them, for a UNet where it can still halve them.

    Args:
        model: whose latent is shared.
        num_regions: 1 to 4.
        overlap: entries that neighbours share, a multiple of what the UNet halves to; a quarter of the side by default.

    Raises:
        ConfigError: a number is out of range.

    >>> from gainnet.models.loading import load_model
    >>> regions_of(load_model("scenes"), 2)
    (Region(top=0, left=0, height=16, width=12), Region(top=0, left=4, height=16, width=12))
    """
    _, height, width = model.latent.shape
    # A UNet halves its input at every level but the last; a region has to stay even that often.
    grain = model.family.grain(model.denoiser.network.config)
    shared = _rounded_up(min(height, width) / 4, grain) if overlap is None else overlap
    check_range(num_regions in (1, 2, 3, 4), "num_regions", num_regions, "1 to 4")
    fits = shared % grain == 0 and 0 < shared < min(height, width)
    check_range(fits, "overlap", shared, f"a multiple of {grain} below {min(height, width)}")
    rows, columns = (2, 2) if num_regions == 4 else (1, num_regions)
    return tuple(
        Region(top, left, tall, wide)
        for top, tall in _spans(height, rows, shared, grain)
        for left, wide in _spans(width, columns, shared, grain)
    )


def picture_scale(model: DiffusionModel) -> int:
    """Pixels of a picture per entry of its latent, along one side."""
    return model.image.shape[-1] // model.latent.shape[-1]


def crop_of(whole: str, spec: Spec, region: Region, piece: str) -> TensorMap:
    """A region of a tensor as a tensor of its own.

    whole [*batch, c, H, W] --> piece [*batch, c, h, w]

    Args:
        whole: name of the tensor.
        spec: its shape.
        region: rectangle that is taken.
        piece: name of what is taken.
    """

    def cropped(tensors: Tensors, random: Random) -> Tensors:
        return {piece: region.cut(tensors[whole]).clone()}

    return TensorMap(f"crop -> {piece}", (whole,), {piece: region.of(spec)}, cropped)


def merge(pieces: tuple[str, ...], regions: tuple[Region, ...], spec: Spec, whole: str) -> TensorMap:
    r"""Regions back to the whole, with weights that go smoothly from one to the next where they overlap.

    $x = \sum_k w_k x_k$ with the weights of `blending_weights`

    Args:
        pieces: names of the regions' tensors.
        regions: their rectangles; together they cover the whole.
        spec: shape of the whole.
        whole: its name.

    Raises:
        ConfigError: the regions do not cover the whole, or are not as many as the pieces.
    """
    if len(pieces) != len(regions):
        raise ConfigError(f"pieces: {len(pieces)} names for {len(regions)} regions; must be one for each")
    weights = blending_weights(regions, spec)

    def merged(tensors: Tensors, random: Random) -> Tensors:
        first = tensors[pieces[0]]
        x = first.new_zeros((*random.batch, *spec.shape))
        for key, region, weight in zip(pieces, regions, weights, strict=True):
            region.cut(x).add_(tensors[key] * region.cut(weight).to(first))
        return {whole: x}

    return TensorMap(f"merge -> {whole}", pieces, {whole: spec}, merged)


def blending_weights(regions: tuple[Region, ...], spec: Spec) -> Tensor:
    r"""[num_regions, height, width], weight of every region; they sum to 1 everywhere.

    $w_k / \sum_k w_k$, where $w_k$ rises from the edge of region k like a squared sine over the overlap
    (MultiDiffusion, Bar-Tal et al. 2023, eq. 5, with smooth weights)

    Args:
        regions: rectangles that cover the whole.
        spec: shape of the whole, (channels, height, width).

    Raises:
        ConfigError: they do not cover it.

    >>> weights = blending_weights((Region(0, 0, 1, 3), Region(0, 1, 1, 3)), Spec((1, 1, 4)))
    >>> [round(float(w), 2) for w in weights[0].flatten()]
    [1.0, 0.85, 0.15, 0.0]
    """
    profiles = torch.zeros(len(regions), *spec.shape[1:])
    for profile, region in zip(profiles, regions, strict=True):
        rows = _rise(region.top, region.height, [(r.top, r.height) for r in regions])
        columns = _rise(region.left, region.width, [(r.left, r.width) for r in regions])
        region.cut(profile).copy_(rows[:, None] * columns)
    total = profiles.sum(0)
    if not bool((total > 0).all()):
        raise ConfigError(f"regions: {regions} do not cover a tensor of shape {spec.shape}")
    return profiles / total


def _rise(first: int, length: int, spans: list[tuple[int, int]]) -> Tensor:
    """[length], squared sine from each edge that lies inside the whole, over the overlap with the neighbour."""
    positions = torch.arange(length) + 0.5
    weights = torch.ones(length)
    before = max((f + n - first for f, n in spans if f < first < f + n), default=0)
    after = max((first + length - f for f, n in spans if f < first + length < f + n), default=0)
    for shared, distance in ((before, positions), (after, length - positions)):
        if shared:
            # sin^2 and its mirror image cos^2 sum to 1: no seam where two regions overlap.
            weights = weights * torch.sin((distance / shared).clamp_max(1.0) * math.pi / 2).square()
    return weights


def regional(part: Denoiser | Decoder, region: Region) -> Denoiser | Decoder:
    """A denoiser or a decoder that works on a region of the latent.

    Args:
        part: of the whole latent.
        region: rectangle of the latent.

    >>> from gainnet.models.loading import load_model
    >>> model = load_model("scenes")
    >>> part = regional(model.decoder, regions_of(model, 2)[1])
    >>> part.writes, part.flops / model.decoder.flops
    ({'image': Spec(shape=(3, 128, 96))}, 0.75)
    """
    latent = region.of(part.latent)
    if isinstance(part, Denoiser):
        return replace(part, latent=latent)
    scale = part.image.shape[-1] // part.latent.shape[-1]
    return replace(part, latent=latent, image=region.scaled(scale).of(part.image))


def _rounded_up(x: float, grain: int) -> int:
    return max(grain, math.ceil(x / grain) * grain)


def _spans(side: int, count: int, shared: int, grain: int) -> list[tuple[int, int]]:
    """(first, length) of `count` spans of equal length that cover a side and share at least `shared` entries."""
    if count == 1:
        return [(0, side)]
    # `count` spans share their overlaps: together they are that much longer than the side.
    length = _rounded_up((side + (count - 1) * shared) / count, grain)
    if length >= side:
        raise ConfigError(f"num_regions: a side of {side} entries is too short for {count} regions with overlap")
    last = side - length
    return [(round(last * i / (count - 1) / grain) * grain, length) for i in range(count)]
