"""The refiner: a small convolutional network that corrects a decoded latent as an arrangement in space."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from gainnet.codecs.seed_codec.trunk import described_by, rms_norm, zero_out

REACH = 1.5
"""Patches over which the weights of a new convolution fall to 1 / e."""

LOCAL_REACH = 7
"""Patches that a convolution on a large grid reaches to every side."""

MOST_WHOLE = 256
"""Patches of a grid up to which a convolution reaches everywhere."""


class Convolution(nn.Module):
    """A depthwise convolution as wide as the whole grid: what a patch gets of another depends on how they lie.

    Computed as the product with its matrix, several times faster on a processor than a sliding kernel.

    >>> Convolution(3, (2, 4))(torch.zeros(5, 8, 3)).shape
    torch.Size([5, 8, 3])
    """

    places: Tensor

    def __init__(self, width: int, grid: tuple[int, int]) -> None:
        super().__init__()
        rows, columns = torch.cartesian_prod(*(torch.arange(size) for size in grid)).T
        down, across = rows[:, None] - rows, columns[:, None] - columns
        # Index of the kernel's weight for every pair of patches: the offset between them, counted from its least.
        places = (down + grid[0] - 1) * (2 * grid[1] - 1) + across + grid[1] - 1
        self.register_buffer("places", places, persistent=False)
        # New kernels fall off with distance, as neighbours tell most about a patch.
        offsets = torch.cartesian_prod(*(torch.arange(1.0 - size, size) for size in grid))
        self.kernel = nn.Parameter(0.1 * torch.randn(width, len(offsets)) * (-offsets.norm(dim=1) / REACH).exp())

    def forward(self, x: Tensor) -> Tensor:
        """[n, num_patches, width] of as many."""
        return torch.bmm(x.permute(2, 0, 1), self.kernel[:, self.places]).permute(1, 2, 0)


class LocalConvolution(nn.Module):
    """A depthwise convolution of 15 x 15 patches, for grids whose matrix of all pairs would not fit the memory.

    >>> LocalConvolution(3, (2, 4))(torch.zeros(5, 8, 3)).shape
    torch.Size([5, 8, 3])
    """

    def __init__(self, width: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.grid = grid
        offsets = torch.cartesian_prod(*(torch.arange(-LOCAL_REACH, LOCAL_REACH + 1.0),) * 2)
        self.kernel = nn.Parameter(0.1 * torch.randn(width, len(offsets)) * (-offsets.norm(dim=1) / REACH).exp())

    def forward(self, x: Tensor) -> Tensor:
        """[n, num_patches, width] of as many."""
        side = 2 * LOCAL_REACH + 1
        maps = x.transpose(1, 2).unflatten(2, self.grid)
        kernel = self.kernel.unflatten(1, (1, side, side))
        return functional.conv2d(maps, kernel, padding=LOCAL_REACH, groups=x.shape[2]).flatten(2).transpose(1, 2)


def convolution(width: int, grid: tuple[int, int]) -> nn.Module:
    """The convolution that suits a grid of patches (rows, columns): wide as all of it, unless it is large."""
    return (Convolution if grid[0] * grid[1] <= MOST_WHOLE else LocalConvolution)(width, grid)


class RefinerBlock(nn.Module):
    """Depthwise convolution, then two layers over channels (Liu et al. 2022, ConvNeXt), each added to its input.

    What the two layers read is scaled and shifted, and what they say is gated, by the condition.
    """

    def __init__(self, width: int, grid: tuple[int, int], condition_width: int) -> None:
        super().__init__()
        self.near = convolution(width, grid)
        self.first, self.second = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.modulation = zero_out(nn.Linear(condition_width, 3 * width))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """[n, num_patches, width] of as many and conditions [n, condition_width]."""
        scale, shift, gate = self.modulation(condition)[:, None].chunk(3, -1)
        near = x + self.near(x)
        read = rms_norm(near) * (1 + scale) + shift
        change: Tensor = (1 + gate) * self.second(functional.gelu(self.first(read), approximate="tanh"))
        return cast(Tensor, near + change)


class Refiner(nn.Module):
    """Decoded latents to corrections of them, in units of their error; nothing before training.

    latent [n, channels, height, width] --> patches of 2x2 --> blocks --> [n, num_values]

    Args:
        shape: of a latent.
        width: of a patch inside.
        num_blocks: how deep.
        num_features: numbers that describe the channel and what it left.
        prompt_width: of the vector that a prompt becomes.
        condition_width: of what both become.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        width: int,
        num_blocks: int,
        num_features: int,
        prompt_width: int,
        condition_width: int,
    ) -> None:
        super().__init__()
        channels, height, across = shape
        self.shape, self.patch = ((channels, height, across), 2 - max(height % 2, across % 2))
        self.grid = height // self.patch, across // self.patch
        size = channels * self.patch**2
        self.features = described_by(num_features, condition_width)
        self.prompt = nn.Linear(prompt_width, condition_width)
        self.first = nn.Linear(size, width)
        self.place = nn.Parameter(0.02 * torch.randn(self.grid[0] * self.grid[1], width))
        self.start = nn.Linear(condition_width, width)
        self.blocks = nn.ModuleList(RefinerBlock(width, self.grid, condition_width) for _ in range(num_blocks))
        self.last_scale = zero_out(nn.Linear(condition_width, width))
        self.last = zero_out(nn.Linear(width, size))

    def forward(self, latents: Tensor, features: Tensor, prompt: Tensor) -> Tensor:
        """[n, num_values] of latents [n, num_values], features [n, num_features], prompts [n, prompt_width]."""
        condition = functional.silu(self.features(features) + self.prompt(prompt))
        patches = functional.pixel_unshuffle(latents.unflatten(1, self.shape), self.patch).flatten(2).transpose(1, 2)
        x = self.first(patches) + self.place + self.start(condition)[:, None]
        for block in self.blocks:
            x = block(x, condition)
        change = cast(Tensor, self.last(rms_norm(x) * (1 + self.last_scale(condition))[:, None]))
        return functional.pixel_shuffle(change.transpose(1, 2).unflatten(2, self.grid), self.patch).flatten(1)
