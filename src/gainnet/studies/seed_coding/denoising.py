"""The denoiser of a device that has one, behind the decoder of the learned seed code."""

from __future__ import annotations

import torch
from torch import Tensor

from gainnet.codecs.codec import AnyCodec
from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.core.types import Spec, Symbols
from gainnet.models.denoised_seed import DenoisedSeed
from gainnet.models.diffusion import DiffusionModel
from gainnet.studies.seed_coding.ways import Prompts

NO_DRAWS = 0
"""Random seed of parts that draw nothing."""


def denoised(model: DiffusionModel, code: AnyCodec, sent: Symbols, spec: Spec, prompts: Prompts) -> Tensor:
    """[num_items, *spec.shape], what a code decodes, after one denoising step with the caption.

    Every item is denoised at the level of the error that its own gain and noise leave.

    Args:
        model: whose denoiser and text encoder the device has.
        code: a code that knows the error variance of what it decodes.
        sent: symbols [num_items, L] as received.
        spec: shape of a latent.
        prompts: one per item.

    Raises:
        ConfigError: the code does not know its error.
    """
    if not hasattr(code, "error_variance"):
        raise ConfigError(f"seed_denoiser: {type(code).__name__} does not say what error it leaves")
    latents, variances = code.decode(sent, spec), code.error_variance(sent)
    streams = Random.of([NO_DRAWS] * len(prompts))
    condition = model.text_encoder({"prompt": text_to_tensor(list(prompts))}, streams)["condition"]
    cleaned = torch.empty_like(latents)
    for variance in variances.unique().tolist():
        items = (variances == variance).nonzero().squeeze(-1)
        given = {"condition": condition[items], "latent": latents[items]}
        alike = Random.of([NO_DRAWS] * len(items))
        cleaned[items] = DenoisedSeed(model.denoiser, variance)(given, alike)["latent"]
    return cleaned
