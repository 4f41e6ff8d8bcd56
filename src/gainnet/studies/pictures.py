"""Pictures that a model generates without a channel, for the studies that send them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, final

import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.core.types import Place, Tensors
from gainnet.generation.opponents import device_only
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.part import Part
from gainnet.models.scenes import draw_scenes, stream, write_captions
from gainnet.network.scenario import DEVICE, EDGE

RANDOM_SEEDS_APART: Final = 1000
"""Item k of random seed s has the streams of 1000 s + k, so that no two random seeds share an item."""

PROMPT: Final[Place] = (DEVICE, "prompt")
BATCH_SIZE: Final = 20


@final
@dataclass(frozen=True)
class Pictures:
    """A batch that an edge has generated and nobody has sent yet.

    Args:
        prompts: unseen captions.
        random: streams of the items.
        places: prompt on the device, latent and image on the edge.
    """

    prompts: tuple[str, ...]
    random: Random
    places: Mapping[Place, Tensor]

    @property
    def images(self) -> Tensor:
        """[num_images, 3, height, width], in [0, 1]: the reference of every received picture."""
        return self.places[EDGE, "image"]

    @property
    def latents(self) -> Tensor:
        """[num_images, *latent]."""
        return self.places[EDGE, "latent"]


def captions(study: str, random_seed: int, num_images: int) -> tuple[str, ...]:
    """Captions of a study's random seed, from a stream of their own, so that no training saw them.

    Args:
        study: name of the stream.
        random_seed: of the captions.
        num_images: how many.
    """
    rng = stream(random_seed, study, 0)
    return tuple(write_captions(draw_scenes(num_images, rng), rng))


def generate(model: DiffusionModel, study: str, random_seed: int, num_images: int) -> Pictures:
    """Unseen captions of a random seed, and the pictures of a model without a channel.

    Args:
        model: whose parts run.
        study: name of the stream that captions are drawn from.
        random_seed: of captions and noise.
        num_images: how many.
    """
    return generate_of(model, captions(study, random_seed, num_images), random_seed)


def generate_of(model: DiffusionModel, prompts: tuple[str, ...], random_seed: int) -> Pictures:
    """The pictures of prompts without a channel.

    Args:
        model: whose parts run.
        prompts: one per picture.
        random_seed: of the noise.
    """
    # One stream per picture, so that picture 3 of 50 is picture 3 of 5.
    return of_prompts(
        model, prompts, Random.of([RANDOM_SEEDS_APART * random_seed + item for item in range(len(prompts))])
    )


@torch.no_grad()
def of_prompts(model: DiffusionModel, prompts: tuple[str, ...], random: Random) -> Pictures:
    """Pictures of given prompts with given streams, by a model without a channel.

    Args:
        model: whose parts run.
        prompts: one per picture.
        random: streams of the pictures, [num_pictures].
    """
    tensors: dict[str, Tensor] = {"prompt": text_to_tensor(prompts)}
    for part in model.parts:
        tensors |= part(tensors, random)
    places: dict[Place, Tensor] = {(EDGE, name): tensors[name] for name in ("latent", "image")}
    return Pictures(prompts, random, {PROMPT: tensors["prompt"], **places})


def drafts_of(model: DiffusionModel, draft: Part, prompts: Sequence[str], random: Random) -> Tensor:
    """[n, *latent], drafts of the noise of every item, nothing corrected.

    Args:
        model: whose prompts and noise they begin with.
        draft: that `gainnet.models.drafts.draft_part` gives.
        prompts: one per item.
        random: streams of the items, [n].
    """
    given = {"prompt": text_to_tensor(list(prompts))}
    return in_batches((model.text_encoder, model.prior, draft), given, random, ("draft",))["draft"]


@torch.no_grad()
def in_batches(parts: Sequence[Part], given: Tensors, random: Random, kept: Sequence[str]) -> dict[str, Tensor]:
    """Outputs of parts that run one after the other, a few items at a time.

    Args:
        parts: in order.
        given: [n, ...] for every name that they read and do not write.
        random: streams of n items.
        kept: names of the tensors that are returned.
    """
    made: list[dict[str, Tensor]] = []
    # Noise is keyed by the item, so the size of a batch decides about memory alone.
    for start in range(0, random.num_items, BATCH_SIZE):
        items = slice(start, start + BATCH_SIZE)
        seeds = random.random_seeds[items]
        streams, tensors = Random(seeds, (len(seeds),), random.path), {key: x[items] for key, x in given.items()}
        for part in parts:
            tensors |= part({key: tensors[key] for key in part.reads}, streams)
        made.append({key: tensors[key] for key in kept})
    return {key: torch.cat([tensors[key] for tensors in made]) for key in kept}


UNGUIDED: Final = "unguided"
"""DDIM without guidance, which has twice the steps of guided passes: the better one where few are spent."""


def drawn_alone(model: DiffusionModel, prompts: Sequence[str], random: Random, num_passes: int, sampler: str) -> Tensor:
    """[n, 3, H, W], pictures of a device that generates alone with any number of denoiser passes.

    Args:
        model: all of it is on the device.
        prompts: one per picture.
        random: streams of the pictures, [n].
        num_passes: of a picture; where that is no whole number of guided steps, the prompt guides nothing.
        sampler: `ddim`, `dpm` or `unguided`.
    """
    if sampler == UNGUIDED or num_passes % model.denoiser.num_branches:
        encoder = replace(model.text_encoder, num_branches=1)  # type: ignore[type-var]
        model = replace(model, denoiser=replace(model.denoiser, guidance_scale=1.0), text_encoder=encoder)
    return device_only(model, prompts, random, num_passes, "ddim" if sampler == UNGUIDED else sampler)
