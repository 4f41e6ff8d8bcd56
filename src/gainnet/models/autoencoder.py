"""The autoencoder of the shipped models: 128x128 pictures to latents, 4x16x16 of scenes, 32x8x8 of emoji, and back."""

from __future__ import annotations

from typing import NamedTuple

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTinyOutput
from diffusers.models.autoencoders.vae import DecoderOutput
from diffusers.models.modeling_utils import ModelMixin  # diffusers finds the loader by this name in this module
from torch import Tensor

from gainnet.models.scene_layers import Decoder, Encoder


class Coded(NamedTuple):
    """Latents [batch, c, h, w] of pictures, and the pictures [batch, 3, H, W] decoded from them."""

    latents: Tensor
    sample: Tensor


class SceneAutoencoder(ModelMixin, ConfigMixin):  # type: ignore[misc]  # diffusers is untyped
    """Deterministic convolutional autoencoder with eight-fold or sixteen-fold reduction, in diffusers' format.

        pixels [b, 3, 128, 128] in [-1, 1] -> encoder -> latents [b, 4, 16, 16] of unit variance -> decoder -> pixels

    A pixel-unshuffle stem, DC-AE shortcuts (Chen et al. 2024) and residual blocks without normalisation. It stands
    where `StableDiffusionPipeline` expects its `vae`. With a fifth width the latents themselves are unshuffled, to half
    the height and width and four times the channels, where a denoiser has a quarter of the places to look at.

    Args:
        in_channels: channels of a picture going in.
        out_channels: channels of a picture coming out.
        latent_channels: channels of the latents.
        block_out_channels: widths at scale 1, 2, 4 and 8, and 16 if the latents are unshuffled; all but the third and
            fourth are implied by the unshuffles and only tell diffusers how much smaller latents are than pictures.
        num_encoder_blocks: residual blocks per scale of the encoder.
        num_decoder_blocks: residual blocks per scale of the decoder.
        scaling_factor: what a pipeline multiplies latents with; 1, as they have unit variance.
        shift_factor: what a pipeline subtracts from latents; 0.

    >>> autoencoder = SceneAutoencoder(block_out_channels=(8, 8, 8, 16))
    >>> autoencoder.encode(torch.zeros(2, 3, 128, 128)).latents.shape
    torch.Size([2, 4, 16, 16])
    >>> folded = SceneAutoencoder(latent_channels=32, block_out_channels=(8, 8, 8, 16, 64))
    >>> folded.encode(torch.zeros(2, 3, 128, 128)).latents.shape
    torch.Size([2, 32, 8, 8])
    """

    _supports_gradient_checkpointing = False

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        latent_channels: int = 4,
        block_out_channels: tuple[int, ...] = (3, 12, 64, 128),
        num_encoder_blocks: int = 1,
        num_decoder_blocks: int = 2,
        scaling_factor: float = 1.0,
        shift_factor: float = 0.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.encoder = Encoder(in_channels, latent_channels, block_out_channels, num_encoder_blocks)
        self.decoder = Decoder(out_channels, latent_channels, block_out_channels, num_decoder_blocks)

    def encode(self, x: Tensor, return_dict: bool = True) -> AutoencoderTinyOutput | tuple[Tensor]:
        """Latents of pictures, in the field `latents`.

        Args:
            x: [batch, 3, height, width], pixels in [-1, 1]; height and width are multiples of the reduction.
            return_dict: diffusers' convention; False gives a plain tuple.
        """
        latents = self.encoder(x)
        return AutoencoderTinyOutput(latents=latents) if return_dict else (latents,)

    def decode(
        self, z: Tensor, return_dict: bool = True, generator: torch.Generator | None = None
    ) -> DecoderOutput | tuple[Tensor]:
        """Pictures of latents, in the field `sample`, about in [-1, 1].

        Args:
            z: [batch, c, height / 8, width / 8], latents; or / 16.
            return_dict: diffusers' convention; False gives a plain tuple.
            generator: not used, decoding is deterministic; diffusers passes it.
        """
        sample = self.decoder(z)
        return DecoderOutput(sample=sample) if return_dict else (sample,)

    def forward(self, sample: Tensor) -> Coded:
        """Latents of pictures and the pictures decoded from them.

        Args:
            sample: [batch, 3, height, width], pixels in [-1, 1].
        """
        latents = self.encoder(sample)
        return Coded(latents, self.decoder(latents))
