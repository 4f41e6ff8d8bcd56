"""The desk of frontier, which all schemes share: the model, the pictures, the codes, and drafts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import Final, final

import torch
from torch import Tensor

from gainnet.codecs import CorrectionWeights, ResidualCode, TransformSeed, TransformWeights
from gainnet.codecs.opponents import EncodeCache
from gainnet.core.randomness import Random
from gainnet.core.types import Bits
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.drafts import digests, draft_part
from gainnet.models.latent_space import LatentSpace
from gainnet.studies.frontier.question import FrontierConfig
from gainnet.studies.pictures import Pictures, drafts_of, generate, in_batches, of_prompts
from gainnet.studies.seed_coding.unseen import FIRST_RANDOM_SEED
from gainnet.studies.seed_coding.unseen_list import unseen_captions

CALIBRATION: Final = ("frontier calibration", 0, 24)
"""Stream, random seed and number of the pictures on which the error of decoded seeds is measured."""


@final
@dataclass(frozen=True, eq=False)
class Coded:
    """Pictures of a scheme at one rate, whatever the air does.

    Args:
        strings: of every item; empty where nothing is sent.
        errors: [n], mean squared error of every picture whose string arrives.
        errors_if_lost: [n], of every picture whose string does not.
        num_passes: of the denoiser on the device.
    """

    strings: tuple[bytes, ...]
    errors: Tensor
    errors_if_lost: Tensor
    num_passes: int


@final
@dataclass(frozen=True, eq=False)
class Bench:
    """Everything that the methods of a run need, made once.

    Args:
        config: settings of the run.
        model: that generates.
        pictures_of: pictures of a random seed.
        encodes: of the opponents, kept on disk.
    """

    config: FrontierConfig
    model: DiffusionModel
    pictures_of: Callable[[int], Pictures]
    encodes: EncodeCache

    @cached_property
    def decode(self) -> Callable[[Tensor], Tensor]:
        """Pictures of latents [n, *latent], differentiable."""
        return LatentSpace.of(self.model).decode

    @cached_property
    def transform_weights(self) -> TransformWeights:
        """Raises `ModelError` when there are none for the model."""
        return TransformWeights.load(self.model.name, self.model.sha256)

    @cached_property
    def correction_weights(self) -> CorrectionWeights:
        """Raises `ModelError` when there are none for the model."""
        return CorrectionWeights.load(self.model.name, self.model.sha256)

    def decoded(self, latents: Tensor, random: Random) -> Tensor:
        """[n, 3, H, W], pictures of latents [n, ...]."""
        given = {"latent": latents.reshape(-1, *self.model.latent.shape)}
        return in_batches((self.model.decoder,), given, random, ("image",))["image"]

    def errors(self, latents: Tensor, random_seed: int) -> Tensor:
        """[n], mean squared error of pictures of latents [n, ...] against those of the random seed."""
        pictures = self.pictures_of(random_seed)
        return errors_of(self.decoded(latents, pictures.random), pictures.images)

    def drafts(self, name: str, random_seed: int) -> tuple[Tensor, int]:
        """Drafts [n, *latent] of a random seed's pictures, and their passes."""
        pictures = self.pictures_of(random_seed)
        part = draft_part(self.model, name)
        return drafts_of(self.model, part, pictures.prompts, pictures.random), round(part.num_passes)

    @cached_property
    def error_variances(self) -> Callable[[int], float]:
        """Mean squared error per value of decoded seeds by level, measured on pictures of their own."""
        pictures = generate(self.model, *CALIBRATION)

        @cache
        def measured(level: int) -> float:
            _, decoded = seeds_at(self, pictures.prompts, pictures.latents, level)
            return float((decoded - pictures.latents).square().mean())

        return measured


def seeds_at(bench: Bench, prompts: tuple[str, ...], latents: Tensor, level: int) -> tuple[tuple[bytes, ...], Tensor]:
    """Strings of latents [n, *latent] at a level of the transform code with their prompts, and decoded latents."""
    codec = TransformSeed(level=level, prompts=prompts, weights=bench.transform_weights)
    payload = codec.encode(latents, torch.ones(len(prompts)))
    return strings_of(payload), codec.decode(payload, bench.model.latent)


@final
@dataclass(frozen=True, eq=False)
class Drafted:
    """Drafts of a random seed's pictures.

    Args:
        drafts: [n, *latent].
        sent: [n, num_values + 1], what they lack and their digests, as the transform of corrections gives it.
        errors: [n], mean squared error of their pictures.
        num_passes: of the denoiser.
    """

    drafts: Tensor
    sent: Tensor
    errors: Tensor
    num_passes: int


@lru_cache(maxsize=8)
def drafted_of(bench: Bench, draft: str, random_seed: int) -> Drafted:
    """The drafts of a name of a random seed's pictures, remembered."""
    drafts, num_passes = bench.drafts(draft, random_seed)
    code = ResidualCode(draft=draft, weights=bench.correction_weights)
    sent = lacking(code, bench.pictures_of(random_seed).latents.flatten(1), drafts.flatten(1))
    return Drafted(drafts, sent, bench.errors(drafts, random_seed), num_passes)


def lacking(code: ResidualCode, latents: Tensor, drafts: Tensor) -> Tensor:
    """[n, num_values + 1], what drafts [n, num_values] lack of latents, as it is sent, with their digests."""
    return torch.cat([code.residual(latents, drafts), digests(drafts)[:, None].float()], 1)


def pictures_of(model: DiffusionModel, config: FrontierConfig, random_seed: int) -> Pictures:
    """Pictures of a random seed: those on which seed-coding compares, so that encodes of the opponents serve both."""
    first = config.random_seeds.index(random_seed) * config.num_images
    items = range(first, first + config.num_images)
    random = Random.of([FIRST_RANDOM_SEED + item for item in items])
    return of_prompts(model, unseen_captions()[items.start : items.stop], random)


def errors_of(images: Tensor, references: Tensor) -> Tensor:
    """[n] float64, mean squared errors of pictures [n, 3, H, W]."""
    return (images - references).double().square().flatten(1).mean(1)


def strings_of(payload: Bits) -> tuple[bytes, ...]:
    """The string of every item, empty where nothing is sent."""
    return tuple(string or b"" for string in payload.strings)
