"""Latents to train seed codecs on, with their prompts, kept in shards that a training goes on from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
from torch import Tensor

from gainnet.core.precision import half_precision
from gainnet.core.run.checkpoint import Checkpoint, fingerprint
from gainnet.core.run.loop import silent
from gainnet.core.text import tensor_to_text, text_to_tensor
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.latent_space import LatentSpace
from gainnet.models.scenes import draw_scenes, render, stream, write_captions
from gainnet.training.seed_metric import Count
from gainnet.training.seed_sources import SHARD_SIZE, Captioned, Source, encoded


@final
@dataclass(frozen=True)
class SeedLatents:
    """Latents and the prompts they were made of.

    Args:
        latents: [num_latents, num_values], float32.
        prompts: one per latent; empty ones of pictures.
    """

    latents: Tensor
    prompts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.prompts)

    def __getitem__(self, rows: slice) -> SeedLatents:
        return SeedLatents(self.latents[rows], self.prompts[rows])


def make_seed_latents(
    source: Source, folder: Path, num_shards: int, random_seed: int, progress: Count = silent
) -> tuple[SeedLatents, str]:
    """All latents of a folder, and a digest of them; shards that are not there yet are made.

    Args:
        source: of the latents.
        folder: of the shards `000.safetensors`, `001.safetensors` …
        num_shards: of 40 latents each; the last one of pictures may hold fewer.
        random_seed: of prompts and noise.
        progress: receives (shards that are there, shards in all).

    Raises:
        ConfigError: a shard is damaged, or of another model, material or random seed.
    """
    latents: list[Tensor] = []
    prompts: list[str] = []
    digest = hashlib.sha256()
    for shard in range(num_shards):
        start = shard * SHARD_SIZE
        origin = {**source.settings, "random_seed": random_seed, "start": start}
        checkpoint = Checkpoint(folder / f"{shard:03d}.safetensors", origin)
        if (found := checkpoint.read()) is None:
            found = {}, make_shard(source, start, random_seed)
            checkpoint.write(*found)
        latents.append(found[1]["latent"])
        # Without a byte there are no rows to read texts from.
        prompts += tensor_to_text(found[1]["prompt"]) if found[1]["prompt"].numel() else [""] * len(latents[-1])
        # A training that goes on refuses other latents than those it began with.
        digest.update(fingerprint(found[1]).encode())
        progress(shard + 1, num_shards)
    return SeedLatents(torch.cat(latents), tuple(prompts)), digest.hexdigest()


def make_shard(source: Source, start: int, random_seed: int) -> dict[str, Tensor]:
    """Latents [40, num_values] and prompts [40, num_bytes] of items `start` …, in half precision where there is any."""
    with half_precision(source.space.device):
        latents, prompts = source.make(start, SHARD_SIZE, random_seed)
    return {"latent": latents, "prompt": text_to_tensor(prompts)}


def captioned_shard(model: DiffusionModel, start: int, random_seed: int) -> Tensor:
    """[40, num_values], a shard of latents that a model generates from captions of drawn scenes."""
    return make_shard(Captioned(model), start, random_seed)["latent"]


def render_latents(space: LatentSpace, num_renders: int, random_seed: int) -> SeedLatents:
    """Latents of rendered scenes and captions of these, rounded to half precision.

    Args:
        space: whose encoder makes them.
        num_renders: a multiple of 40.
        random_seed: of scenes and captions.
    """
    latents, prompts = [torch.zeros(0, space.latent.num_values)], []
    for start in range(0, num_renders, SHARD_SIZE):
        scenes = draw_scenes(SHARD_SIZE, stream(random_seed, "transform seed renders", start))
        prompts += write_captions(scenes, stream(random_seed, "transform seed render captions", start))
        latents.append(encoded(space, render(scenes)).half().float())
    return SeedLatents(torch.cat(latents), tuple(prompts))
