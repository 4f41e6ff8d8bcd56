"""Photographs cut into crops, two halves of them, and codes that each half is judged with, learned on the other."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Final, final

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gainnet.codecs.components import Components
from gainnet.codecs.opponents import ENCODERS, EncodeCache, StillEncoder, cache_folder, installed
from gainnet.codecs.picture_file import read_colours
from gainnet.codecs.seed_codec import SeedWeights
from gainnet.codecs.transform_seed import TransformWeights
from gainnet.core.errors import ConfigError, ModelError
from gainnet.core.weights import CONFIG
from gainnet.models.efficientnet import EfficientNet, Features, features_of, load_features
from gainnet.models.latent_space import LatentSpace, load_latent_space
from gainnet.models.loading import find_folder, weights_sha256
from gainnet.models.scenes import stream
from gainnet.studies.photographs.question import CODECS, HALVES, PhotographsConfig
from gainnet.studies.results import config_hash
from gainnet.training.own_seeds import PER_COMPONENT, train_linear
from gainnet.training.seed_air import AirRange
from gainnet.training.seed_codec import SeedTraining, train_seed_codec
from gainnet.training.seed_sources import SHARD_SIZE, Pictured, picture_paths
from gainnet.training.seed_stage import SeedStageLength
from gainnet.training.transform_seed import TransformTraining, train_transform_seed
from gainnet.training.transform_stage import StageLength

PICTURES_AT_ONCE: Final = 4
TILES_PER_SIDE: Final = 2
NUM_DRAWN: Final = 48
SQUARE: Final = 16
"""Side of the square of a latent that is decoded in a step: the decoder's norms see what they see of a whole one."""

QUANTISERS: Final[Mapping[str, tuple[int, ...]]] = {
    "vvc": tuple(range(57, 26, -2)),
    "hevc": tuple(range(51, 22, -2)),
    "avif": (0, 3, 6, 9, 13, 18, 24, 31, 40),
    "jpeg_xl": tuple(range(0, 91, 10)),
}
"""Those of each codec that are tried; a step of VVC and HEVC is 12 % of a stream."""


@final
@dataclass(frozen=True)
class Half:
    """Crops of half of the photographs.

    Args:
        crops: [n, 3, side, side], in [0, 1].
        photograph_of: [n], number of the photograph that each is of.
        latents: [n, *latent], of the crops.
        features: of the crops.
    """

    crops: Tensor
    photograph_of: tuple[int, ...]
    latents: Tensor
    features: Features


@final
@dataclass(frozen=True)
class Material:
    """All that the methods need; codes are learned when the first of their cases asks for them.

    Args:
        config: settings of the run.
        space: whose latents are sent.
        judge: network that features come from.
        half_of: crops of a half and a random seed.
        basis_of: components for a half, learned on the other.
        seed_of: weights of the learned seed code for a half.
        transform_of: weights of the transform code for a half.
        encodes: of the picture codecs, kept on disk.
    """

    config: PhotographsConfig
    space: LatentSpace
    judge: EfficientNet
    half_of: Callable[[str, int], Half]
    basis_of: Callable[[str], Components]
    seed_of: Callable[[str], SeedWeights]
    transform_of: Callable[[str], TransformWeights]
    encodes: EncodeCache

    @torch.no_grad()
    def decoded(self, latents: Tensor) -> Tensor:
        """[n, 3, side, side], pictures of latents [n, *latent], in [0, 1]."""
        chunks = latents.split(PICTURES_AT_ONCE)
        return torch.cat([self.space.decode(some).clamp(0, 1) for some in chunks])

    def features(self, pictures: Tensor) -> Features:
        """Of pictures [n, 3, side, side] in [0, 1]."""
        return features_of(pictures, self.judge, 16)


def gather(config: PhotographsConfig) -> Material:
    """Loads photographs, model and judge; codes are learned later.

    Raises:
        ConfigError: a photograph is smaller than a crop, there are too few, or a codec is not installed.
        ModelError: the model is missing or damaged.
        MissingExtraError: the judge's package is not installed.
    """
    wanted = [name for name in CODECS if name in config.methods]
    if lacking := set(wanted) - set(installed(wanted)):
        raise ConfigError(
            f"methods: {', '.join(sorted(lacking))} cannot encode here; install 'gainnet[opponents]' or leave them out"
        )
    paths, judge = photographs(config), load_features()
    space = load_latent_space(_model(config), height=config.side, width=config.side)
    trainers = _Trainers(config, space, paths)
    # One half and random seed at a time: their cases follow each other.
    half_of = lru_cache(maxsize=1)(lambda half, seed: _half(config, space, judge, paths, half, seed))
    return Material(
        config, space, judge, half_of, lru_cache(trainers.basis), lru_cache(trainers.seed),
        lru_cache(trainers.transform), EncodeCache(cache_folder()),
    )  # fmt: skip


def encoders() -> Mapping[str, tuple[StillEncoder, ...]]:
    """Of every codec the mode with chroma at half the size, which is the better one at these rates."""
    return {name: (replace(ENCODERS[name][0], quantisers=chosen),) for name, chosen in QUANTISERS.items()}  # type: ignore[type-var]


def photographs(config: PhotographsConfig) -> tuple[Path, ...]:
    """Paths of all photographs, by name; textures are drawn where the settings name no folder.

    Raises:
        ConfigError: the folder is missing, or holds fewer than two pictures.
    """
    folder = Path(config.pictures) if config.pictures else _drawn(config)
    if not folder.is_dir():
        raise ConfigError(f"pictures: {folder} is not a folder; give one of photographs with --pictures FOLDER")
    paths = picture_paths(folder)
    if len(paths) < len(HALVES):
        raise ConfigError(
            f"pictures: {folder} holds {len(paths)} picture; give 2 or more, as one half judges the other"
        )
    return paths


