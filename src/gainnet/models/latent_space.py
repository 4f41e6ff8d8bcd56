"""The space that seeds live in: pictures to latents and back, whatever else a model consists of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.types import Spec
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.loading import find_folder, load_model, torch_device_of, weights_sha256
from gainnet.models.tiny_autoencoder import FILES, SCALE, TinyAutoencoder

TINY_SIDE: Final = 256
"""Height and width in pixels of pictures of an autoencoder that stands alone, unless others are asked for."""


@final
@dataclass(frozen=True)
class LatentSpace:
    """The autoencoder of a model.

    pictures [n, 3, H, W] in [0, 1] --encode--> latents [n, *latent.shape] --decode--> pictures, about in [0, 1]

    Args:
        name: name or folder of the model.
        sha256: of its weights; codecs that were trained for it name it.
        latent: shape of a latent.
        image: shape of a picture.
        encode: pictures to latents, scaled as the denoiser's.
        decode: latents of any height and width to pictures; differentiable and not clipped.
        device: where both compute; tensors of other devices have to be moved there.
    """

    name: str
    sha256: str
    latent: Spec
    image: Spec
    encode: Callable[[Tensor], Tensor]
    decode: Callable[[Tensor], Tensor]
    device: torch.device

    @staticmethod
    def of(model: DiffusionModel) -> LatentSpace:
        """The autoencoder of a pipeline.

        >>> LatentSpace.of(load_model("scenes")).latent.shape
        (4, 16, 16)
        """
        vae, family = model.pipeline.vae, model.family

        def encode(pictures: Tensor) -> Tensor:
            return model.image_encoder({"image": pictures}, Random.of(range(len(pictures))))["latent"]

        def decode(latents: Tensor) -> Tensor:
            decoded: Tensor = vae.decode(family.to_decoder(vae.config, latents), return_dict=False)[0]
            return decoded / 2.0 + 0.5

        device = next(vae.parameters()).device
        return LatentSpace(model.name, model.sha256, model.latent, model.image, encode, decode, device)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of a latent."""
        channels, height, width = self.latent.shape
        return channels, height, width


def load_latent_space(
    name: str, torch_device: str = "cpu", height: int | None = None, width: int | None = None
) -> LatentSpace:
    """The latent space of a model, or of a tiny autoencoder that stands alone.

    Args:
        name: of a shipped model; a folder in diffusers' format; or one with `encoder.safetensors` and
            `decoder.safetensors` of TAESD, TAESD3, TAEF1 or TAEF2.
        torch_device: where torch runs it.
        height: of the pictures in pixels; the model's own when `None`, 256 of an autoencoder.
        width: likewise.

    Raises:
        ModelError: the folder is missing or damaged.
        ConfigError: torch has no such device, or the sides do not fit.
    """
    folder = find_folder(name)
    if (folder / "model_index.json").is_file() or not all((folder / file).is_file() for file in FILES):
        return LatentSpace.of(load_model(name, torch_device=torch_device, height=height, width=width))
    device, network = torch_device_of(torch_device), TinyAutoencoder.load(folder)
    sides = height or TINY_SIDE, width or TINY_SIDE
    for field, side in zip(("height", "width"), sides, strict=True):
        if side < SCALE or side % SCALE:
            raise ConfigError(f"{field}: {side} pixels do not fit the autoencoder; give a multiple of {SCALE}")
    network.to(device)
    latent = Spec((network.num_channels, sides[0] // SCALE, sides[1] // SCALE))
    return LatentSpace(
        name, weights_sha256(folder), latent, Spec((3, *sides)), network.encode, network.decode, device
    )  # fmt: skip
