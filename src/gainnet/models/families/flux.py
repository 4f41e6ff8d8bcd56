"""FLUX.1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import numpy as np
from torch import Tensor

from gainnet.models.families.family import (
    Configs,
    device_of,
    first_step_of_flow,
    from_shifted,
    in_branches,
    packed,
    to_shifted,
)
from gainnet.models.families.sd3 import dynamic_shift

NUM_T5_TOKENS: Final = 512
"""Length of the text for the second encoder, the default of the pipeline."""
PATCH: Final = 2
"""Entries of the latent per token, along one side."""
DEFAULT_SIDE: Final = 128
"""Of the latent; the configuration of the transformer names none."""


@final
@dataclass(frozen=True)
class Flux:
    """CLIP and T5, a transformer on packed latents, guidance as its input, flow matching (Black Forest Labs 2024).

    Latents stay [c, h, w] outside the transformer. The condition is one row: token embeddings, pooled embedding.
    """

    name: ClassVar[str] = "flux"
    pipelines: ClassVar[tuple[str, ...]] = ("FluxPipeline", "FluxImg2ImgPipeline", "FluxInpaintPipeline")
    encoders: ClassVar[tuple[str, ...]] = ("text_encoder", "text_encoder_2")
    denoiser: ClassVar[str] = "transformer"
    samplers: ClassVar[tuple[str, ...]] = ("flow", "dpm", "unipc")

    def pipeline(self) -> Any:
        from diffusers import FluxPipeline

        return FluxPipeline

    def refusal(self, index: Mapping[str, Any], configs: Configs) -> str | None:
        channels = int(configs("transformer").get("in_channels", 64))
        extra = channels - PATCH**2 * int(configs("vae").get("latent_channels", 16))
        return f"{extra} channels beside the latent (a picture, a mask or a control image)" if extra else None

    def grain(self, config: Any) -> int:
        return PATCH

    def sides(self, config: Any) -> tuple[int, int]:
        return DEFAULT_SIDE, DEFAULT_SIDE

    def num_channels(self, config: Any) -> int:
        return int(config.in_channels) // PATCH**2

    def num_branches(self, config: Any, guidance_scale: float) -> int:
        return 1

    def texts(self, pipeline: Any, num_branches: int) -> Mapping[str, tuple[int, ...]]:
        return {"text_encoder": (int(pipeline.tokenizer_max_length),), "text_encoder_2": (NUM_T5_TOKENS,)}

    def num_values(self, pipeline: Any) -> tuple[int, ...]:
        config = pipeline.transformer.config
        return (NUM_T5_TOKENS * int(config.joint_attention_dim) + int(config.pooled_projection_dim),)

    def encode(self, pipeline: Any, prompts: Sequence[str], num_branches: int, sides: tuple[int, int]) -> Tensor:
        device = device_of(pipeline.transformer)
        with_prompt, pooled, _ = pipeline.encode_prompt(prompt=list(prompts), prompt_2=None, device=device)
        return in_branches(None, packed(with_prompt, pooled))

    def predict(self, network: Any, latent: Tensor, time: Tensor, condition: Tensor, guidance_scale: float) -> Tensor:
        pipeline, config = self.pipeline(), network.config
        count, channels, height, width = latent.shape
        pooled = config.pooled_projection_dim
        tokens, text = condition.split([condition.shape[1] - pooled, pooled], dim=1)
        embeds = tokens.unflatten(1, (-1, config.joint_attention_dim))
        places = height // PATCH, width // PATCH, latent.device, latent.dtype
        found: Tensor = network(
            hidden_states=pipeline._pack_latents(latent, count, channels, height, width),
            timestep=time.expand(count).to(latent.dtype) / 1000,
            guidance=latent.new_full((count,), guidance_scale) if config.guidance_embeds else None,
            pooled_projections=text,
            encoder_hidden_states=embeds,
            txt_ids=latent.new_zeros(embeds.shape[1], 3),
            img_ids=pipeline._prepare_latent_image_ids(count, *places),
            return_dict=False,
        )[0]
        unpacked: Tensor = pipeline._unpack_latents(found, height, width, 1)
        return unpacked

    def timing(self, scheduler: Any, config: Any, num_steps: int, sides: tuple[int, int]) -> Mapping[str, Any]:
        shift = {"mu": dynamic_shift(scheduler, sides[0] // PATCH * (sides[1] // PATCH), 1.15)}
        if scheduler.config.get("use_flow_sigmas", False):
            return shift
        return shift | {"sigmas": np.linspace(1.0, 1 / num_steps, num_steps)}

    first_step = staticmethod(first_step_of_flow)
    to_decoder = staticmethod(to_shifted)
    from_encoder = staticmethod(from_shifted)
