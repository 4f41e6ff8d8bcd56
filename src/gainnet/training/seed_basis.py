"""Training the basis of the codecs `linear` and `digital`: principal components of latents that a model generates."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gainnet.codecs.basis import SMALLEST_VARIANCE, SeedBasis
from gainnet.codecs.linear import linear_mse
from gainnet.core.errors import ConfigError
from gainnet.core.files import check_outside_package, check_writable
from gainnet.core.randomness import Random
from gainnet.core.run.loop import silent
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.scenes import Scenes, draw_scenes, render, stream, write_captions
from gainnet.training.seed_metric import Count
from gainnet.training.seed_sources import FIRST_RANDOM_SEED, Captioned, Prompted, latents_of

BATCH_SIZE = 40
NUM_PARTS = 4
SHARES = (0.0, 0.3, 0.6, 0.8, 0.9, 0.97)


def train_seed_basis(
    source: Captioned | Prompted,
    out: Path,
    num_latents: int = 600,
    num_renders: int = 12000,
    random_seed: int = 0,
    progress: Count = silent,
) -> SeedBasis:
    r"""The principal components of a model's latents, written to a weights folder.

    prompts  --> [ the model's denoiser ] --> latents  \
                                                        > mean, covariance --> eigenvectors, variances --> folder
    renders  --> [ the model's encoder ] --> latents   /

    Generated latents follow the law that a codec will meet, but are few; latents of renders are cheap and nearly of
    that law. `basis_of` weighs them.

    Args:
        source: the model, with prompts of the user's or captions of drawn scenes.
        out: folder to write.
        num_latents: generated latents, at least 8.
        num_renders: encoded renders of scenes, 0 for a model of something else.
        random_seed: of prompts and noise.
        progress: receives (latents made, latents in all).

    Raises:
        ConfigError: too few latents, or `out` cannot be written.
    """
    check_basis(out, num_latents, num_renders, random_seed)
    model = source.model
    made: tuple[list[Tensor], list[Tensor]] = ([], [])
    batches = (generate_latents(source, num_latents, random_seed), encode_renders(model, num_renders, random_seed))
    for latents, kind in zip(batches, made, strict=True):
        for batch in latents:
            kind.append(batch)
            progress(sum(len(x) for x in chain(*made)), num_latents + num_renders)
    generated, encoded = made
    basis = basis_of(torch.cat(generated), torch.cat(encoded) if encoded else None, model.sha256)
    basis.save(out, _how(basis, num_latents, num_renders, random_seed))
    return basis


def check_basis(out: Path, num_latents: int, num_renders: int = 0, random_seed: int = 0) -> None:
    """Raises `ConfigError` for numbers of `train_seed_basis` out of range, before a model is loaded for them."""
    check_writable(out)
    check_outside_package(out)
    if random_seed < 0:
        raise ConfigError(f"random_seed: {random_seed} is negative; give 0 or more")
    if num_latents < 8 or num_renders < 0:
        raise ConfigError(f"num_latents: {num_latents} must be at least 8; num_renders must not be negative")


def basis_of(generated: Tensor, encoded: Tensor | None, model_sha256: str) -> SeedBasis:
    """The basis of generated [n, num_values] and, if any, encoded [m, num_values] latents.

    Components are those of a mixture of both covariances; the share of the encoded ones is that of `SHARES` for which a
    linear code at 0 dB with a quarter of the raw channel uses loses least. Mean and variances are those of generated
    latents.
    """
    mean = generated.double().mean(0)
    centred = generated.double() - mean
    other = torch.zeros(len(mean), len(mean), dtype=torch.float64)
    shares: tuple[float, ...] = (0.0,)
    if encoded is not None:
        other, shares = torch.cov(encoded.double().T), SHARES
    measured = [cross_fitted_variances(centred, other, share) for share in shares]
    # Two values fit into a symbol, so an eighth of the values is a quarter of the raw uses.
    num_uses = math.ceil(len(mean) / 8)
    losses = [float(linear_mse(v.sort(descending=True).values, num_uses, torch.ones(()))) for v in measured]
    best = min(range(len(shares)), key=losses.__getitem__)
    covariance = torch.lerp(torch.cov(centred.T), other, shares[best])
    return SeedBasis.of_moments(mean, covariance, model_sha256).with_variances(measured[best])


def cross_fitted_variances(centred: Tensor, other: Tensor, share: float) -> Tensor:
    """[num_values], variances along principal components of samples that those components were not fitted to.

    Components fit their own samples: the variances of the weakest come out several times too small, and a codec then
    gives them too little power and too few bits. Each of four parts is measured along those of the other three.

    Args:
        centred: [num_samples, num_values], of mean zero, float64.
        other: [num_values, num_values], a covariance from elsewhere, float64.
        share: weight of `other`, 0 to 1.
    """
    part = torch.arange(len(centred)) % NUM_PARTS
    variances = []
    for held_out in range(NUM_PARTS):
        covariance = torch.lerp(torch.cov(centred[part != held_out].T), other, share)
        _, vectors = torch.linalg.eigh(covariance)
        variances.append((centred[part == held_out] @ vectors.flip(1)).square().mean(0))
    return torch.stack(variances).mean(0).clamp_min(SMALLEST_VARIANCE)


@torch.no_grad()
def generate_latents(source: Captioned | Prompted, num_latents: int, random_seed: int) -> Iterator[Tensor]:
    """Batches [n, num_values] of generated latents.

    Args:
        source: whose latents, and of which prompts.
        num_latents: how many in all.
        random_seed: of prompts and noise.
    """
    for start in range(0, num_latents, BATCH_SIZE):
        count = min(BATCH_SIZE, num_latents - start)
        if isinstance(source, Prompted):
            yield source.make(start, count, random_seed)[0]
            continue
        # With streams of their own: the published basis was learned on these captions.
        scenes = draw_scenes(count, stream(random_seed, "seed basis scenes", start))
        prompts = write_captions(scenes, stream(random_seed, "seed basis captions", start))
        yield latents_of(source.model, prompts, FIRST_RANDOM_SEED + (random_seed << 20) + start)


def encode_renders(model: DiffusionModel, num_renders: int, random_seed: int) -> Iterator[Tensor]:
    """Batches [n, num_values] of encoded renders of random scenes, scaled as the denoiser's latents are."""
    for start in range(0, num_renders, BATCH_SIZE):
        count = min(BATCH_SIZE, num_renders - start)
        yield encode_scenes(model, draw_scenes(count, stream(random_seed, "seed basis renders", start)))


@torch.no_grad()
def encode_scenes(model: DiffusionModel, scenes: Scenes) -> Tensor:
    """[n, num_values], latents of rendered scenes, from the model's own encoder."""
    pictures = render(scenes).to(model.pipeline.vae.device, model.pipeline.vae.dtype)
    random = Random.of(range(len(scenes)))
    return model.image_encoder({"image": pictures}, random)["latent"].flatten(1).float().cpu()


def energy_shares(variances: Tensor) -> dict[str, float]:
    """Share of the variance that the first components have, by their number, of variances [num_components].

    >>> energy_shares(torch.cat([torch.full((64,), 3.0), torch.ones(64)]))
    {'64': 0.75}
    """
    energy = variances.double().cumsum(0)
    return {str(k): round(float(energy[k - 1] / energy[-1]), 4) for k in (64, 128, 256, 512) if k < len(energy)}


def _how(basis: SeedBasis, num_latents: int, num_renders: int, random_seed: int) -> dict[str, Any]:
    shares = energy_shares(basis.variances)
    return {
        "metrics": {"mean_variance": round(float(basis.variances.mean()), 4), "energy_of_first_components": shares},
        "trained": {"num_latents": num_latents, "num_renders": num_renders, "random_seed": random_seed},
    }
