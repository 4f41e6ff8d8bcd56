"""The way from a picture into the latent space of a pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, final

import torch

from gainnet.core.randomness import Random
from gainnet.core.types import Spec, Tensors
from gainnet.models.counting import count_flops, flatten_batch, on_meta, parameter_bytes
from gainnet.models.part import Role


@final
@dataclass(frozen=True)
class ImageEncoder:
    """Picture to latent: image [*batch, 3, H, W] in [0, 1] --autoencoder's encoder--> latent [*batch, c, h, w].

    The mode of the posterior times the scaling factor, so nothing is drawn. Differentiable in the picture.
    """

    pipeline: Any = field(repr=False)
    latent: Spec
    image: Spec
    name: str = "image_encoder"
    role: Role = "image_encoder"
    reads: tuple[str, ...] = ("image",)
    num_passes: int = 1

    @property
    def writes(self) -> Mapping[str, Spec]:
        return {"latent": self.latent}

    @cached_property
    def flops(self) -> float:
        vae = self.pipeline.vae
        copy = on_meta(lambda: type(vae).from_config(vae.config))
        image = torch.zeros(1, *self.image.shape, device="meta")
        return count_flops(lambda: copy.encode(image))

    @property
    def memory_bytes(self) -> float:
        vae = self.pipeline.vae
        quantizer = getattr(vae, "quant_conv", None)
        return parameter_bytes(vae.encoder) + (parameter_bytes(quantizer) if quantizer is not None else 0.0)

    def __call__(self, tensors: Tensors, random: Random) -> Tensors:
        vae = self.pipeline.vae
        coded = vae.encode(flatten_batch(tensors["image"], len(random.batch)) * 2.0 - 1.0)
        mode = coded.latents if hasattr(coded, "latents") else coded.latent_dist.mode()
        latent = vae.config.scaling_factor * mode
        return {"latent": latent.reshape(*random.batch, *self.latent.shape)}
