"""Text encoder and denoiser of the emoji model: how they are built and what each learns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import AdamW

from gainnet.core.precision import half_precision
from gainnet.core.randomness import seeded
from gainnet.models.emoji.captions import Wording
from gainnet.models.scenes import stream
from gainnet.training.autoencoder import torch_stream
from gainnet.training.denoiser import Examples
from gainnet.training.loop import Stage
from gainnet.training.text_encoder import tokens_of

if TYPE_CHECKING:
    from transformers import CLIPTextModel, PreTrainedTokenizerBase

NUM_COMPONENTS = 256
"""Principal components of the latents that the text encoder learns to predict: four fifths of their variance."""


def build_emoji_denoiser(random_seed: int, channels: tuple[int, ...], hidden_size: int) -> nn.Module:
    """Stable Diffusion's U-Net on latents [32, 8, 8], which looks at words at its middle level only.

    All words together also enter with the time, so that every layer knows the whole caption.

    Args:
        random_seed: of its first weights.
        channels: widths at 8, 4 and 2 latents wide, multiples of 8.
        hidden_size: width of the words, a multiple of 4.
    """
    from diffusers import UNet2DConditionModel

    with seeded(random_seed):
        denoiser: Any = UNet2DConditionModel(
            sample_size=8,
            in_channels=32,
            out_channels=32,
            block_out_channels=channels,
            layers_per_block=1,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=hidden_size,
            attention_head_dim=4,
            addition_embed_type="text",
            addition_embed_type_num_heads=4,
            norm_num_groups=8,
        )
        return cast(nn.Module, denoiser)


def even_items(repeats: Sequence[int], batch_size: int, random_seed: int, name: str) -> Callable[[int], Tensor]:
    """Items of a step, [batch_size]; every item comes equally often for its number of repeats, up to one round.

    Args:
        repeats: of every item, how often it comes in a round.
        batch_size: items per step.
        random_seed: of the order.
        name: of the stage.

    >>> items = even_items([1, 0, 2], 3, 0, "doctest")
    >>> sorted(items(0).tolist()), sorted(items(7).tolist())
    ([0, 2, 2], [0, 2, 2])
    """
    deck = torch.repeat_interleave(torch.arange(len(repeats)), torch.tensor(repeats))

    # A batch may lie across two rounds.
    @lru_cache(maxsize=2)
    def shuffled(number: int) -> Tensor:
        return deck[torch.randperm(len(deck), generator=torch_stream(random_seed, f"{name} round", number))]

    def items(step: int) -> Tensor:
        first = step * batch_size
        return torch.stack([shuffled(k // len(deck))[k % len(deck)] for k in range(first, first + batch_size)])

    return items


def emoji_examples(latents: Tensor, wordings: Sequence[Wording], items: Callable[[int], Tensor]) -> Examples:
    """Latents [n, 32, 8, 8] with captions that are written afresh at every step.

    Args:
        latents: of all pictures.
        wordings: of all pictures.
        items: which of them a step takes.
    """

    def draw(step: int, generator: torch.Generator, rng: np.random.Generator) -> tuple[Tensor, list[str]]:
        chosen = items(step)
        return latents[chosen].float(), [wordings[k].write(rng) for k in chosen.tolist()]

    return draw


def principal_components(latents: Tensor, num_components: int) -> Tensor:
    """[n, num_components], coefficients of latents [n, c, h, w], all scaled alike to unit variance of the first.

    Smaller ones stay smaller, as they matter less to the picture.
    """
    flat = latents.float().flatten(1)
    flat = flat - flat.mean(0)
    values, vectors = torch.linalg.eigh(flat.T @ flat)
    # In ascending order of their variance.
    scaled: Tensor = flat @ vectors[:, -num_components:].flip(1) / values[-1].div(len(flat)).sqrt()
    return scaled


def text_stage(
    encoder: CLIPTextModel,
    tokenizer: PreTrainedTokenizerBase,
    components: Tensor,
    wordings: Sequence[Wording],
    items: Callable[[int], Tensor],
    random_seed: int,
    num_steps: int,
    torch_device: torch.device,
) -> Stage:
    """Text encoder and a linear layer that predicts a picture's components from the mean of the words.

    The denoiser then starts with words that already tell the pictures apart; the linear layer is thrown away.

    Args:
        encoder: with fresh weights.
        tokenizer: its tokenizer.
        components: [n, k], of all pictures.
        wordings: of all pictures.
        items: which of them a step takes.
        random_seed: of weights and captions.
        num_steps: training steps in all.
        torch_device: where to train.
    """
    # Another random seed than the encoder's, whose first weights would otherwise recur in the layer.
    with seeded(random_seed + 1):
        head = nn.Linear(encoder.config.hidden_size, components.shape[1])
    model = nn.ModuleDict({"encoder": cast(nn.Module, encoder), "head": head}).to(torch_device)

    def loss(step: int) -> Tensor:
        chosen, rng = items(step), stream(random_seed, "emoji text", step)
        captions = [wordings[k].write(rng) for k in chosen.tolist()]
        with half_precision(torch_device):
            hidden = encoder(tokens_of(tokenizer, captions).to(torch_device)).last_hidden_state
            predicted = head(hidden.mean(1))
        return functional.mse_loss(predicted.float(), components[chosen].to(torch_device))

    optimizers = (AdamW(model.parameters(), lr=1e-3, weight_decay=0.01),)
    return Stage("text_encoder", num_steps, model, optimizers, (1e-3,), 0.998, loss)
