"""Latents that a model really makes, with their captions, kept in shards: what seed codecs are trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from gainnet.core.errors import ModelError
from gainnet.core.randomness import Random
from gainnet.core.text import tensor_to_text, text_to_tensor
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.scenes import draw_scenes, stream, write_captions
from gainnet.training.seed_basis import FIRST_RANDOM_SEED, encoded

Progress = Callable[[int, int], None]
"""Told (shards that are there, shards in all)."""

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


def silent(num_made: int, num_in_all: int) -> None:
    """Progress that is not shown."""


def make_seed_latents(
    model: DiffusionModel, folder: Path, num_shards: int, random_seed: int, progress: Progress = silent
) -> SeedLatents:
    """All latents of a folder; shards that are not there yet are made, each file whole.

    Args:
        model: whose denoiser makes them.
        folder: of the shards `000.safetensors`, `001.safetensors` …
        num_shards: of 40 latents each.
        random_seed: of captions and noise.
        progress: told after every shard.

    Raises:
        ModelError: a shard is damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for shard in range(num_shards):
        path = folder / f"{shard:03d}.safetensors"
        if not path.exists():
            beside = path.with_suffix(".part")
            save_file(make_shard(model, shard * SHARD_SIZE, random_seed), beside)
            beside.replace(path)
        progress(shard + 1, num_shards)
    return read_seed_latents(folder, num_shards)


def read_seed_latents(folder: Path, num_shards: int) -> SeedLatents:
    """Latents of the first shards of a folder; raises `ModelError` when one is damaged."""
    latents: list[Tensor] = []
    prompts: list[str] = []
    for shard in range(num_shards):
        path = folder / f"{shard:03d}.safetensors"
        try:
            tensors = load_file(path)
            latents.append(tensors["latent"])
            prompts += tensor_to_text(tensors["prompt"])
        except (OSError, SafetensorError, KeyError):
            raise ModelError(f"seed latents: {path} is damaged; delete it and start again") from None
    return SeedLatents(torch.cat(latents), tuple(prompts))


@torch.no_grad()
def make_shard(model: DiffusionModel, start: int, random_seed: int) -> dict[str, Tensor]:
    """Latents [40, num_values] and prompts [40, num_bytes] of items `start`, `start + 1` …, in bfloat16 autocast."""
    scenes = draw_scenes(SHARD_SIZE, stream(random_seed, "seed codec scenes", start))
    prompts = write_captions(scenes, stream(random_seed, "seed codec captions", start))
    first = FIRST_RANDOM_SEED + (random_seed << 20) + start
    random = Random.of(range(first, first + SHARD_SIZE))
    with torch.autocast("cpu", torch.bfloat16):
        tensors = dict(model.prior({}, random)) | {"prompt": text_to_tensor(prompts)}
        tensors |= model.text_encoder(tensors, random)
        latents = model.denoiser(tensors, random)["latent"].flatten(1).float()
    return {"latent": latents, "prompt": tensors["prompt"]}


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
            latents.append(encoded(model, scenes).half().float())
    return SeedLatents(torch.cat(latents), tuple(prompts))