def identity(config: PhotographsConfig) -> Mapping[str, str]:
    """sha256 of the model and of the photographs."""
    digest = hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in photographs(config)))
    return {"model": weights_sha256(find_folder(_model(config))), "pictures": digest.hexdigest()}


def _model(config: PhotographsConfig) -> str:
    try:
        find_folder(config.model)
    except ModelError:
        raise ConfigError(
            f"model: {config.model!r} is not a folder; give one with --model FOLDER, in diffusers' format, or with "
            "encoder.safetensors and decoder.safetensors of TAEF2 (madebyollin/taesd)"
        ) from None
    return config.model


@torch.no_grad()
def _half(
    config: PhotographsConfig, space: LatentSpace, judge: EfficientNet, paths: Sequence[Path], half: str, seed: int
) -> Half:
    crops, owners = [], []
    for number in range(HALVES.index(half), len(paths), len(HALVES)):
        pixels = np.array(read_colours(paths[number]))
        height, width, _ = pixels.shape
        if min(height, width) < config.side:
            raise ConfigError(
                f"pictures: {paths[number]} has {width} x {height} pixels, less than a crop of {config.side}; "
                "leave it out"
            )
        rng = stream(seed, "photographs crops", number)
        for _ in range(config.crops_per_photograph):
            top, left = (int(rng.integers(0, size - config.side + 1)) for size in (height, width))
            crops.append(torch.from_numpy(pixels[top : top + config.side, left : left + config.side].copy()))
            owners.append(number)
    pictures = torch.stack(crops).permute(0, 3, 1, 2).float() / 255
    latents = torch.cat([space.encode(some) for some in pictures.split(PICTURES_AT_ONCE)])
    return Half(pictures, tuple(owners), latents, features_of(pictures, judge, 16))


@final
@dataclass(frozen=True)
class _Trainers:
    """Codes for a half, learned on the other; each goes on from its folder."""

    config: PhotographsConfig
    space: LatentSpace
    paths: tuple[Path, ...]

    def basis(self, half: str) -> Components:
        source, folder = self._source(half), self._folder(half)
        return train_linear(source, folder / "linear", self._seed_training, 0, latents=folder / "latents")

    def seed(self, half: str) -> SeedWeights:
        folder = self._folder(half) / "seed"
        if not (folder / CONFIG).is_file():
            train_seed_codec(self._source(half), folder, self._seed_training, 0, latents=folder.parent / "latents")
        return SeedWeights.load(folder, self.space.sha256)

    def transform(self, half: str) -> TransformWeights:
        folder, (first, second) = self._folder(half) / "transform", self.config.transform_steps
        training = TransformTraining(
            num_shards=self._num_shards, num_held_out=1, num_renders=0, latents_random_seed=0,
            lengths=(StageLength(first, 8), StageLength(second, 4)), square=SQUARE, num_measured=8,
        )  # fmt: skip
        if not (folder / CONFIG).is_file():
            train_transform_seed(self._source(half), folder, training, 0, latents=folder.parent / "latents")
        return TransformWeights.load(folder, self.space.sha256)

    @property
    def _num_shards(self) -> int:
        return -(-self.config.num_tiles // SHARD_SIZE)

    @property
    def _seed_training(self) -> SeedTraining:
        uses = [self.config.channel_uses(each) for each in self.config.uses_per_value]
        air = AirRange(
            0.7 * min(uses), round(1.4 * max(uses)), (min(self.config.snrs_db) - 2, max(self.config.snrs_db) + 2)
        )
        on_components, refined, pictures = self.config.seed_steps
        default, most = SeedTraining(), self.space.latent.num_values
        sizes = {name: min(getattr(default.architecture, name), most) for name in PER_COMPONENT}
        return SeedTraining(
            num_shards=self._num_shards, num_held_out=1, num_renders=0, latents_random_seed=0, first_probe=0,
            num_probes=32, square=SQUARE, checkpoint_every=25,
            lengths=(
                SeedStageLength(on_components, (4, 4), rate=1e-3, air=air),
                SeedStageLength(refined, (4, 4), rate=5e-4, air=air),
                SeedStageLength(pictures, (4, 2), rate=5e-4, air=air),
            ),
            architecture=replace(default.architecture, **sizes),
        )  # fmt: skip

    def _source(self, half: str) -> Pictured:
        other = self.paths[1 - HALVES.index(half) :: len(HALVES)]
        return Pictured(self.space, other, TILES_PER_SIDE)

    def _folder(self, half: str) -> Path:
        settings = [self.config.num_tiles, self.config.seed_steps, self.config.transform_steps]
        about = {"identity": dict(identity(self.config)), "settings": settings, "side": self.config.side}
        return Path(self.config.work) / config_hash(about) / half


def _drawn(config: PhotographsConfig) -> Path:
    """A folder of textures, by which the study runs where there are no photographs."""
    folder = Path(config.work) / "drawn"
    for number in range(NUM_DRAWN):
        path = folder / f"{number:03d}.png"
        if not path.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            small = stream(0, "photographs drawn", number).integers(0, 256, (9, 9, 3), dtype="uint8")
            side = config.side + config.side // 2
            Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC).save(path)
    return folder
