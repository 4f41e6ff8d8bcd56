"""Stable Diffusion 1.x and 2.x, and latent consistency models of the same shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

from torch import Tensor

from gainnet.models.families import unet
from gainnet.models.families.family import Configs, device_of, in_branches


@final
@dataclass(frozen=True)
class StableDiffusion:
    """One CLIP text encoder, a UNet, 4-channel latents (Rombach et al. 2022)."""

    name: ClassVar[str] = "sd"
    pipelines: ClassVar[tuple[str, ...]] = (
        "StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline", "StableDiffusionInpaintPipeline",
        "LatentConsistencyModelPipeline", "LatentConsistencyModelImg2ImgPipeline",
    )  # fmt: skip
    encoders: ClassVar[tuple[str, ...]] = ("text_encoder",)
    denoiser: ClassVar[str] = "unet"
    samplers: ClassVar[tuple[str, ...]] = unet.SAMPLERS

    def pipeline(self) -> Any:
        from diffusers import StableDiffusionPipeline

        return StableDiffusionPipeline

    def refusal(self, index: Mapping[str, Any], configs: Configs) -> str | None:
        found = configs("unet")
        # Pooled text is made of the token embeddings, in the network itself; all others are inputs of their own.
        if found.get("addition_embed_type") not in (None, "text"):
            return f"inputs of another family than sd ({found['addition_embed_type']} embeddings)"
        return unet.missing_input(found, configs("vae"))

    grain = staticmethod(unet.grain)
    sides = staticmethod(unet.sides)
    num_channels = staticmethod(unet.num_channels)
    num_branches = staticmethod(unet.num_branches)

    def texts(self, pipeline: Any, num_branches: int) -> Mapping[str, tuple[int, ...]]:
        return {"text_encoder": (int(pipeline.tokenizer.model_max_length),) * num_branches}

    def num_values(self, pipeline: Any) -> tuple[int, ...]:
        return int(pipeline.tokenizer.model_max_length), int(pipeline.text_encoder.config.hidden_size)

    def encode(self, pipeline: Any, prompts: Sequence[str], num_branches: int, sides: tuple[int, int]) -> Tensor:
        device = device_of(pipeline.text_encoder)
        with_prompt, without = pipeline.encode_prompt(list(prompts), device, 1, num_branches == 2)
        return in_branches(without, with_prompt)

    def predict(self, network: Any, latent: Tensor, time: Tensor, condition: Tensor, guidance_scale: float) -> Tensor:
        embedded = unet.guidance_embedding(network.config, guidance_scale, latent)
        # Other runtimes take the place of networks without this input, and do not know its name.
        options = {} if embedded is None else {"timestep_cond": embedded}
        found: Tensor = network(latent, time, encoder_hidden_states=condition, return_dict=False, **options)[0]
        return found

    timing = staticmethod(unet.timing)
    first_step = staticmethod(unet.first_step)

    def to_decoder(self, config: Any, latent: Tensor) -> Tensor:
        # The pipeline leaves out a shift, even where the autoencoder has one.
        scaled: Tensor = latent / config.scaling_factor
        return scaled

    def from_encoder(self, config: Any, coded: Tensor) -> Tensor:
        scaled: Tensor = config.scaling_factor * coded
        return scaled
