"""How much each block of a nested seed matters to the picture: measured through the real decoder, as slopes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

import torch
from torch import Tensor

from gainnet.codecs import SeedBasis
from gainnet.core.errors import check_range
from gainnet.core.files import check_file, write_json
from gainnet.core.randomness import Random
from gainnet.core.types import Spec, Symbols
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.loading import load_model
from gainnet.models.scenes import draw_scenes, render, stream
from gainnet.power_control.seed import NestedSeed
from gainnet.radio.power import block_error

NUM_BLOCKS: Final = 16
NUM_CHANNEL_USES: Final = 256
_BATCH: Final = 32
_ERROR: Final = 0.1
_QUIET: Final = 1e9


@torch.no_grad()
def measure_importance(out: Path, num_pictures: int = 64, random_seed: int = 0) -> Path:
    r"""Writes what the blocks of a nested seed of the shipped model matter, to the latent and to the picture.

    To the latent with components in order, in closed form. To the picture with components dealt to the blocks in turn:
    this evens out the variances of blocks, yet not what they mean to the decoder, to which the first pair means most.

        picture of a random scene --encoder--> latent --nested seed, one noisy block--> latent' --decoder--> picture'
        $c_t = (\mathrm{E}\,\mathrm{MSE}_t - f) / e$,   MSE against the picture of the whole latent

    with f where no block is noisy (components beyond the seed are missing) and $e = 0.1$, an MMSE error at 9.5 dB.
    Weights are $c_t$ over their mean. How well $f + \sum c_t e_t$ predicts the error of a picture whose blocks are all
    noisy is measured on other pictures.

    Args:
        out: file to write, JSON.
        num_pictures: pictures per block, and as many to check with; 2 or more.
        random_seed: of scenes, SNRs and noise.

    Raises:
        ConfigError: there are too few pictures, the random seed is negative, or the file cannot be written.
    """
    check_range(num_pictures >= 2, "num_pictures", num_pictures, "2 or more, as one has no spread")
    check_range(random_seed >= 0, "random_seed", random_seed, "0 or more")
    check_file(out)
    model = load_model("scenes")
    basis = SeedBasis.load("scenes", model.sha256)
    code = NestedSeed(basis, NUM_CHANNEL_USES, num_alike=NUM_BLOCKS)
    quiet = torch.full((num_pictures, NUM_BLOCKS), _QUIET)
    pictures = _Pictures.drawn(model, num_pictures, random_seed, 0)
    floor = float(pictures.errors(model, code, quiet).mean())
    one = torch.eye(NUM_BLOCKS) * (1 / _ERROR - 1) + (1 - torch.eye(NUM_BLOCKS)) * _QUIET
    noisy = [float(pictures.errors(model, code, one[t].expand_as(quiet)).mean()) for t in range(NUM_BLOCKS)]
    slopes = torch.tensor([(mse - floor) / _ERROR for mse in noisy]).clamp_min(0)
    mean = float(slopes.mean())
    found = {
        "kind": "importance of the blocks of a nested seed",
        "model_sha256": model.sha256,
        "num_channel_uses": NUM_CHANNEL_USES,
        "latent": [round(x, 6) for x in NestedSeed(basis, NUM_CHANNEL_USES).importance(NUM_BLOCKS)],
        "picture": [round(float(x) / mean, 6) for x in slopes],
        "picture_floor": round(floor / mean, 6),
        "mse_of_one": mean,
        "check": _check(model, code, floor, slopes, num_pictures, random_seed),
        "trained": {"num_pictures": num_pictures, "random_seed": random_seed},
    }
    write_json(out, found, indent=1)
    return out


@final
@dataclass(frozen=True)
class _Pictures:
    """Latents of rendered scenes [num, *latent], their decoded pictures, and streams for noise."""

    latents: Tensor
    images: Tensor
    random: Random

    @staticmethod
    def drawn(model: DiffusionModel, num: int, random_seed: int, start: int) -> _Pictures:
        latents = encoded_scenes(model, num, random_seed, start)
        return _Pictures(
            latents, decode_pictures(model, latents), Random.of(range(start, start + num)).child(random_seed)
        )

    def errors(self, model: DiffusionModel, code: NestedSeed, received: Tensor) -> Tensor:
        """[num], squared errors of the pictures when blocks arrive at SNRs [num, NUM_BLOCKS]."""
        sent = code.encode(self.latents, torch.ones(len(self.latents)))
        # Noise of variance 1 and a gain of sqrt(SNR), as a receiver would see the block.
        gain = received.sqrt().repeat_interleave(NUM_CHANNEL_USES // NUM_BLOCKS, -1)
        noise = self.random.complex_normal((NUM_CHANNEL_USES,), "noise")
        arrived = Symbols(gain * sent.values + noise, gain + 0j, torch.ones_like(gain))
        images = decode_pictures(model, code.decode(arrived, Spec(tuple(self.latents.shape[1:]))))
        return (images - self.images).double().square().flatten(1).mean(-1)


def _check(
    model: DiffusionModel, code: NestedSeed, floor: float, slopes: Tensor, num: int, random_seed: int
) -> dict[str, float]:
    """How far the line is from measured errors over Rayleigh fading of 0 to 20 dB, in dB."""
    others = _Pictures.drawn(model, num, random_seed, num)
    mean_db = 20 * others.random.uniform((1,), "mean")
    received = 10 ** (mean_db / 10) * -torch.log1p(-others.random.uniform((NUM_BLOCKS,), "gains"))
    measured = others.errors(model, code, received)
    predicted = floor + (block_error(torch.ones(()), received, torch.ones(())) @ slopes).double()
    misses = 10 * (predicted / measured).log10()
    return {
        "num_pictures": num,
        "mean_db": round(float(misses.mean()), 3),
        "std_db": round(float(misses.std()), 3),
        "of_mean_db": round(10 * math.log10(float(predicted.mean() / measured.mean())), 3),
    }


def encoded_scenes(model: DiffusionModel, num: int, random_seed: int, start: int) -> Tensor:
    """[num, *latent], latents of rendered scenes as the denoiser would make them."""
    pictures = render(draw_scenes(num, stream(random_seed, "power importance", start)))
    vae = model.pipeline.vae
    image = pictures.to(vae.device, vae.dtype)
    return model.image_encoder({"image": image}, Random.of(range(num)))["latent"].float().cpu()


def decode_pictures(model: DiffusionModel, latents: Tensor) -> Tensor:
    """[num, 3, height, width], pictures in [0, 1]."""
    parts = latents.split(_BATCH)
    return torch.cat([model.decoder({"latent": x}, Random.of(range(len(x))))["image"] for x in parts])
