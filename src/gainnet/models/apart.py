"""A pipeline of diffusers taken apart, as its folder is: with its own sampler, on latents of any height and width."""

from __future__ import annotations

from typing import Any, Final

from gainnet.core.errors import ConfigError, ModelError
from gainnet.core.types import Spec
from gainnet.models.diffusion import Decoder, Denoiser, DiffusionModel, ImageEncoder, TextEncoder, prior
from gainnet.models.families import Family, family_of
from gainnet.models.samplers import Sampler, name_of

LONGEST_PLAIN_ATTENTION: Final = 1024
"""Latent entries per channel up to which attention is computed with plain matrix products."""

Sides = tuple[int, int]
"""Height and width of a picture in pixels."""


def take_apart(
    name: str,
    sha256: str,
    pipeline: Any,
    num_steps: int,
    guidance_scale: float,
    sides: Sides | None = None,
    family: Family | None = None,
) -> DiffusionModel:
    """The parts of a diffusers pipeline.

    Args:
        name: how it was asked for.
        sha256: of its weights.
        pipeline: of the family.
        num_steps: of its sampler.
        guidance_scale: 1 or more, where 1 means none.
        sides: height and width of the picture in pixels; the model's own when `None`.
        family: that calls its networks; found by the pipeline's class when `None`.

    Raises:
        ModelError: the family does not run with the sampler.
        ConfigError: the sides or the number of steps do not fit the model.
    """
    family = family_of(type(pipeline).__name__) if family is None else family
    check_sampler(family, pipeline.scheduler)
    config = getattr(pipeline, family.denoiser).config
    height, width = latent_sides(family, config, pipeline.vae_scale_factor, sides)
    latent = Spec((family.num_channels(config), height, width))
    image = Spec((3, height * pipeline.vae_scale_factor, width * pipeline.vae_scale_factor))
    _limit_texts(pipeline)
    _choose_attention(pipeline, family, height * width)
    timing = family.timing(pipeline.scheduler, config, num_steps, (height, width))
    sampler = Sampler.of(pipeline.scheduler, num_steps, timing)
    denoiser = Denoiser(pipeline, family, sampler, latent, guidance_scale, 0, sampler.num_steps)
    return DiffusionModel(
        name, sha256, TextEncoder(pipeline, family, denoiser.num_branches, image),
        prior(latent, sampler.initial_scale, str(pipeline.device)), denoiser, Decoder(pipeline, family, latent, image),
        ImageEncoder(pipeline, family, latent, image), pipeline,
    )  # fmt: skip


def check_sampler(family: Family, scheduler: Any) -> None:
    """Raises `ModelError` unless pipelines of the family run with a scheduler."""
    name = name_of(scheduler)
    # A transformer was trained with flow matching, and other samplers would misread what it predicts.
    flows = name == "flow" or scheduler.config.get("use_flow_sigmas", False)
    if name not in family.samplers or ("flow" in family.samplers and not flows):
        asked = f"{type(scheduler).__name__}{'' if flows else ' without use_flow_sigmas'}"
        raise ModelError(f"model: {family.name} does not run with {asked}; choose one of {', '.join(family.samplers)}")


def latent_sides(family: Family, config: Any, scale: int, sides: Sides | None) -> Sides:
    """Height and width of the latent of a picture.

    Args:
        family: of the model.
        config: of its denoiser.
        scale: pixels of the picture per entry of the latent, along one side.
        sides: height and width of the picture in pixels; the model's own when `None`.

    Raises:
        ConfigError: the denoiser cannot take these sides.
    """
    if sides is None:
        return family.sides(config)
    grain = scale * family.grain(config)
    for field, side in zip(("height", "width"), sides, strict=True):
        if side < grain or side % grain:
            near = sorted({max(grain, side // grain * grain), side // grain * grain + grain})
            said = f"give a multiple of {grain}, such as {' or '.join(map(str, near))}"
            raise ConfigError(f"{field}: {side} pixels do not fit the model; {said}")
    return sides[0] // scale, sides[1] // scale


def _limit_texts(pipeline: Any) -> None:
    """No text longer than the positions of its encoder, where a tokenizer has no length of its own."""
    for suffix in ("", "_2", "_3"):
        encoder, tokenizer = (getattr(pipeline, f"{part}{suffix}", None) for part in ("text_encoder", "tokenizer"))
        positions = getattr(getattr(encoder, "config", None), "max_position_embeddings", None)
        if positions is not None and tokenizer is not None:
            tokenizer.model_max_length = min(tokenizer.model_max_length, positions)
    # Pipelines with three encoders remember the length of the first.
    if hasattr(pipeline, "tokenizer_max_length"):
        pipeline.tokenizer_max_length = pipeline.tokenizer.model_max_length


def _choose_attention(pipeline: Any, family: Family, num_entries: int) -> None:
    """Plain matrix products for short sequences: the same values, and faster on a CPU than torch's fused kernel."""
    from diffusers.models.attention_processor import AttnProcessor

    for name in family.encoders:
        encoder = getattr(pipeline, name, None)
        if encoder is not None:
            encoder.set_attn_implementation("eager")
    # Transformers have processors of their own, for two streams of tokens.
    if family.denoiser == "unet" and num_entries <= LONGEST_PLAIN_ATTENTION:
        pipeline.unet.set_attn_processor(AttnProcessor())
