"""Pictures that are sent as seeds over a link with power control, and decoded for real."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import final

import torch
from torch import Tensor

from gainnet.codecs import SeedBasis
from gainnet.core.randomness import Random
from gainnet.core.units import db_to_linear
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.loading import load_model
from gainnet.power_control import PowerPolicy, Static
from gainnet.power_control.env import Episodes
from gainnet.power_control.importance import NUM_CHANNEL_USES, decode_pictures, encoded_scenes
from gainnet.power_control.seed import NestedSeed
from gainnet.protocols.transmit import transmit
from gainnet.radio import Air, Jakes, Powered
from gainnet.studies.power_control.arena import NUM_BLOCKS, importance_of

_FIRST_SCENE = 1 << 20


@final
@dataclass(frozen=True)
class Gallery:
    """Latents of rendered scenes and their decoded pictures, sent over Jakes fading with a policy's power.

    latent --nested seed, dealt--> Analog(Powered(Jakes, policy)) --> latent' --decoder--> picture'

    Args:
        model: whose autoencoder it is.
        code: of the latents.
        channel: fading.
    """

    model: DiffusionModel
    code: NestedSeed
    channel: Jakes

    def __hash__(self) -> int:
        # Caches ask for a hash, and a model has none that is cheap.
        return id(self)

    def episodes(self, snr_db: float, num: int, random_seed: int) -> Episodes:
        """The fading that the pictures meet, as episodes."""
        random = self._random(num, random_seed)
        gains = self.channel.block_gains(self.channel.first_gain(random), NUM_BLOCKS, random).abs().square()
        importance = torch.tensor(importance_of("decoder")).expand(num, -1)
        return Episodes(gains, torch.full((num,), db_to_linear(snr_db)), importance)

    @torch.no_grad()
    def sent(self, policy: PowerPolicy, snr_db: float, num: int, random_seed: int) -> tuple[Tensor, float]:
        """PSNR of every picture [num] in dB against the picture that was not sent, and their mean squared error."""
        latents, originals = _originals(self, num, random_seed)
        random = self._random(num, random_seed)
        powered = Powered(self.channel, policy, importance=importance_of("decoder"))
        images = decode_pictures(self.model, transmit(latents, self.code, Air(powered, snr_db), random).values)
        mse = (images - originals).double().square().flatten(1).mean(-1)
        return -10 * mse.log10(), float(mse.mean())

    def _random(self, num: int, random_seed: int) -> Random:
        first = random_seed * 100_003
        return Random.of(range(first, first + num)).child("power control")


@lru_cache(maxsize=8)
def sent_statically(gallery: Gallery, snr_db: float, num: int, random_seed: int) -> tuple[Tensor, float]:
    """As `Gallery.sent`, at constant power; once for all policies that it is compared with."""
    return gallery.sent(Static(), snr_db, num, random_seed)


@lru_cache(maxsize=1)
@torch.no_grad()
def _originals(gallery: Gallery, num: int, random_seed: int) -> tuple[Tensor, Tensor]:
    starts = range(0, num, 64)
    parts = [encoded_scenes(gallery.model, min(64, num - n), random_seed, _FIRST_SCENE + n) for n in starts]
    latents = torch.cat(parts)
    return latents, decode_pictures(gallery.model, latents)


def open_gallery() -> Gallery:
    """The shipped model with a seed of 16 blocks, components dealt to them in turn."""
    model = load_model("scenes")
    code = NestedSeed(SeedBasis.load("scenes", model.sha256), NUM_CHANNEL_USES, num_alike=NUM_BLOCKS)
    return Gallery(model, code, Jakes(NUM_CHANNEL_USES // NUM_BLOCKS))
