"""A judge of style that is trained apart: a small network that tells styled pictures from plain ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from gainnet.core.randomness import Random, seeded
from gainnet.models.diffusion import DiffusionModel

WIDTHS: Final = (16, 32, 64, 64)
BATCH_SIZE: Final = 32
RATE: Final = 2e-3
MOST_NOISE: Final = 0.5
"""Largest standard deviation of the noise on latents of pictures that the judge learns from."""


@final
@dataclass(frozen=True, eq=False)
class Judge:
    """A network of four convolutions that was trained on pictures of two styles.

    Args:
        network: [n, 3, height, width] -> [n, 1], log-odds of the style.
    """

    network: nn.Module

    @torch.no_grad()
    def __call__(self, pictures: Tensor) -> Tensor:
        """[n], probability that pictures [n, 3, height, width] in [0, 1] have the style."""
        found: Tensor = self.network(_halved(pictures))[:, 0].sigmoid()
        return found


def train_judge(plain: Tensor, styled: Tensor, num_steps: int, random: Random) -> Judge:
    """A judge trained from nothing.

    Args:
        plain: [n, 3, height, width] in [0, 1], without the style.
        styled: likewise, with it.
        num_steps: mini-batches, half of each style.
        random: one item.
    """
    layers: list[nn.Module] = []
    with seeded(int(random.generators("weights")[0].integers(1 << 31))):
        for width, out in zip((3, *WIDTHS), WIDTHS, strict=False):
            layers += [nn.Conv2d(width, out, 3, 2, 1), nn.GroupNorm(4, out), nn.SiLU()]
        network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTHS[-1], 1))
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=0.01)
    halves, labels = (_halved(plain), _halved(styled)), torch.arange(2.0).repeat_interleave(BATCH_SIZE // 2)
    for step in range(num_steps):
        generator = random.generators("batch", step)[0]
        chosen = [x[torch.from_numpy(generator.integers(len(x), size=BATCH_SIZE // 2))] for x in halves]
        pictures = torch.cat(chosen)
        # Mirrored and with gains per colour, so that the judge does not know single pictures by heart.
        pictures = pictures.flip(3) if generator.random() < 0.5 else pictures
        gains = torch.from_numpy(generator.uniform(0.9, 1.1, size=(BATCH_SIZE, 3, 1, 1))).float()
        loss = functional.binary_cross_entropy_with_logits(network(pictures * gains)[:, 0], labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return Judge(network.eval())


@torch.no_grad()
def behind_autoencoder(model: DiffusionModel, pictures: Tensor, most_noise: float, random: Random) -> Tensor:
    """[n, 3, height, width] in [0, 1], pictures encoded, disturbed and decoded, as whatever a model draws is decoded.

    Args:
        model: whose autoencoder it is.
        pictures: [n, 3, height, width] in [0, 1].
        most_noise: each latent has noise of a standard deviation that is uniform up to this.
        random: one item.
    """
    found = []
    for index, some in enumerate(pictures.split(BATCH_SIZE)):
        items: Any = Random.of([0] * len(some))
        latent = model.image_encoder({"image": some}, items)["latent"]
        strength = most_noise * random.uniform((len(some), 1, 1, 1), "strength", index)
        noisy = latent + strength * random.normal(latent.shape, "noise", index)
        found.append(model.decoder({"latent": noisy}, items)["image"])
    return torch.cat(found)


def _halved(pictures: Tensor) -> Tensor:
    # A style is seen at half the size, where blots of an autoencoder are not.
    return functional.avg_pool2d(pictures, 2)
