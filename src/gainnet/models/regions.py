"""A picture shared by several nodes: regions with overlap, parts that work on one, and their smooth merge."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.types import Spec, Tensors
from gainnet.models.diffusion import Decoder, Denoiser, DiffusionModel
from gainnet.models.part import Role
from gainnet.models.tensor_map import TensorMap


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

    Their edges lie where the UNet can still halve them.

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
    # The UNet halves its input at every level but the last; a region has to stay even that often.
    grain = 2 ** (len(model.pipeline.unet.config.block_out_channels) - 1)
    shared = _rounded_up(min(height, width) / 4, grain) if overlap is None else overlap
    if num_regions not in (1, 2, 3, 4):
        raise ConfigError(f"num_regions: must be 1 to 4, not {num_regions}")
    if shared % grain or not 0 < shared < min(height, width):
        raise ConfigError(f"overlap: must be a multiple of {grain} below {min(height, width)}, not {shared}")
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


@final
@dataclass(frozen=True)
class Merge:
    r"""Regions back to the whole, with weights that go smoothly from one to the next where they overlap.

    $x = \sum_k w_k x_k / \sum_k w_k$, where $w_k$ rises from the edge of region k like a squared sine over the overlap
    (MultiDiffusion, Bar-Tal et al. 2023, eq. 5, with smooth weights)

    Args:
        pieces: names of the regions' tensors.
        regions: their rectangles; together they cover the whole.
        spec: shape of the whole.
        whole: its name.

    Raises:
        ConfigError: the regions do not cover the whole, or are not as many as the pieces.

    >>> left, right = Region(0, 0, 1, 3), Region(0, 1, 1, 3)
    >>> merge = Merge(("a", "b"), (left, right), Spec((1, 1, 4)), "x")
    >>> [round(float(w), 2) for w in merge.weights[0].flatten()]
    [1.0, 0.85, 0.15, 0.0]
    """

    pieces: tuple[str, ...]
    regions: tuple[Region, ...]
    spec: Spec
    whole: str
    role: Role = "other"
    num_passes: int = 1
    flops: float = 0.0
    memory_bytes: float = 0.0

    def __post_init__(self) -> None:
        if len(self.pieces) != len(self.regions):
            raise ConfigError(f"pieces: {len(self.pieces)} names for {len(self.regions)} regions")
        if not bool((self._profiles.sum(0) > 0).all()):
            raise ConfigError(f"regions: {self.regions} do not cover a tensor of shape {self.spec.shape}")

    @property
    def name(self) -> str:
        return f"merge -> {self.whole}"

    @property
    def reads(self) -> tuple[str, ...]:
        return self.pieces

    @property
    def writes(self) -> Mapping[str, Spec]:
        return {self.whole: self.spec}

    @cached_property
    def weights(self) -> Tensor:
        """[num_regions, height, width], weight of every region; they sum to 1 everywhere."""
        return self._profiles / self._profiles.sum(0)

    def __call__(self, tensors: Tensors, random: Random) -> Tensors:
        first = tensors[self.pieces[0]]
        whole = first.new_zeros((*random.batch, *self.spec.shape))
        for key, region, weights in zip(self.pieces, self.regions, self.weights, strict=True):
            region.cut(whole).add_(tensors[key] * region.cut(weights).to(first))
        return {self.whole: whole}

    @cached_property
    def _profiles(self) -> Tensor:
        """[num_regions, height, width], weights before they are normalised; 0 outside of the region."""
        _, height, width = self.spec.shape
        profiles = torch.zeros(len(self.regions), height, width)
        for profile, region in zip(profiles, self.regions, strict=True):
            rows = self._rise(region.top, region.height, height, [(r.top, r.height) for r in self.regions])
            columns = self._rise(region.left, region.width, width, [(r.left, r.width) for r in self.regions])
            region.cut(profile).copy_(rows[:, None] * columns)
        return profiles

    @staticmethod
    def _rise(first: int, length: int, side: int, spans: list[tuple[int, int]]) -> Tensor:
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
