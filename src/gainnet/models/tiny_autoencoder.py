"""Tiny autoencoders (TAESD, TAESD3, TAEF1, TAEF2) from their two files, without a model around them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, final

import torch
from torch import Tensor, nn

from gainnet.core.errors import ModelError

FILES: Final = ("encoder.safetensors", "decoder.safetensors")
WIDTH: Final = 64
SCALE: Final = 8
"""Pixels of a picture per entry of the latent, along one side."""

_ENCODER: Final = ("first", "block", *3 * ("down", "block", "block", "block"), "last")
_DECODER: Final = ("clamp", "first", "relu", *3 * ("block", "block", "block", "up", "plain"), "block", "last")
"""Layers in the order of their numbers in the files (madebyollin/taesd, MIT)."""


class _Block(nn.Module):
    """Three convolutions, added to their input; next to the latent of TAEF2 after a term of normalised means."""

    def __init__(self, is_pooled: bool) -> None:
        super().__init__()
        first, second, third = (nn.Conv2d(WIDTH, WIDTH, 3, padding=1) for _ in range(3))
        self.conv = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), third)
        # 1 x 1 convolutions around a norm over groups of channels and all places.
        wide, narrow = (nn.Conv2d(*ends, 1, bias=False) for ends in ((WIDTH, 4 * WIDTH), (4 * WIDTH, WIDTH)))
        pool = nn.Sequential(wide, nn.GroupNorm(4, 4 * WIDTH), nn.ReLU(), narrow)
        self.pool = pool if is_pooled else None

    def forward(self, x: Tensor) -> Tensor:
        x = x if self.pool is None else x + self.pool(x)
        return torch.relu(self.conv(x) + x)


class _Clamp(nn.Module):
    """Latents that no encoder makes are pulled towards those that it does."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x / 3) * 3


@final
class TinyAutoencoder(nn.Module):
    """Pictures [n, 3, H, W] in [0, 1] to latents [n, channels, H / 8, W / 8] and back; latents are used as they are.

    Args:
        num_channels: of a latent.
        is_pooled: whether the blocks next to the latent have pooled norms.

    >>> TinyAutoencoder(4, False).encode(torch.zeros(1, 3, 16, 24)).shape
    torch.Size([1, 4, 2, 3])
    """

    def __init__(self, num_channels: int, is_pooled: bool) -> None:
        super().__init__()
        self.num_channels = num_channels
        self.encoder = _stack(_ENCODER, (3, num_channels), is_pooled, range(11, 14))
        self.decoder = _stack(_DECODER, (num_channels, 3), is_pooled, range(3, 6))

    @staticmethod
    def load(folder: Path) -> TinyAutoencoder:
        """The autoencoder of a folder with `encoder.safetensors` and `decoder.safetensors`, in float32 and frozen.

        Raises:
            ModelError: a file is missing or damaged, or is of another network.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            halves = [{name: x.float() for name, x in load_file(folder / file).items()} for file in FILES]
            network = TinyAutoencoder(len(halves[0]["14.weight"]), "11.pool.0.weight" in halves[0])
            for half, weights in zip((network.encoder, network.decoder), halves, strict=True):
                half.load_state_dict(weights)
        except (OSError, SafetensorError, KeyError, RuntimeError) as error:
            line = str(error).strip().splitlines()[0]
            raise ModelError(f"model: {folder} is no tiny autoencoder, or incomplete ({line})") from None
        # Channels last, in which convolutions of 64 channels are a fifth faster on a processor.
        for weight in network.parameters():
            weight.data = (
                weight.data.contiguous(memory_format=torch.channels_last) if weight.dim() == 4 else weight.data
            )
        return network.eval().requires_grad_(False)

    def encode(self, pictures: Tensor) -> Tensor:
        """[n, num_channels, H / 8, W / 8] of pictures [n, 3, H, W] in [0, 1]."""
        latents: Tensor = self.encoder(pictures)
        return latents

    def decode(self, latents: Tensor) -> Tensor:
        """[n, 3, 8 h, 8 w], about in [0, 1], of latents [n, num_channels, h, w]; differentiable."""
        pictures: Tensor = self.decoder(latents)
        return pictures


def _stack(layers: tuple[str, ...], ends: tuple[int, int], is_pooled: bool, pooled: range) -> nn.Sequential:
    """A half; `pooled` are the numbers of the blocks next to the latent."""
    made: Mapping[str, tuple[int, int, int, bool]] = {
        "first": (ends[0], WIDTH, 1, True), "last": (WIDTH, ends[1], 1, True),
        "down": (WIDTH, WIDTH, 2, False), "plain": (WIDTH, WIDTH, 1, False),
    }  # fmt: skip
    stack: list[nn.Module] = []
    for number, layer in enumerate(layers):
        if layer in made:
            width, out, stride, bias = made[layer]
            stack.append(nn.Conv2d(width, out, 3, stride=stride, padding=1, bias=bias))
        elif layer == "block":
            stack.append(_Block(is_pooled and number in pooled))
        else:
            stack.append({"clamp": _Clamp, "relu": nn.ReLU}.get(layer, lambda: nn.Upsample(scale_factor=2))())
    return nn.Sequential(*stack)
