"""Layers of the autoencoder of the scenes model, and its decoder alone, which a device loads without diffusers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from gainnet.core.errors import ModelError
from gainnet.models.residual import ResidualBlock

FOLDER = Path(__file__).parent / "pretrained" / "scenes" / "vae"


class Downsample(nn.Module):
    """Halves height and width; the shortcut averages the unshuffled channels (DC-AE, Chen et al. 2024, Fig. 4).

    >>> import torch
    >>> Downsample(8, 16)(torch.zeros(1, 8, 4, 4)).shape
    torch.Size([1, 16, 2, 2])
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels // 4, 3, padding=1)
        self.out_channels = out_channels

    def forward(self, x: Tensor) -> Tensor:
        groups: Tensor = functional.pixel_unshuffle(x, 2).unflatten(1, (self.out_channels, -1))
        return functional.pixel_unshuffle(cast(Tensor, self.conv(x)), 2) + groups.mean(2)


class Upsample(nn.Module):
    """Doubles height and width; the shortcut shuffles repeated channels (DC-AE, Chen et al. 2024, Fig. 4).

    >>> import torch
    >>> Upsample(16, 8)(torch.zeros(1, 16, 2, 2)).shape
    torch.Size([1, 8, 4, 4])
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels * 4, 3, padding=1)
        self.num_repeats = out_channels * 4 // in_channels

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x.repeat_interleave(self.num_repeats, dim=1)
        return functional.pixel_shuffle(cast(Tensor, self.conv(x)) + shortcut, 2)


class Encoder(nn.Sequential):
    """Pixels [*, 3, 128, 128] to latents [*, 4, 16, 16]: unshuffle by 4, blocks, halve, blocks, 3x3 convolution.

    Args:
        in_channels: of a picture.
        latent_channels: of the latents that leave it.
        widths: at scale 1, 2, 4, 8 and perhaps 16; see `SceneAutoencoder`.
        num_blocks: residual blocks per scale.
    """

    def __init__(self, in_channels: int, latent_channels: int, widths: Sequence[int], num_blocks: int) -> None:
        _, _, fine, coarse, *folded = widths
        super().__init__(
            nn.PixelUnshuffle(4),
            nn.Conv2d(in_channels * 16, fine, 3, padding=1),
            *(ResidualBlock(fine) for _ in range(num_blocks)),
            Downsample(fine, coarse),
            *(ResidualBlock(coarse) for _ in range(num_blocks)),
            nn.Conv2d(coarse, latent_channels // 4 ** len(folded), 3, padding=1),
            *(nn.PixelUnshuffle(2) for _ in folded),
        )


class Decoder(nn.Sequential):
    """Latents [*, 4, 16, 16] to pixels [*, 3, 128, 128]: the encoder's mirror image.

    Args:
        out_channels: of a picture.
        latent_channels: of the latents that enter it.
        widths: at scale 1, 2, 4, 8 and perhaps 16; see `SceneAutoencoder`.
        num_blocks: residual blocks per scale.
    """

    def __init__(self, out_channels: int, latent_channels: int, widths: Sequence[int], num_blocks: int) -> None:
        _, _, fine, coarse, *folded = widths
        super().__init__(
            *(nn.PixelShuffle(2) for _ in folded),
            nn.Conv2d(latent_channels // 4 ** len(folded), coarse, 3, padding=1),
            *(ResidualBlock(coarse) for _ in range(num_blocks)),
            Upsample(coarse, fine),
            *(ResidualBlock(fine) for _ in range(num_blocks)),
            nn.Conv2d(fine, out_channels * 16, 3, padding=1),
            nn.PixelShuffle(4),
        )


def load_decoder(folder: Path = FOLDER) -> Decoder:
    """The decoder of a scenes autoencoder: latents [*, 4, 16, 16] to pixels [*, 3, 128, 128], about in [-1, 1].

    It has the weights of `load_model("scenes")`. Whoever only decodes needs neither diffusers nor transformers, whose
    import takes seconds.

    Args:
        folder: of the autoencoder, in diffusers' format.

    Raises:
        ModelError: the folder is missing or damaged.

    >>> import torch
    >>> tuple(load_decoder()(torch.zeros(1, 4, 16, 16)).shape)
    (1, 3, 128, 128)
    """
    from safetensors.torch import load_file

    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        own = ("out_channels", "latent_channels", "block_out_channels", "num_decoder_blocks")
        decoder = Decoder(*(config[name] for name in own))
        stored = load_file(folder / "diffusion_pytorch_model.safetensors")
        weights = {key.removeprefix("decoder."): x for key, x in stored.items() if key.startswith("decoder.")}
        decoder.load_state_dict(weights)
    except (OSError, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise ModelError(f"model: {folder} is no autoencoder of scenes ({error}); train or copy it again") from error
    return decoder.eval().requires_grad_(False)
