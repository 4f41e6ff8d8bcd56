"""Residual layers over the components of a latent, conditioned on the channel and the prompt."""

from __future__ import annotations

from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from gainnet.codecs.seed_codec.vocabulary import PADDING

L = TypeVar("L", bound=nn.Module)


def zero_out(layer: L) -> L:
    """The layer with weights and bias of zero, so that what it adds is nothing before training."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def described_by(num_features: int, width: int) -> nn.Sequential:
    """Two layers from features of the channel to a condition [n, width]."""
    return nn.Sequential(nn.Linear(num_features, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))


class Words(nn.Module):
    """A prompt as one vector: every word with its place and its neighbours, as adjectives stand beside their nouns.

    indices [n, num_words] --(embedding, layer over 3 words)--> [n, num_words, width] --(sum)--> [n, width]
    """

    def __init__(self, num_indices: int, max_words: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_indices, width // 4)
        self.place = nn.Parameter(0.3 * torch.randn(max_words, width // 4))
        self.neighbours = nn.Linear(3 * (width // 4), width)

    def forward(self, indices: Tensor) -> Tensor:
        there = (indices != PADDING)[..., None]
        words = (self.embedding(indices) + self.place) * there
        # Zeros beside the first and the last word.
        padded = functional.pad(words, (0, 0, 1, 1))
        joined = torch.cat([padded[:, :-2], words, padded[:, 2:]], -1)
        total: Tensor = (functional.silu(self.neighbours(joined)) * there).sum(1)
        return total / 4


class Block(nn.Module):
    """Two layers, scaled, shifted and gated by the condition (adaLN, Peebles and Xie 2023), added to their input.

    x [n, width], condition [n, condition_width] --> [n, width]
    """

    def __init__(self, width: int, condition_width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)
        self.modulation = zero_out(nn.Linear(condition_width, 3 * width))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift, gate = self.modulation(condition).chunk(3, -1)
        read = rms_norm(x) * (1 + scale) + shift
        change: Tensor = (1 + gate) * self.second(functional.gelu(self.first(read), approximate="tanh"))
        return x + change


class Trunk(nn.Module):
    """Components to corrections of components; the last layer starts at zero.

    values [n, num_in], prompt, features of the channel --> blocks --> [n, num_out]

    Args:
        num_in: numbers that go in.
        num_out: numbers that come out.
        num_features: numbers that describe the channel.
        width: of the layers.
        num_blocks: how deep.
        condition_width: of what the channel's description becomes.
        words: indices and longest prompt of the vocabulary.
    """

    def __init__(
        self,
        num_in: int,
        num_out: int,
        num_features: int,
        width: int,
        num_blocks: int,
        condition_width: int,
        words: tuple[int, int],
    ) -> None:
        super().__init__()
        self.condition = described_by(num_features, condition_width)
        self.words = Words(*words, 4 * condition_width)
        self.prompt = nn.Linear(4 * condition_width, width)
        self.first = nn.Linear(num_in, width)
        # Zero weights: a new trunk changes nothing, whatever the condition.
        self.first_scale = zero_out(nn.Linear(condition_width, width))
        self.blocks = nn.ModuleList(Block(width, condition_width) for _ in range(num_blocks))
        self.last_scale = zero_out(nn.Linear(condition_width, width))
        self.last = zero_out(nn.Linear(width, num_out))

    def forward(self, values: Tensor, features: Tensor, indices: Tensor) -> Tensor:
        condition = functional.silu(self.condition(features))
        x = self.first(values) * (1 + self.first_scale(condition)) + self.prompt(self.words(indices))
        for block in self.blocks:
            x = block(x, condition)
        return cast(Tensor, self.last(rms_norm(x) * (1 + self.last_scale(condition))))


def rms_norm(x: Tensor) -> Tensor:
    """[..., width], of root mean square 1."""
    return functional.rms_norm(x, x.shape[-1:], eps=1e-5)
