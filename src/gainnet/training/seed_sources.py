"""Where the latents of a seed codec's training come from: captions of scenes, prompts of the user's, pictures."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Final, Protocol, final

import numpy as np
import torch
from torch import Tensor

from gainnet.codecs.picture_file import read_colours
from gainnet.core.errors import ConfigError
from gainnet.core.precision import half_precision
from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.emoji.captions import WORDINGS, read_wordings
from gainnet.models.latent_space import LatentSpace, load_latent_space
from gainnet.models.loading import find_folder, load_model
from gainnet.models.scenes import draw_scenes, stream, write_captions
from gainnet.models.vocabulary import VOCABULARY

SHARD_SIZE: Final = 40
FIRST_RANDOM_SEED: Final = 1 << 40
"""Random seeds from here on, so that no latent of the training is one that a user draws."""

VALUES_AT_ONCE: Final = SHARD_SIZE * 4096
"""Entries of latents that a model makes at once: all of a shard for small ones, few for those of Stable Diffusion."""

SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".bmp", ".tif", ".tiff")


class Source(Protocol):
    """Latents by number, with the prompts that they were made of.

    number, random seed --make--> prompts; latents [n, num_values]
    """

    @property
    def space(self) -> LatentSpace:
        """Whose latents they are."""

    @property
    def most(self) -> int | None:
        """How many there are; `None` where there is always another."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """All that they depend on beside the random seed, as JSON."""

    def make(self, start: int, count: int, random_seed: int) -> tuple[Tensor, tuple[str, ...]]:
        """Latents [count, num_values] and prompts of the items `start`, `start + 1` …, on the processor."""


@final
@dataclass(frozen=True)
class Captioned:
    """Latents that a model generates from captions of drawn scenes.

    Args:
        model: whose denoiser makes them.
    """

    model: DiffusionModel
    most: None = None

    @cached_property
    def space(self) -> LatentSpace:
        return LatentSpace.of(self.model)

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"model_sha256": self.model.sha256}

    def make(self, start: int, count: int, random_seed: int) -> tuple[Tensor, tuple[str, ...]]:
        scenes = draw_scenes(count, stream(random_seed, "seed codec scenes", start))
        prompts = tuple(write_captions(scenes, stream(random_seed, "seed codec captions", start)))
        return latents_of(self.model, prompts, _first(random_seed, start)), prompts


@final
@dataclass(frozen=True)
class Prompted:
    """Latents that a model generates from prompts of the user's, each with noise of its own, over and over.

    Args:
        model: whose denoiser makes them.
        prompts: at least one.
    """

    model: DiffusionModel
    prompts: tuple[str, ...]
    most: None = None

    def __post_init__(self) -> None:
        if not self.prompts:
            raise ConfigError("prompts: the file has no line with a prompt; give one per line")

    @cached_property
    def space(self) -> LatentSpace:
        return LatentSpace.of(self.model)

    @property
    def settings(self) -> Mapping[str, Any]:
        digest = hashlib.sha256("\n".join(self.prompts).encode()).hexdigest()
        return {"model_sha256": self.model.sha256, "num_steps": self.model.denoiser.num_steps, "prompts_sha256": digest}

    def make(self, start: int, count: int, random_seed: int) -> tuple[Tensor, tuple[str, ...]]:
        order = stream(random_seed, "seed prompts", 0).permutation(len(self.prompts))
        # Every prompt once before any comes twice, so that those held out at the end are of the same kind.
        prompts = tuple(self.prompts[order[item % len(order)]] for item in range(start, start + count))
        return latents_of(self.model, prompts, _first(random_seed, start)), prompts


@final
@dataclass(frozen=True)
class Pictured:
    """Latents of pictures of the user's: tiles of the size that the model draws, encoded. Without prompts.

    Args:
        space: whose encoder makes them.
        paths: of pictures, each at least as large as a picture of the model; larger ones give several tiles.
        density: tiles per their own length, along each side; above 1 they overlap.
    """

    space: LatentSpace
    paths: tuple[Path, ...]
    density: int = 1

    @property
    def most(self) -> int:
        return len(self._order)

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        digest = hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in self.paths))
        shape = {"shape": self.space.shape, "density": self.density}
        return {"model_sha256": self.space.sha256, **shape, "pictures_sha256": digest.hexdigest()}

    @torch.no_grad()
    def make(self, start: int, count: int, random_seed: int) -> tuple[Tensor, tuple[str, ...]]:
        chosen = [self._order[item] for item in range(start, min(start + count, self.most))]
        pictures = torch.stack([self._tile(*place) for place in chosen])
        return encoded(self.space, pictures), ("",) * len(chosen)

    @cached_property
    def _order(self) -> list[tuple[Path, int, int]]:
        """Every tile: path, top, left; of all pictures in turn, so that a part of them is of all."""
        _, height, width = self.space.image.shape
        tiles = ((path, _tiles(path, (height, width), self.density)) for path in self.paths)
        found = [(k, path, *place) for path, places in tiles for k, place in enumerate(places)]
        return [(path, top, left) for _, path, top, left in sorted(found, key=lambda tile: tile[0])]

    def _tile(self, path: Path, top: int, left: int) -> Tensor:
        _, height, width = self.space.image.shape
        return _pixels(path)[:, top : top + height, left : left + width].float() / 255


def open_source(
    model: str,
    prompts: Sequence[str] | None = None,
    pictures: Path | None = None,
    torch_device: str = "cpu",
    num_steps: int | None = None,
) -> Source:
    """The latents of a model: of prompts, of pictures, or, where neither is given, of what its makers say it draws.

    That are the names in the folder of the emoji model, and captions of scenes for other models that were trained here.

    Args:
        model: `scenes`, or a folder in diffusers' format; with pictures a tiny autoencoder will do.
        prompts: to generate from.
        pictures: folder of pictures, searched with its folders.
        torch_device: where the model runs.
        num_steps: sampler steps; the model's own default when `None`.

    Raises:
        ConfigError: both are given, there is nothing in them, nothing says what the model draws, or torch has no such
            device.
        ModelError: the model is missing or damaged.
    """
    if prompts is not None and pictures is not None:
        raise ConfigError("prompts: give --prompts FILE or --pictures FOLDER, one of the two")
    if pictures is not None:
        return Pictured(load_latent_space(model, torch_device), picture_paths(pictures))
    return open_captioned(model, prompts, torch_device, num_steps)


def open_captioned(
    model: str, prompts: Sequence[str] | None = None, torch_device: str = "cpu", num_steps: int | None = None
) -> Captioned | Prompted:
    """As `open_source` without pictures."""
    folder = find_folder(model)
    # Stable Diffusion learns nothing of use from captions of coloured shapes; only what was trained here draws them.
    if prompts is None and not any((folder / name).is_file() for name in (WORDINGS, VOCABULARY, "trained.json")):
        raise ConfigError(
            f"prompts: nothing in {model!r} says what it draws; give gainnet train seed-codec or seed-basis --prompts "
            "FILE, or seed-codec --pictures FOLDER"
        )
    opened, wordings = load_model(model, num_steps, torch_device=torch_device), folder / WORDINGS
    if prompts is None and wordings.is_file():
        prompts = [wording.own() for wording in read_wordings(wordings)]
    return Captioned(opened) if prompts is None else Prompted(opened, tuple(prompts))


def picture_paths(folder: Path) -> tuple[Path, ...]:
    """Paths of all pictures of a folder and its folders, by name.

    Raises:
        ConfigError: it is no folder, or holds no picture.
    """
    if not folder.is_dir():
        raise ConfigError(f"pictures: {folder} is not a folder; give one with PNG, JPEG or WebP files")
    found = tuple(path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES)
    if not found:
        raise ConfigError(f"pictures: {folder} holds no picture; give a folder with PNG, JPEG or WebP files")
    return found


@torch.no_grad()
def latents_of(model: DiffusionModel, prompts: Sequence[str], first_random_seed: int) -> Tensor:
    """[num_prompts, num_values], generated from prompts; item i has random seed `first_random_seed + i`."""
    size, made = items_at_once(model.latent.num_values), []
    for start in range(0, len(prompts), size):
        some = prompts[start : start + size]
        random = Random.of(range(first_random_seed + start, first_random_seed + start + len(some)))
        tensors = dict(model.prior({}, random)) | {"prompt": text_to_tensor(some)}
        tensors |= model.text_encoder(tensors, random)
        made.append(model.denoiser(tensors, random)["latent"].flatten(1).float().cpu())
    return torch.cat(made)


@torch.no_grad()
def encoded(space: LatentSpace, pictures: Tensor) -> Tensor:
    """[n, num_values], latents of pictures [n, 3, H, W] in [0, 1], in half precision where the device has it."""
    made = []
    for some in pictures.split(items_at_once(space.latent.num_values)):
        with half_precision(space.device):
            made.append(space.encode(some.to(space.device)).flatten(1).float().cpu())
    return torch.cat(made)


def items_at_once(num_values: int) -> int:
    """How many latents of that size a model makes at once.

    >>> items_at_once(1024), items_at_once(16384)
    (160, 10)
    """
    return max(1, VALUES_AT_ONCE // num_values)


def _first(random_seed: int, start: int) -> int:
    return FIRST_RANDOM_SEED + (random_seed << 20) + start


def _tiles(path: Path, sides: tuple[int, int], density: int) -> list[tuple[int, int]]:
    """Tops and lefts of tiles, spread evenly from border to border; raises `ConfigError` where not one fits."""
    height, width = sides
    size = read_colours(path).size
    if size[0] < width or size[1] < height:
        raise ConfigError(
            f"pictures: {path} has {size[0]} x {size[1]} pixels, less than the {width} x {height} of the model; "
            "leave it out"
        )
    tops, lefts = _spread(size[1], height, density), _spread(size[0], width, density)
    return [(top, left) for top in tops for left in lefts]


def _spread(size: int, tile: int, density: int) -> list[int]:
    count = 1 + (size - tile) * density // tile
    return [round(k * (size - tile) / max(1, count - 1)) for k in range(count)]


# The tiles of a picture come one after the other only within a shard: a few opened ones spare most of the reading.
@lru_cache(maxsize=32)
def _pixels(path: Path) -> Tensor:
    """[3, height, width], 8 bits."""
    return torch.from_numpy(np.array(read_colours(path))).permute(2, 0, 1)


PictureOf = Callable[[Tensor], Tensor]
"""Latents [n, channels, height, width] to pictures [n, 3, H, W], about in [0, 1]."""


def num_latents_of(source: Source, num_asked: int) -> int:
    """How many latents a source gives of those that are asked for."""
    return num_asked if source.most is None else min(num_asked, source.most)


def num_shards_of(source: Source, num_shards: int) -> int:
    """How many shards a source fills at most; the last one may hold fewer than the others."""
    return math.ceil(num_latents_of(source, num_shards * SHARD_SIZE) / SHARD_SIZE)
