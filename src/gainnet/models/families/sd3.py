"""Stable Diffusion 3 and 3.5."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

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

NUM_T5_TOKENS: Final = 256
"""Length of the text for the third encoder, the default of the pipeline; as many zeros without that encoder."""


@final
@dataclass(frozen=True)
class StableDiffusion3:
    """Two CLIP encoders and T5, a transformer, 16-channel latents, flow matching (Esser et al. 2024).

    The condition of a branch is one row: token embeddings, pooled embedding.
    """

    name: ClassVar[str] = "sd3"
    pipelines: ClassVar[tuple[str, ...]] = (
        "StableDiffusion3Pipeline", "StableDiffusion3Img2ImgPipeline", "StableDiffusion3InpaintPipeline",
    )  # fmt: skip
    encoders: ClassVar[tuple[str, ...]] = ("text_encoder", "text_encoder_2", "text_encoder_3")
    denoiser: ClassVar[str] = "transformer"
    samplers: ClassVar[tuple[str, ...]] = ("flow", "dpm", "unipc")

    def pipeline(self) -> Any:
        from diffusers import StableDiffusion3Pipeline

        return StableDiffusion3Pipeline

    def refusal(self, index: Mapping[str, Any], configs: Configs) -> str | None:
        extra = int(configs("transformer").get("in_channels", 16)) - int(configs("vae").get("latent_channels", 16))
        return f"{extra} channels beside the latent" if extra else None

    def grain(self, config: Any) -> int:
        return int(config.patch_size)

    def sides(self, config: Any) -> tuple[int, int]:
        return int(config.sample_size), int(config.sample_size)

    def num_channels(self, config: Any) -> int:
        return int(config.in_channels)

    def num_branches(self, config: Any, guidance_scale: float) -> int:
        return 2 if guidance_scale > 1.0 else 1

    def texts(self, pipeline: Any, num_branches: int) -> Mapping[str, tuple[int, ...]]:
        clip = int(pipeline.tokenizer_max_length)
        lengths = {"text_encoder": clip, "text_encoder_2": clip, "text_encoder_3": NUM_T5_TOKENS}
        there = {name: length for name, length in lengths.items() if getattr(pipeline, name) is not None}
        return {name: (length,) * num_branches for name, length in there.items()}

    def num_values(self, pipeline: Any) -> tuple[int, ...]:
        config = pipeline.transformer.config
        num_tokens = int(pipeline.tokenizer_max_length) + NUM_T5_TOKENS
        return (num_tokens * int(config.joint_attention_dim) + int(config.pooled_projection_dim),)

    def encode(self, pipeline: Any, prompts: Sequence[str], num_branches: int, sides: tuple[int, int]) -> Tensor:
        texts = {key: list(prompts) for key in ("prompt", "prompt_2", "prompt_3")}
        with_prompt, without, pooled, pooled_without = pipeline.encode_prompt(
            **texts, device=device_of(pipeline.transformer), do_classifier_free_guidance=num_branches == 2
        )
        empty = None if num_branches == 1 else packed(without, pooled_without)
        return in_branches(empty, packed(with_prompt, pooled))

    def predict(self, network: Any, latent: Tensor, time: Tensor, condition: Tensor, guidance_scale: float) -> Tensor:
        pooled = network.config.pooled_projection_dim
        tokens, text = condition.split([condition.shape[1] - pooled, pooled], dim=1)
        found: Tensor = network(
            hidden_states=latent, timestep=time.expand(len(latent)), pooled_projections=text,
            encoder_hidden_states=tokens.unflatten(1, (-1, network.config.joint_attention_dim)), return_dict=False,
        )[0]  # fmt: skip
        return found

    def timing(self, scheduler: Any, config: Any, num_steps: int, sides: tuple[int, int]) -> Mapping[str, Any]:
        if not scheduler.config.get("use_dynamic_shifting", None):
            return {}
        return {"mu": dynamic_shift(scheduler, sides[0] // config.patch_size * (sides[1] // config.patch_size), 1.16)}

    first_step = staticmethod(first_step_of_flow)
    to_decoder = staticmethod(to_shifted)
    from_encoder = staticmethod(from_shifted)


def dynamic_shift(scheduler: Any, num_tokens: int, largest: float) -> float:
    """Shift of the noise levels of flow matching for a number of image tokens (Esser et al. 2024, section 5.3.2).

    Args:
        scheduler: whose configuration has the line's two ends.
        num_tokens: of the picture.
        largest: shift at the upper end where the configuration names none.
    """
    from diffusers.pipelines.flux.pipeline_flux import calculate_shift

    config = scheduler.config
    ends = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
    return float(calculate_shift(num_tokens, *ends, config.get("base_shift", 0.5), config.get("max_shift", largest)))
