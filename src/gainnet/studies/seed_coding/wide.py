"""Stable-Diffusion-shaped latents: 4 x 64 x 64, sixteen scenes in one picture of 512 x 512 pixels.

scenes 16 x [3, 128, 128] --> picture [3, 512, 512] --encoder--> latent [4, 64, 64] --> sixteen patches [4, 16, 16]
    --a code for each--> air --> patches --> latent --decoder--> picture
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Final, final

import torch
from torch import Tensor

from gainnet.codecs import LinearCode, RawAnalog
from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.types import Spec
from gainnet.models.attributes import AttributeClassifier
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.scenes import draw_scenes, render, stream, write_captions
from gainnet.studies.seed_coding.judging import fidelity, frechet_distance, latent_nmse, quality
from gainnet.studies.seed_coding.material import Material
from gainnet.studies.seed_coding.question import NUM_PATCHES, OPTA, PUBLISHED
from gainnet.studies.seed_coding.transports import Analog, GaussianOptimum, Prompts, Received, Transport
from gainnet.studies.study import Case, Method, Row

SOURCE: Final = "MEG-DT, IEEE Communications Magazine 2024, digitised"
SNRS_DB: Final = (-20, -15, -10, -5, 0, 5, 10, 15, 20)
FRECHET_DISTANCES: Final = {
    "published_centralised": (293, 280, 259, 219, 155, 88, 41, 16, 5),
    "published_split": (198, 188, 41, 3.5, 5.9, 4.0, 2.6, 1.8, 1.5),
    "published_merged": (177, 147, 6.2, 6.2, 7.3, 6.0, 5.1, 4.7, 4.8),
}
"""FID over 6 pictures with 64 features, SDXL over AWGN: all pixels, 48 and 96 times fewer symbols."""

ACROSS: Final = 4
RANDOM_SEEDS_APART: Final = 10_000
MIDDLE_GREY: Final = 0.5


@final
@dataclass(frozen=True)
class WidePictures:
    """Pictures of sixteen scenes, and what an autoencoder makes of them without a channel.

    Args:
        prompts: of every scene, picture after picture.
        random: streams of the scenes.
        latents: [num_patches, 4, 16, 16], patches of the latents.
        images: [num_patches, 3, 128, 128], patches of the pictures that the decoder makes of whole latents.
        features: [num_patches, 104], what the judge sees in them.
    """

    prompts: Prompts
    random: Random
    latents: Tensor
    images: Tensor
    features: Tensor


PicturesOf = Callable[[int], WidePictures]
"""Pictures of a random seed."""


@torch.no_grad()
def wide_pictures(material: Material, random_seed: int) -> WidePictures:
    """The pictures of a random seed.

    Raises:
        ConfigError: the model's pictures are not of the size of a scene.
    """
    model, num = material.model, NUM_PATCHES * material.config.num_wide_images
    rng = stream(random_seed, "seed-coding wide", 0)
    scenes = draw_scenes(num, rng)
    tiles = render(scenes)
    if tuple(tiles.shape[1:]) != model.image.shape:
        raise ConfigError("num_wide_images: the model does not draw scenes; give 0")
    random = Random.of([RANDOM_SEEDS_APART * random_seed + item for item in range(num)])
    latent = wide(model.image_encoder.writes["latent"]), wide(model.image)
    encoder = replace(model.image_encoder, latent=latent[0], image=latent[1])  # type: ignore[type-var]
    latents = split_patches(encoder({"image": join_patches(tiles)}, of_pictures(random))["latent"])
    images = decode(model, latents, random)
    seen = features(material.classifier, images)
    return WidePictures(tuple(write_captions(scenes, rng)), random, latents, images, seen)


def decode(model: DiffusionModel, latents: Tensor, random: Random) -> Tensor:
    """[num_patches, 3, 128, 128], patches of the pictures that whole latents give."""
    decoder = replace(model.decoder, latent=wide(model.latent), image=wide(model.image))
    return split_patches(decoder({"latent": join_patches(latents)}, of_pictures(random))["image"])


def wide(spec: Spec) -> Spec:
    """The shape of sixteen patches side by side.

    >>> wide(Spec((4, 16, 16))).shape
    (4, 64, 64)
    """
    channels, height, width = spec.shape
    return Spec((channels, ACROSS * height, ACROSS * width))


def of_pictures(random: Random) -> Random:
    """Streams of the pictures: those of their first patch."""
    return Random.of(random.random_seeds[::NUM_PATCHES])


def join_patches(patches: Tensor) -> Tensor:
    """[num, c, 4 h, 4 w], sixteen patches [16 num, c, h, w] side by side, row by row.

    >>> x = torch.arange(64.0).reshape(16, 1, 2, 2)
    >>> torch.equal(split_patches(join_patches(x)), x)
    True
    """
    grid = patches.unflatten(0, (-1, ACROSS, ACROSS))
    pictures: Tensor = grid.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)
    return pictures


def split_patches(pictures: Tensor) -> Tensor:
    """[16 num, c, h, w], the patches of [num, c, 4 h, 4 w]."""
    height, width = (size // ACROSS for size in pictures.shape[-2:])
    grid = pictures.unflatten(-1, (ACROSS, width)).unflatten(-3, (ACROSS, height))
    patches: Tensor = grid.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)
    return patches


@torch.no_grad()
def send_latents(material: Material, pictures_of: PicturesOf, transport: Transport, case: Case, random: Random) -> Row:
    """Patches of latents over the air, then the decoder on whole latents."""
    pictures = pictures_of(case.random_seed)
    received = transport(case, pictures.latents, pictures.prompts, pictures.random)
    images = decode(material.model, received.values, pictures.random)
    nmse = latent_nmse(received.values, pictures.latents, material.basis)
    return {**_judged(material.classifier, images, pictures, received), "latent_nmse": nmse}


@torch.no_grad()
def send_pixels(material: Material, pictures_of: PicturesOf, case: Case, random: Random) -> Row:
    """All pixels as symbols, in place of a seed."""
    pictures = pictures_of(case.random_seed)
    # Centred, or else most of the power would carry the mean.
    centred = pictures.images - MIDDLE_GREY
    received = _raw(centred, case, pictures.prompts, pictures.random)
    return _judged(material.classifier, (received.values + MIDDLE_GREY).clamp(0, 1), pictures, received)


def send_means(case: Case, x: Tensor, prompts: Prompts, random: Random) -> Received:
    """Means of neighbouring entries of [num_items, ..., width], in half the symbols; the receiver takes each twice."""
    received = _raw(x.unflatten(-1, (-1, 2)).mean(-1), case, prompts, random)
    return replace(received, values=received.values.repeat_interleave(2, -1))


def _raw(x: Tensor, case: Case, prompts: Prompts, random: Random) -> Received:
    """Values as symbols, scaled to unit power."""
    scale = float(x.double().square().mean().sqrt())
    return Analog(lambda uses, prompts: RawAnalog(uses, scale=scale), NUM_PATCHES)(case, x, prompts, random)


def wide_methods(material: Material) -> Mapping[str, Method]:
    """Methods of the Stable-Diffusion-shaped latent by name."""
    basis = material.basis
    pictures_of = lru_cache(maxsize=1)(lambda random_seed: wide_pictures(material, random_seed))
    transports: dict[str, Transport] = {
        "raw": Analog(lambda uses, prompts: RawAnalog(uses, scale=basis.root_mean_square), NUM_PATCHES),
        "merged": send_means,
        "linear": Analog(lambda uses, prompts: LinearCode(uses, basis), NUM_PATCHES),
        "seed": Analog(lambda uses, prompts: material.seed_code(uses, None), NUM_PATCHES),
        OPTA: GaussianOptimum(basis, NUM_PATCHES),
    }
    return {
        **{name: partial(send_latents, material, pictures_of, transport) for name, transport in transports.items()},
        "raw_pixels": partial(send_pixels, material, pictures_of),
        **dict.fromkeys(PUBLISHED, published_distance),
    }


def _judged(classifier: AttributeClassifier, images: Tensor, pictures: WidePictures, received: Received) -> Row:
    distance = frechet_distance(features(classifier, images), pictures.features)
    distance /= float(pictures.features.var(0, correction=0).sum())
    return {
        **quality(images, pictures.images),
        "prompt_fidelity": fidelity(classifier, images, pictures.prompts),
        "frechet_distance_scenes": float(f"{distance:.5g}"),
        "num_channel_uses_sent": received.num_channel_uses,
        "num_images": len(images) // NUM_PATCHES,
    }


def features(classifier: AttributeClassifier, images: Tensor) -> Tensor:
    """[num_images, 104], what our attribute classifier sees before it names anything."""
    seen: Tensor = classifier.body[:-1](images * 2 - 1)
    return seen


def published_distance(case: Case, random: Random) -> Row:
    """Published distance at the SNR of a case; empty where there is none."""
    known = dict(zip(SNRS_DB, FRECHET_DISTANCES[case.method], strict=True))
    return {"frechet_distance_published": known.get(int(case.number("snr_db")))}
