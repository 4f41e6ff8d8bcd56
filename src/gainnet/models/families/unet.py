"""Common to the families with a `UNet2DConditionModel`: sizes, embedded guidance, inputs that are missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor

SAMPLERS: Final = (
    "ddim", "ddpm", "pndm", "euler", "euler_ancestral", "heun", "dpm", "unipc", "lcm", "edm",
)  # fmt: skip
"""Samplers that pipelines with a UNet run with; flow matching through `dpm` and `unipc` with `use_flow_sigmas`."""

_EXTRA: Final[Mapping[int, str]] = {
    1: "a depth map",
    3: "a small picture to enlarge",
    4: "a picture to edit",
    5: "a mask and the masked picture",
}
"""Inputs that stand for channels beyond those of the latent, by their number, in the models that there are."""


def sides(config: Any) -> tuple[int, int]:
    """Height and width of the latent that a UNet was trained on."""
    size = config.sample_size
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))


def grain(config: Any) -> int:
    """Entries of the latent that a UNet halves to one: it halves its input at every level but the last."""
    return int(2 ** (len(config.block_out_channels) - 1))


def num_channels(config: Any) -> int:
    """Of the latent."""
    return int(config.in_channels)


def timing(scheduler: Any, config: Any, num_steps: int, sides: tuple[int, int]) -> Mapping[str, Any]:
    """Nothing: the times of these samplers depend on no size."""
    return {}


def first_step(num_steps: int, strength: float) -> int:
    """Steps that image-to-image leaves out: those that run are rounded down."""
    return num_steps - int(num_steps * strength)


def guidance_embedding(config: Any, guidance_scale: float, latent: Tensor) -> Tensor | None:
    """[n, width], guidance as an input of a distilled UNet (Luo et al. 2023, LCM); `None` where it has no such input.

    Args:
        config: of the UNet.
        guidance_scale: 1 or more.
        latent: [n, c, h, w], whose device and number count.
    """
    width = getattr(config, "time_cond_proj_dim", None)
    if width is None:
        return None
    from diffusers import StableDiffusionPipeline

    scales = torch.tensor(guidance_scale - 1).repeat(len(latent))
    embedded: Tensor = StableDiffusionPipeline.get_guidance_scale_embedding(None, scales, embedding_dim=width)
    return embedded.to(latent.device, latent.dtype)


def num_branches(config: Any, guidance_scale: float) -> int:
    """2 for guidance above 1, unless the UNet takes it as an input."""
    return 2 if guidance_scale > 1.0 and getattr(config, "time_cond_proj_dim", None) is None else 1


def missing_input(unet: Mapping[str, Any], vae: Mapping[str, Any]) -> str | None:
    """An input beside a prompt that a UNet needs, by the configurations of it and of the autoencoder."""
    if unet.get("class_embed_type") is not None or unet.get("num_class_embeds") is not None:
        return "a class label"
    if unet.get("encoder_hid_dim_type") not in (None, "text_proj"):
        return "embeddings of a picture"
    channels, latents = int(unet.get("in_channels", 4)), int(vae.get("latent_channels", 4))
    if channels != latents:
        return _EXTRA.get(channels - latents, f"{channels - latents} channels beside the latent")
    return None
