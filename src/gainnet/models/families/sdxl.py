"""Stable Diffusion XL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from gainnet.models.families import unet
from gainnet.models.families.family import Configs, device_of, in_branches, packed

NUM_TIME_IDS = 6
"""Original size, place of the crop and target size, two numbers each."""


@final
@dataclass(frozen=True)
class StableDiffusionXL:
    """Two CLIP text encoders, the pooled text and the size of the picture as inputs of a UNet (Podell et al. 2023).

    The condition of a branch is one row: token embeddings, pooled embedding, time ids.
    """

    name: ClassVar[str] = "sdxl"
    pipelines: ClassVar[tuple[str, ...]] = (
        "StableDiffusionXLPipeline", "StableDiffusionXLImg2ImgPipeline", "StableDiffusionXLInpaintPipeline",
    )  # fmt: skip
    encoders: ClassVar[tuple[str, ...]] = ("text_encoder", "text_encoder_2")
    denoiser: ClassVar[str] = "unet"
    samplers: ClassVar[tuple[str, ...]] = unet.SAMPLERS

    def pipeline(self) -> Any:
        from diffusers import StableDiffusionXLPipeline

        return StableDiffusionXLPipeline

    def refusal(self, index: Mapping[str, Any], configs: Configs) -> str | None:
        if index.get("requires_aesthetics_score") or not configs("text_encoder"):
            return "a picture of a base model, which it refines"
        return unet.missing_input(configs("unet"), configs("vae"))

    grain = staticmethod(unet.grain)
    sides = staticmethod(unet.sides)
    num_channels = staticmethod(unet.num_channels)
    num_branches = staticmethod(unet.num_branches)

    def texts(self, pipeline: Any, num_branches: int) -> Mapping[str, tuple[int, ...]]:
        # Zeros stand for the empty prompt, unless the folder says otherwise.
        count = 1 if pipeline.config.force_zeros_for_empty_prompt else num_branches
        lengths = pipeline.tokenizer.model_max_length, pipeline.tokenizer_2.model_max_length
        return {name: (int(length),) * count for name, length in zip(self.encoders, lengths, strict=True)}

    def num_values(self, pipeline: Any) -> tuple[int, ...]:
        width, pooled = pipeline.unet.config.cross_attention_dim, pipeline.text_encoder_2.config.projection_dim
        return (int(pipeline.tokenizer.model_max_length) * int(width) + int(pooled) + NUM_TIME_IDS,)

    def encode(self, pipeline: Any, prompts: Sequence[str], num_branches: int, sides: tuple[int, int]) -> Tensor:
        device = device_of(pipeline.text_encoder)
        found = pipeline.encode_prompt(list(prompts), device=device, do_classifier_free_guidance=num_branches == 2)
        with_prompt, without, pooled, pooled_without = found
        # In the condition, so that a region of a picture is denoised as a region of this size.
        ids = with_prompt.new_tensor([*sides, 0, 0, *sides]).expand(len(prompts), NUM_TIME_IDS)
        empty = None if num_branches == 1 else packed(without, pooled_without, ids)
        return in_branches(empty, packed(with_prompt, pooled, ids))

    def predict(self, network: Any, latent: Tensor, time: Tensor, condition: Tensor, guidance_scale: float) -> Tensor:
        embedded = unet.guidance_embedding(network.config, guidance_scale, latent)
        width, ids = network.config.cross_attention_dim, network.config.addition_time_embed_dim * NUM_TIME_IDS
        pooled = network.config.projection_class_embeddings_input_dim - ids
        sizes = [condition.shape[1] - pooled - NUM_TIME_IDS, pooled, NUM_TIME_IDS]
        tokens, text, time_ids = condition.split(sizes, dim=1)
        found: Tensor = network(
            latent, time, encoder_hidden_states=tokens.unflatten(1, (-1, width)), timestep_cond=embedded,
            added_cond_kwargs={"text_embeds": text, "time_ids": time_ids}, return_dict=False,
        )[0]  # fmt: skip
        return found

    timing = staticmethod(unet.timing)
    first_step = staticmethod(unet.first_step)

    def to_decoder(self, config: Any, latent: Tensor) -> Tensor:
        mean, deviation = _statistics(config, latent)
        scaled: Tensor = latent * deviation / config.scaling_factor + mean
        return scaled

    def from_encoder(self, config: Any, coded: Tensor) -> Tensor:
        mean, deviation = _statistics(config, coded)
        scaled: Tensor = (coded - mean) * config.scaling_factor / deviation
        return scaled


def _statistics(config: Any, like: Tensor) -> tuple[Tensor | float, Tensor | float]:
    """Mean and deviation [1, c, 1, 1] of the autoencoder's latents; 0 and 1 where its configuration has none."""
    mean, deviation = getattr(config, "latents_mean", None), getattr(config, "latents_std", None)
    if mean is None or deviation is None:
        return 0.0, 1.0
    found = torch.tensor([mean, deviation]).to(like).view(2, 1, -1, 1, 1)
    return found[0], found[1]
