"""The networks of the transform code: latents to values, what is known of values from those before, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from gainnet.codecs.seed_codec.trunk import zero_out
from gainnet.core.errors import ConfigError

PATCH = 2
NUM_ANCHORS = 9
QUALITIES_PER_ANCHOR = 8
NUM_QUALITIES = QUALITIES_PER_ANCHOR * (NUM_ANCHORS - 1)


@final
@dataclass(frozen=True)
class TransformShape:
    """Sizes of the networks.

    Args:
        latent: (channels, height, width) of the latents; height and width are even.
        num_words: indices of the vocabulary of prompts; 0 is no word.
        channel_groups: values of a patch are coded in groups of so many; the first group goes in three passes over
            the patches: every other one of every other row, those diagonally between them, and the others.
        entropy_width: width of the networks that predict a group.
        place_width: numbers that say where a patch is.
        encoder_width: width of the analysis transformer, a multiple of 32.
        encoder_blocks: its blocks.
        decoder_width: width of the synthesis transformer, a multiple of 32.
        decoder_blocks: its blocks.
        word_width: numbers per word.
        prompt_width: numbers that a prompt becomes.
    """

    latent: tuple[int, int, int]
    num_words: int
    channel_groups: tuple[int, ...] = (4, 4, 4, 4)
    entropy_width: int = 64
    place_width: int = 8
    encoder_width: int = 96
    encoder_blocks: int = 3
    decoder_width: int = 128
    decoder_blocks: int = 4
    word_width: int = 24
    prompt_width: int = 64

    @staticmethod
    def read(sizes: Mapping[str, Any]) -> TransformShape:
        """The sizes of a `config.json`, where tuples are lists; raises `TypeError` where one is unknown or missing."""
        read: dict[str, Any] = {name: tuple(x) if isinstance(x, list) else x for name, x in sizes.items()}
        return TransformShape(**read)

    def of_latents(self, latent: tuple[int, int, int], num_words: int) -> TransformShape:
        """The same sizes for other latents, whose patches are coded in four groups as well.

        Raises:
            ConfigError: a side of the latent is odd.

        >>> TransformShape((4, 16, 16), 3).of_latents((32, 8, 12), 5).channel_groups
        (32, 32, 32, 32)
        """
        if latent[1] % PATCH or latent[2] % PATCH:
            raise ConfigError(
                f"model: its latents of {latent[1]} x {latent[2]} have an odd side; transform takes even ones: "
                "leave it out, or give another height and width"
            )
        return replace(self, latent=latent, num_words=num_words, channel_groups=(latent[0] * PATCH**2 // 4,) * 4)

    @property
    def grid(self) -> tuple[int, int]:
        """Patches down and across."""
        return self.latent[1] // PATCH, self.latent[2] // PATCH

    @property
    def num_patches(self) -> int:
        return self.grid[0] * self.grid[1]

    @property
    def patch_size(self) -> int:
        """Entries of a patch."""
        return self.latent[0] * PATCH * PATCH

    @property
    def num_values(self) -> int:
        """Values that are coded, as many as a latent has entries."""
        return self.num_patches * self.patch_size

    def groups(self) -> tuple[Tensor, ...]:
        """Which values are coded together; value (c, row, column) has the index of a tensor [patch_size, *grid].

        >>> [len(group) for group in TransformShape((4, 16, 16), 3).groups()]
        [64, 64, 128, 256, 256, 256]
        """
        places = torch.arange(self.num_values).view(self.patch_size, *self.grid)
        odd = torch.meshgrid(*(torch.arange(size) % 2 for size in self.grid), indexing="ij")
        first, *others = places.split(self.channel_groups)
        # Checkerboards: a patch's values are predicted from patches on all sides instead of only from those before it.
        passes = ((odd[0] + odd[1] == 0), (odd[0] + odd[1] == 2), (odd[0] + odd[1] == 1))
        return (*(first[:, kept].flatten() for kept in passes), *(other.flatten() for other in others))

    def channels(self) -> tuple[tuple[int, int], ...]:
        """Of every group, how many channels have values before it, and how many its own values are in.

        >>> TransformShape((4, 16, 16), 3).channels()
        ((0, 4), (4, 4), (4, 4), (4, 4), (8, 4), (12, 4))
        """
        size, *others = self.channel_groups
        later = tuple((sum(self.channel_groups[: k + 1]), other) for k, other in enumerate(others))
        return ((0, size), (size, size), (size, size), *later)

    @property
    def condition_width(self) -> int:
        """Numbers that say quality and prompt."""
        return NUM_ANCHORS + self.prompt_width


def to_patches(x: Tensor, shape: TransformShape) -> Tensor:
    """[batch, num_patches, patch_size] of latents [batch, num_values]."""
    return functional.pixel_unshuffle(x.unflatten(1, shape.latent), PATCH).flatten(2).transpose(1, 2)


def from_patches(x: Tensor, shape: TransformShape) -> Tensor:
    """[batch, num_values] of patches [batch, num_patches, patch_size]."""
    return functional.pixel_shuffle(x.transpose(1, 2).unflatten(2, shape.grid), PATCH).flatten(1)


class Block(nn.Module):
    """A transformer block over patches: depthwise 3x3 convolution, attention, two layers; each added to its input.

    >>> Block(32, (2, 2))(torch.zeros(1, 4, 32)).shape
    torch.Size([1, 4, 32])
    """

    def __init__(self, width: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.grid, self.num_heads = grid, width // 32
        self.near = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.to_attention = nn.LayerNorm(width)
        self.attention_in = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.to_layers = nn.LayerNorm(width)
        self.layer_in = nn.Linear(width, 2 * width)
        self.layer_out = nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.near(x.transpose(1, 2).unflatten(2, self.grid)).flatten(2).transpose(1, 2)
        q, k, v = self.attention_in(self.to_attention(x)).unflatten(2, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        # Plain products: torch's fused attention is 5 times slower backward on a processor.
        likeness = (q / q.shape[-1] ** 0.5) @ k.transpose(2, 3)
        x = x + self.attention_out((likeness.softmax(-1).to(v.dtype) @ v).transpose(1, 2).flatten(2))
        return x + cast(Tensor, self.layer_out(functional.silu(self.layer_in(self.to_layers(x)))))


class Transformer(nn.Module):
    """Patches [batch, num_patches, patch_size] and what is added to them; nothing before training."""

    def __init__(self, width: int, num_blocks: int, shape: TransformShape) -> None:
        super().__init__()
        self.embed = nn.Linear(shape.patch_size, width)
        self.place = nn.Parameter(0.02 * torch.randn(shape.num_patches, width))
        self.condition = nn.Linear(shape.condition_width, width)
        self.blocks = nn.Sequential(*(Block(width, shape.grid) for _ in range(num_blocks)))
        self.norm = nn.LayerNorm(width)
        self.head = zero_out(nn.Linear(width, shape.patch_size))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """[batch, num_patches, patch_size] of as many patches and conditions [batch, condition_width]."""
        tokens = self.embed(x) + self.place + self.condition(condition).unsqueeze(1)
        return cast(Tensor, self.head(self.norm(self.blocks(tokens))))


class PromptEncoder(nn.Module):
    """Words [batch, num_words] (0 is no word) to [batch, prompt_width]: of all three words in a row, a sum and a sum
    weighted by place.

    Only products, sums, and rectifiers, so that `exact` can compute it without any rounding.
    """

    def __init__(self, shape: TransformShape) -> None:
        super().__init__()
        width = shape.prompt_width
        self.words = nn.Embedding(shape.num_words, shape.word_width, padding_idx=0)
        self.first = nn.Linear(3 * shape.word_width, width)
        self.second = nn.Linear(2 * width, width)

    def forward(self, words: Tensor) -> Tensor:
        x = self.words(words)
        near = functional.pad(x, (0, 0, 1, 1)).unfold(1, 3, 1).transpose(2, 3).flatten(2)
        heard = functional.relu(self.first(near)) * (words > 0).unsqueeze(2)
        place = torch.arange(words.shape[1], dtype=x.dtype, device=x.device) / 8
        summed = torch.cat((heard.sum(1), (heard * place[:, None]).sum(1)), 1) / 4
        return functional.relu(cast(Tensor, self.second(summed))) * (words > 0).any(1, keepdim=True)


class GroupModel(nn.Module):
    """Statistics of a group of values, given those before it, around it, and the condition.

    values so far, place --> 5x5 --> + 3x3 and mean over all patches --> 1x1 --> mean and log2 of the deviation
    """

    def __init__(self, num_before: int, num_channels: int, shape: TransformShape) -> None:
        super().__init__()
        width = shape.entropy_width
        self.num_before = num_before
        self.place = nn.Parameter(0.1 * torch.randn(shape.place_width, *shape.grid))
        self.first = nn.Conv2d(num_before + shape.place_width, width, 5, padding=2)
        self.condition = nn.Linear(shape.condition_width, width, bias=False)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.whole = nn.Linear(width, width, bias=False)
        self.head = zero_out(nn.Conv2d(width, 2 * num_channels, 1))

    def forward(self, values: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """[batch, num_channels, *grid] each, of values [batch, patch_size, *grid], 0 where not yet known."""
        maps = torch.cat((values[:, : self.num_before], self.place.expand(len(values), -1, -1, -1)), 1)
        hidden = functional.relu(self.first(maps) + self.condition(condition)[..., None, None])
        whole = self.whole(hidden.mean((2, 3)))[..., None, None]
        hidden = hidden + functional.relu(self.second(hidden) + whole)
        mean, log2_deviation = self.head(hidden).chunk(2, 1)
        return mean, log2_deviation


class TransformNetwork(nn.Module):
    r"""Analysis, entropy model and synthesis of the transform code.

    latent --> principal components of patches + transformer --> values [patch_size, *grid]
    values as received --> principal components of patches --> + transformer --> latent

    Values have about unit variance; gains turn them into quantiser steps, one gain per channel and quality.

    Args:
        shape: sizes.
    """

    def __init__(self, shape: TransformShape) -> None:
        super().__init__()
        self.shape = shape
        self.mean = nn.Parameter(torch.zeros(shape.num_values), requires_grad=False)
        self.components = nn.Parameter(torch.eye(shape.patch_size), requires_grad=False)
        self.deviations = nn.Parameter(torch.ones(shape.patch_size), requires_grad=False)
        self.log2_gains = nn.Parameter(torch.zeros(NUM_ANCHORS, shape.patch_size))
        self.prompt = PromptEncoder(shape)
        self.analysis = Transformer(shape.encoder_width, shape.encoder_blocks, shape)
        self.models = nn.ModuleList(GroupModel(before, size, shape) for before, size in shape.channels())
        self.synthesis = Transformer(shape.decoder_width, shape.decoder_blocks, shape)

    @staticmethod
    def stored(shape: TransformShape, tensors: Mapping[str, Tensor]) -> TransformNetwork:
        """The network of stored weights by name, of half precision or full, ready to run."""
        network = TransformNetwork(shape)
        network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
        return network.eval().requires_grad_(False)

    def analyse(self, x: Tensor, condition: Tensor) -> Tensor:
        """[batch, num_values] of latents [batch, num_values]."""
        patches = to_patches(x - self.mean, self.shape)
        values = patches @ self.components / self.deviations + self.analysis(patches, condition).to(x.dtype)
        return cast(Tensor, values.transpose(1, 2).flatten(1))

    def synthesise(self, values: Tensor, condition: Tensor) -> Tensor:
        """[batch, num_values], latents of received values [batch, num_values]."""
        scaled = values.unflatten(1, (self.shape.patch_size, -1)).transpose(1, 2) * self.deviations
        patches = scaled @ self.components.T
        return self.mean + from_patches(patches + self.synthesis(patches, condition).to(values.dtype), self.shape)

    def gains(self, anchors: Tensor) -> Tensor:
        """[batch, num_values], log2 of steps per unit, at qualities given as weights of the anchors."""
        return (anchors @ self.log2_gains).repeat_interleave(self.shape.num_patches, 1)

    def expect(self, group: int, places: Tensor, values: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log2 of the deviation of the values at places [size], from all values, 0 where not yet known."""
        known = values.unflatten(1, (self.shape.patch_size, *self.shape.grid))
        mean, log2_deviation = self.models[group](known, condition)
        # Index inside of the group's own channels, in which the model answers.
        own = places - places.min() // self.shape.num_patches * self.shape.num_patches
        return mean.flatten(1)[:, own], log2_deviation.flatten(1)[:, own]


def anchor_weights(quality: Tensor) -> Tensor:
    """[batch, NUM_ANCHORS], linear interpolation at qualities [batch] from 0 to 64.

    >>> anchor_weights(torch.tensor([2.0]))[0, :3].tolist()
    [0.75, 0.25, 0.0]
    """
    distance = (quality[:, None] / QUALITIES_PER_ANCHOR - torch.arange(NUM_ANCHORS, dtype=quality.dtype)).abs()
    return (1 - distance).clamp_min(0)
