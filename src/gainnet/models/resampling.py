"""A model with another sampler: the same networks at another number of steps, or with another guidance."""

from __future__ import annotations

from dataclasses import replace

from gainnet.core.errors import ConfigError, check_range
from gainnet.models.diffusion import DiffusionModel, ImageEncoder, TextEncoder, prior
from gainnet.models.samplers import Sampler


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
    text_encoder = model.text_encoder
    if not (isinstance(text_encoder, TextEncoder) and isinstance(model.image_encoder, ImageEncoder)):
        raise ConfigError(f"num_steps, guidance_scale: {model.name} decides them itself; leave them out")
    family, latent = model.family, model.latent
    config, (_, *sides) = model.denoiser.network.config, latent.shape
    timing = family.timing(model.pipeline.scheduler, config, num_steps, (sides[0], sides[1]))
    sampler = Sampler.of(model.pipeline.scheduler, num_steps, timing)
    changed = replace(model.denoiser, sampler=sampler, guidance_scale=guidance_scale, start=0, stop=sampler.num_steps)
    return replace(
        model,
        text_encoder=replace(text_encoder, num_branches=changed.num_branches),
        # The first noise level of some samplers depends on the number of steps.
        prior=prior(latent, sampler.initial_scale, str(model.pipeline.device)),
        denoiser=changed,
    )
