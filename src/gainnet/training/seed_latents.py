"""Latents that a model generates, with their captions, kept in shards, to train seed codecs on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
from torch import Tensor

from gainnet.core.run.checkpoint import Checkpoint, fingerprint
from gainnet.core.run.loop import silent
from gainnet.core.text import tensor_to_text, text_to_tensor
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.scenes import draw_scenes, stream, write_captions
from gainnet.training.seed_basis import FIRST_RANDOM_SEED, encode_scenes, latents_of
from gainnet.training.seed_metric import Count

SHARD_SIZE = 40


@final
@dataclass(frozen=True)
class SeedLatents:
    """Latents and the captions they were made of.

    Args:
        latents: [num_latents, num_values], float32.
        prompts: one per latent.
    """

    latents: Tensor
    prompts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.prompts)

    def __getitem__(self, rows: slice) -> SeedLatents:
        return SeedLatents(self.latents[rows], self.prompts[rows])


def make_seed_latents(
    model: DiffusionModel, folder: Path, num_shards: int, random_seed: int, progress: Count = silent
) -> tuple[SeedLatents, str]:
    """All latents of a folder, and a digest of them; shards that are not there yet are made.

    Args:
        model: whose denoiser makes them.
        folder: of the shards `000.safetensors`, `001.safetensors` …
        num_shards: of 40 latents each.
        random_seed: of captions and noise.
        progress: receives (shards that are there, shards in all).

    Raises:
        ConfigError: a shard is damaged, or of another model or random seed.
    """
    latents: list[Tensor] = []
    prompts: list[str] = []
    digest = hashlib.sha256()
    for shard in range(num_shards):
        start = shard * SHARD_SIZE
        origin = {"model_sha256": model.sha256, "random_seed": random_seed, "start": start}
        checkpoint = Checkpoint(folder / f"{shard:03d}.safetensors", origin)
        if (found := checkpoint.read()) is None:
            found = {}, make_shard(model, start, random_seed)
            checkpoint.write(*found)
        latents.append(found[1]["latent"])
        prompts += tensor_to_text(found[1]["prompt"])
        # A training that goes on refuses other latents than those it began with.
        digest.update(fingerprint(found[1]).encode())
        progress(shard + 1, num_shards)
    return SeedLatents(torch.cat(latents), tuple(prompts)), digest.hexdigest()


@torch.no_grad()
def make_shard(model: DiffusionModel, start: int, random_seed: int) -> dict[str, Tensor]:
    """Latents [40, num_values] and prompts [40, num_bytes] of items `start`, `start + 1` …, in bfloat16 autocast."""
    scenes = draw_scenes(SHARD_SIZE, stream(random_seed, "seed codec scenes", start))
    prompts = write_captions(scenes, stream(random_seed, "seed codec captions", start))
    with torch.autocast("cpu", torch.bfloat16):
        latents = latents_of(model, prompts, FIRST_RANDOM_SEED + (random_seed << 20) + start)
    return {"latent": latents, "prompt": text_to_tensor(prompts)}


def render_latents(model: DiffusionModel, num_renders: int, random_seed: int) -> SeedLatents:
    """Latents of rendered scenes and captions of these, in bfloat16 autocast and rounded to half precision.

    Args:
        model: whose encoder makes them.
        num_renders: a multiple of 40.
        random_seed: of scenes and captions.
    """
    latents, prompts = [torch.zeros(0, model.latent.num_values)], []
    for start in range(0, num_renders, SHARD_SIZE):
        scenes = draw_scenes(SHARD_SIZE, stream(random_seed, "transform seed renders", start))
        prompts += write_captions(scenes, stream(random_seed, "transform seed render captions", start))
        with torch.autocast("cpu", torch.bfloat16):
            latents.append(encode_scenes(model, scenes).half().float())
    return SeedLatents(torch.cat(latents), tuple(prompts))
