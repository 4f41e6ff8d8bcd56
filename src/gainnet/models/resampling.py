"""A model with another sampler: the same networks at another number of steps, or with another guidance."""

from __future__ import annotations

import copy
from dataclasses import replace

from gainnet.core.errors import ConfigError, check_range
from gainnet.models.diffusion import Decoder, DiffusionModel, ImageEncoder, TextEncoder


def resampled(model: DiffusionModel, num_steps: int, guidance_scale: float) -> DiffusionModel:
    """A model that shares the networks of another one and has a sampler of its own.

    Args:
        model: made of a diffusers pipeline.
        num_steps: of the sampler, 1 to 1000.
        guidance_scale: classifier-free guidance, 1 to 100, where 1 means none.

    Raises:
        ConfigError: a number is out of range, or parts of the model were made by hand and call no pipeline.

    >>> from gainnet.models.loading import load_model
    >>> resampled(load_model(num_steps=2), 5, 1.0).denoiser.num_passes
    5
    """
    check_range(1 <= num_steps <= 1000, "num_steps", num_steps, "1 to 1000")
    check_range(1.0 <= guidance_scale <= 100.0, "guidance_scale", guidance_scale, "1 to 100, where 1 means no guidance")
    text_encoder, decoder, image_encoder = model.text_encoder, model.decoder, model.image_encoder
    if not (isinstance(text_encoder, TextEncoder) and isinstance(image_encoder, ImageEncoder)):
        raise ConfigError(f"num_steps, guidance_scale: {model.name} decides them itself; leave them out")
    pipeline = copy.copy(model.pipeline)
    # A scheduler keeps its times, so that two samplers cannot share one.
    pipeline.scheduler = copy.copy(model.pipeline.scheduler)
    pipeline.scheduler.set_timesteps(num_steps, device=model.pipeline.device)
    denoiser = replace(model.denoiser, pipeline=pipeline, guidance_scale=guidance_scale, start=0, stop=num_steps)
    return replace(
        model,
        text_encoder=replace(text_encoder, pipeline=pipeline, num_branches=denoiser.num_branches),
        denoiser=denoiser,
        decoder=Decoder(pipeline, decoder.latent, decoder.image),
        image_encoder=replace(image_encoder, pipeline=pipeline),
        pipeline=pipeline,
    )
