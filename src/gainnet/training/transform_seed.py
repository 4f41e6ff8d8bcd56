"""Training the codec `transform` of seeds: rate and distortion together, first on latents, then through the decoder."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np
import torch

from gainnet.codecs.seed_codec import Vocabulary
from gainnet.codecs.transform_seed.codec import TransformSeed
from gainnet.codecs.transform_seed.network import TransformNetwork, TransformShape
from gainnet.codecs.transform_seed.stream import NUM_LEVELS
from gainnet.codecs.transform_seed.weights import TransformWeights
from gainnet.core.randomness import seeded
from gainnet.core.run.loop import silent
from gainnet.core.types import Spec
from gainnet.training.loop import Progress
from gainnet.training.seed_latents import SeedLatents
from gainnet.training.seed_material import SeedMaterial, description, open_seed_training
from gainnet.training.seed_sources import SHARD_SIZE, Source, items_at_once
from gainnet.training.transform_stage import (
    Decode,
    Distortion,
    StageLength,
    latent_error,
    set_components,
    transform_stage,
)

STAGES = ("latents", "pictures", "finish", "last", "end", "polish")
LEVELS_MEASURED = 8
MEASURED_LEVELS = (16, 32, 48, 64, 80, 96, 112)
SHAPE = TransformShape((4, 16, 16), 3)


@final
@dataclass(frozen=True)
class TransformTraining:
    """How long the code trains, on how much, and how large it is.

    Args:
        num_shards: generated latents, 40 each.
        num_held_out: of them, the last ones, for measuring only.
        num_renders: encoded renders of scenes, a multiple of 40; for the scenes model alone.
        latents_random_seed: of captions, noise and scenes.
        lengths: of the stage on latents and of at most five through the decoder, each begins at a high rate again.
        square: side of the square of the latent that is decoded in a step.
        num_measured: latents by which lengths and errors are measured, seen ones and held-out ones.
        checkpoint_every: steps between checkpoints.
        shape: of the networks; its latent and vocabulary are replaced.
    """

    num_shards: int = 240
    num_held_out: int = 10
    num_renders: int = 24000
    latents_random_seed: int = 7
    lengths: tuple[StageLength, ...] = (
        StageLength(300, share_generated=0.6),
        StageLength(1900),
        StageLength(950),
        StageLength(1900),
        StageLength(1000),
        StageLength(2000),
    )
    square: int = 8
    num_measured: int = 200
    checkpoint_every: int = 50
    shape: TransformShape = SHAPE


PRESETS = {
    "default": TransformTraining(),
    "tiny": TransformTraining(
        num_shards=2,
        num_held_out=1,
        num_renders=40,
        lengths=(StageLength(6, 4), *(5 * (StageLength(2, 4),))),
        num_measured=2,
        checkpoint_every=4,
        shape=TransformShape(
            (4, 16, 16), 3, entropy_width=16, encoder_width=32, encoder_blocks=1, decoder_width=32, decoder_blocks=1
        ),
    ),
}
"""Name -> how much training: `default` made the shipped weights, `tiny` only shows that everything runs."""


def _as_trained(network: TransformNetwork) -> None:
    """Leaves a network as it is."""


def train_transform_seed(
    source: Source,
    out: Path,
    training: TransformTraining = PRESETS["default"],
    random_seed: int = 0,
    progress: Progress = silent,
    latents: Path | None = None,
    finish: Callable[[TransformNetwork], None] = _as_trained,
) -> dict[str, Any]:
    """Trains the transform code for the latents of a model and writes a weights folder; goes on where it was stopped.

    source -> latents, renders -> encoder -> latents -> components -> latent error -> picture error

    Args:
        source: of the latents.
        out: weights (`config.json`, `weights.safetensors`), with `latents/` and `stages/` beside them.
        training: how much.
        random_seed: of weights, batches, qualities and noise.
        progress: receives (stage, steps taken, steps in all, mean loss).
        latents: folder of the latents, where several trainings share them.
        finish: changes the trained network before it is measured and stored, for example its precision.

    Returns:
        Bytes and decibels on held-out latents, by level.

    Raises:
        ConfigError: `out` cannot be written, a number out of range, or it was begun with other settings.
        ModelError: the model folder or a shard is missing or damaged.
    """
    with open_seed_training(source, out, training, random_seed, progress, latents) as (stages, material):
        network = build_network(training, material, random_seed).to(material.space.device)
        picture = material.picture_error(training.square)
        distortions: tuple[Distortion, ...] = (latent_error, *(len(STAGES) - 1) * (picture,))
        # A short training has fewer stages through the decoder.
        for name, distortion, length in zip(STAGES, distortions, training.lengths, strict=False):
            stage = transform_stage(name, network, material.examples, distortion, length, random_seed, material.size)
            stages.train(stage, material.sha256)
        finish(network)
        measured = material.seen[: training.num_measured]
        weights = stored_weights(network.cpu(), material.vocabulary, measured, material.space.sha256)
        metrics = measure(weights, material.unseen[: training.num_measured], picture.decode)
        weights.save(out, description(metrics, training, random_seed, stages))
        return metrics


def build_network(training: TransformTraining, material: SeedMaterial, random_seed: int) -> TransformNetwork:
    """A network with fresh weights, which is the linear transform code of patches."""
    shape = training.shape.of_latents(material.shape, material.vocabulary.num_indices)
    with seeded(random_seed):
        network = TransformNetwork(shape)
    set_components(network, material.seen.latents, material.size)
    return network


def stored_weights(
    network: TransformNetwork, vocabulary: Vocabulary, seeds: SeedLatents, model_sha256: str
) -> TransformWeights:
    """Weights as they are stored, in half precision, with the mean length of these latents at every level."""
    tensors = {name: tensor.detach().half().contiguous() for name, tensor in network.state_dict().items()}
    unknown = (0.0,) * NUM_LEVELS
    weights = TransformWeights(network.shape, vocabulary, tensors, unknown, unknown, model_sha256)
    plain, prompted = (mean_bits(weights, seeds, with_prompt) for with_prompt in (False, True))
    return replace(weights, mean_bits=plain, mean_bits_prompt=prompted)


def mean_bits(weights: TransformWeights, seeds: SeedLatents, with_prompt: bool) -> tuple[float, ...]:
    """Mean information content of latents at every level, level included; between every eighth it is interpolated."""
    levels = [*range(0, NUM_LEVELS, LEVELS_MEASURED), NUM_LEVELS - 1]
    logarithms = []
    for level in levels:
        prompts = seeds.prompts if with_prompt else None
        codec = TransformSeed(level=level, prompts=prompts, weights=weights)
        items = codec.quantise(seeds.latents, len(seeds))
        logarithms.append(math.log(sum(item.bits for item in items) / len(seeds)))
    # In logarithms, in which lengths are nearly straight over levels.
    every = np.interp(np.arange(NUM_LEVELS), levels, logarithms)
    return tuple(np.exp(every).tolist())


@torch.no_grad()
def measure(weights: TransformWeights, seeds: SeedLatents, decode: Decode) -> dict[str, Any]:
    """Bytes of streams and PSNR of pictures against those of the latents, by level, on latents not seen."""
    shape = weights.shape.latent
    latents = seeds.latents.unflatten(1, shape)
    num_at_once = min(SHARD_SIZE, items_at_once(latents[0].numel()))
    wanted = torch.cat([decode(some).clamp(0, 1).cpu() for some in latents.split(num_at_once)])
    curves: dict[str, Any] = {}
    for name, prompts in (("plain", None), ("with_prompt", seeds.prompts)):
        for level in MEASURED_LEVELS:
            codec = TransformSeed(level=level, prompts=prompts, weights=weights)
            payload = codec.encode(latents, torch.ones(len(latents)))
            decoded = codec.decode(payload, Spec(shape))
            pictures = torch.cat([decode(some).clamp(0, 1).cpu() for some in decoded.split(num_at_once)])
            error = float((pictures - wanted).square().mean())
            num_bytes = sum(len(string or b"") for string in payload.strings) / len(payload.strings)
            point = {"bytes": round(num_bytes, 1), "psnr_db": round(-10 * math.log10(error), 2)}
            curves.setdefault(name, {})[str(level)] = point
    return curves
