"""Training the digital seed code: rate and distortion together, first on latents, then through the decoder."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, final

import numpy as np
import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer

from gainnet.codecs.seed_codec import Vocabulary
from gainnet.codecs.transform_seed.codec import TransformSeed
from gainnet.codecs.transform_seed.network import (
    NUM_ANCHORS,
    NUM_QUALITIES,
    TransformNetwork,
    TransformShape,
    anchor_weights,
    to_patches,
)
from gainnet.codecs.transform_seed.stream import NUM_LEVELS
from gainnet.codecs.transform_seed.weights import TransformWeights
from gainnet.core.errors import ConfigError
from gainnet.core.files import check_writable, write_whole
from gainnet.core.types import Spec
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.loading import SHIPPED, load_model
from gainnet.models.scenes import draw_scenes, render, stream, write_captions
from gainnet.training.autoencoder import torch_stream
from gainnet.training.loop import Progress, cpu_seconds, silent, train
from gainnet.training.muon import Muon
from gainnet.training.seed_latents import SHARD_SIZE, SeedLatents, make_seed_latents

Decode = Callable[[Tensor], Tensor]
STAGES = ("latents", "pictures", "finish")
LEAST_WEIGHT, WEIGHT_OCTAVES = 1e4, 9.0
SMALLEST_LOG2, LARGEST_LOG2, NOISY_LOG2 = -4.0, 8.0, -3.2
SQRT_HALF, SMALLEST_MASS = math.sqrt(0.5), 1e-9
PROMPT_SHARE = 0.5
LATENT_SHARE = 0.1
ERROR_PER_ENTRY = 0.01
"""Squared error of the picture per squared error of the latent, measured on quantised principal components at 30 dB."""
PLACES = (0.4, 0.2, 0.4)
"""How often a square lies at one border, in the middle, at the other border."""
LEVELS_MEASURED = 8
MEASURED_LEVELS = (16, 32, 48, 64, 80, 96, 112)


SHAPE = TransformShape((4, 16, 16), 3)


@final
@dataclass(frozen=True)
class StageLength:
    """How long a stage trains, and on what.

    Args:
        num_steps: how many.
        batch_size: latents per step.
        rate: peak learning rate.
        share_generated: share of latents that the denoiser made; the others are encoded renders.
    """

    num_steps: int
    batch_size: int = 64
    rate: float = 2e-3
    share_generated: float = 0.7


@final
@dataclass(frozen=True)
class TransformTraining:
    """How long the code trains, on how much, and how large it is.

    Args:
        num_shards: generated latents, 40 each.
        num_held_out: of them, the last ones, for measuring only.
        num_renders: encoded renders of scenes, a multiple of 40; for the scenes model alone.
        latents_random_seed: of captions, noise and scenes.
        lengths: of the stage on latents and of the two through the decoder, the second at a high rate again.
        square: side of the square of the latent that is decoded in a step.
        num_measured: latents by which lengths and errors are measured, seen ones and held-out ones.
        checkpoint_every: steps between checkpoints.
        shape: of the networks; its latent and vocabulary are replaced.
    """

    num_shards: int = 240
    num_held_out: int = 10
    num_renders: int = 24000
    latents_random_seed: int = 7
    lengths: tuple[StageLength, StageLength, StageLength] = (
        StageLength(300, share_generated=0.6),
        StageLength(1900),
        StageLength(950),
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
        lengths=(StageLength(6, 4), StageLength(4, 4), StageLength(2, 4)),
        num_measured=2,
        checkpoint_every=4,
        shape=TransformShape(
            (4, 16, 16), 3, entropy_width=16, encoder_width=32, encoder_blocks=1, decoder_width=32, decoder_blocks=1
        ),
    ),
}
"""Name -> how much training: `default` made the shipped weights, `tiny` only shows that everything runs."""


def error_weight(quality: Tensor) -> Tensor:
    r"""Bits that a mean squared error of 1 is worth at a quality, $10^4 \cdot 2^{9 q / 64}$."""
    return LEAST_WEIGHT * 2 ** (WEIGHT_OCTAVES * quality / NUM_QUALITIES)


def usual_bits(quality: Tensor) -> Tensor:
    """About what an item takes at a quality; losses are divided by it, so that all qualities count alike."""
    return 60 * 2 ** (WEIGHT_OCTAVES * quality / NUM_QUALITIES / 2)


def gaussian_bits(values: Tensor, log2_deviation: Tensor) -> Tensor:
    r"""Code length of the unit interval around each value under a normal law of mean zero.

    Far out, where the probability is no number any more, the bound $Q(x) \le e^{-x^2/2} / 2$ takes its place.
    """
    scaled = SQRT_HALF * torch.exp2(-log2_deviation)
    nearer = (values.abs() - 0.5) * scaled
    mass = (torch.erfc(nearer) - torch.erfc(nearer + scaled)) / 2
    far = (nearer > 0) * (1 + math.log2(math.e) * nearer.square())
    return torch.maximum(-torch.log2(mass.clamp_min(SMALLEST_MASS)), far)


def rate_and_values(
    network: TransformNetwork, values: Tensor, condition: Tensor, gains: Tensor, noise: Tensor
) -> tuple[Tensor, Tensor]:
    """Received values [batch, num_values] and code length [batch].

    The deviations learn from rounded values, all else from values with uniform noise in place of rounding
    (Ballé et al. 2017); what is received is rounded, and gradients pass straight through.

    Args:
        network: whose entropy model.
        values: [batch, num_values], as analysed.
        condition: [batch, condition_width].
        gains: [batch, num_values], log2.
        noise: [batch, num_values], uniform in [-0.5, 0.5].
    """
    received, bits = torch.zeros_like(values), torch.zeros(len(values))
    for group, places in enumerate(network.shape.groups()):
        mean, log2_deviation = network.expect(group, places, received, condition)
        own, log2_gain = values[:, places], gains[:, places]
        gain = torch.exp2(log2_gain)
        spread = (log2_deviation + log2_gain).clamp(SMALLEST_LOG2, LARGEST_LOG2)
        rest = (own - mean) * gain
        rounded = rest.detach().round()
        known = gaussian_bits(rounded, spread).sum(1)
        noisy = gaussian_bits(rest + noise[:, places], spread.detach().clamp_min(NOISY_LOG2)).sum(1)
        bits = bits + known + noisy - noisy.detach()
        received = received.index_copy(1, places, own + (rounded - rest).detach() / gain)
    return received, bits


@torch.no_grad()
def set_components(network: TransformNetwork, latents: Tensor) -> None:
    """Starts a network as the linear transform code of patches, with one quantiser step for all components."""
    network.mean.copy_(latents.mean(0))
    patches = to_patches(latents - network.mean, network.shape).flatten(0, 1).double()
    powers, components = torch.linalg.eigh(patches.T @ patches / len(patches))
    deviations = powers.flip(0).sqrt().float()
    network.components.copy_(components.flip(1).half())
    network.deviations.copy_(deviations)
    quality = torch.arange(NUM_ANCHORS) * (NUM_QUALITIES / (NUM_ANCHORS - 1))
    step = (6 / (math.log(2) * error_weight(quality) * ERROR_PER_ENTRY / network.shape.num_entries)).sqrt()
    network.log2_gains.copy_(torch.log2(deviations[None] / step[:, None]))


@final
@dataclass(frozen=True)
class Examples:
    """What the code is trained on: generated latents first, then encoded renders.

    Args:
        latents: [num_latents, n].
        words: [num_latents, num_words], of their prompts.
        num_generated: how many are generated.
    """

    latents: Tensor
    words: Tensor
    num_generated: int

    @staticmethod
    def of(generated: SeedLatents, rendered: SeedLatents, vocabulary: Vocabulary) -> Examples:
        """Both, with their words."""
        latents = torch.cat((generated.latents, rendered.latents))
        return Examples(latents, vocabulary.indices((*generated.prompts, *rendered.prompts)), len(generated))

    def weights(self, share_generated: float) -> Tensor:
        """[num_latents], how often each is drawn; generated ones alone where there are no renders."""
        num_rendered = len(self.latents) - self.num_generated
        share = share_generated if num_rendered else 1.0
        generated = torch.full((self.num_generated,), share / self.num_generated)
        return torch.cat((generated, torch.full((num_rendered,), (1 - share) / max(1, num_rendered))))


class Distortion(Protocol):
    """How far decoded latents are from what they should be."""

    def __call__(self, decoded: Tensor, latents: Tensor, generator: torch.Generator) -> Tensor:
        """[batch], mean squared error of the pictures, of latents [batch, n]."""


def latent_error(decoded: Tensor, latents: Tensor, generator: torch.Generator) -> Tensor:
    """[batch], about what the pictures' mean squared error would be: a hundredth of that of the latents."""
    return ERROR_PER_ENTRY * (decoded - latents).square().mean(1)


@final
@dataclass(frozen=True)
class PictureError:
    """Squared error of what the decoder makes of a square of the latent, and a little of the latent's own error.

    The decoder is convolutional, so a square costs its share of the whole. It lies at the border more often than in the
    middle, so that with a side of half the latent no entry counts more than one and a half times another.

    Args:
        decode: latents [batch, channels, height, width] to pictures in [0, 1] or about.
        latent: (channels, height, width).
        side: of the square.
    """

    decode: Decode
    latent: tuple[int, int, int]
    side: int

    def __call__(self, decoded: Tensor, latents: Tensor, generator: torch.Generator) -> Tensor:
        drawn = torch.multinomial(torch.tensor(PLACES), 2, replacement=True, generator=generator).tolist()
        top, left = ((size - self.side) * place // 2 for size, place in zip(self.latent[1:], drawn, strict=True))
        square = (slice(None), slice(None), slice(top, top + self.side), slice(left, left + self.side))
        with torch.no_grad():
            wanted = self.decode(latents.unflatten(1, self.latent)[square]).clamp(0, 1)
        error = (self.decode(decoded.unflatten(1, self.latent)[square]) - wanted).square().mean((1, 2, 3))
        return error + LATENT_SHARE * latent_error(decoded, latents, generator)


@final
class TransformStage:
    """The transform code on latents, or on what the decoder makes of them.

    Every item has a quality of its own, and half of them their prompt.

    Args:
        name: of the stage.
        network: what is trained.
        examples: what it is trained on.
        distortion: of decoded latents.
        length: steps, batch and rate.
        random_seed: of batches, qualities and noise.
    """

    ema_decay = 0.998

    def __init__(
        self,
        name: str,
        network: TransformNetwork,
        examples: Examples,
        distortion: Distortion,
        length: StageLength,
        random_seed: int,
    ) -> None:
        self.name, self.model, self.examples, self.distortion = name, network, examples, distortion
        self.num_steps, self.batch_size, self.random_seed = length.num_steps, length.batch_size, random_seed
        self.weights = examples.weights(length.share_generated)
        matrices = [
            p
            for blocks in (network.analysis.blocks, network.synthesis.blocks)
            for part, p in blocks.named_parameters()
            if p.ndim > 1 and ".near." not in part
        ]
        apart = {id(p) for p in matrices}
        others = [p for p in network.parameters() if p.requires_grad and id(p) not in apart]
        self.peak_rates: Sequence[float] = (length.rate, length.rate)
        self.optimizers: Sequence[Optimizer] = (Muon(matrices), AdamW(others, lr=1e-3, weight_decay=0.0))

    def loss(self, step: int) -> Tensor:
        """Rate and distortion of a batch, each item relative to what is usual at its quality."""
        generator = torch_stream(self.random_seed, self.name, step)
        drawn = torch.multinomial(self.weights, self.batch_size, generator=generator)
        quality = NUM_QUALITIES * torch.rand(self.batch_size, generator=generator)
        told = torch.rand(self.batch_size, 1, generator=generator) < PROMPT_SHARE
        noise = torch.rand(self.batch_size, self.model.shape.num_values, generator=generator) - 0.5
        latents = self.examples.latents[drawn]
        anchors = anchor_weights(quality)
        condition = torch.cat((anchors, self.model.prompt(self.examples.words[drawn] * told)), 1)
        with torch.autocast("cpu", torch.bfloat16):
            values = self.model.analyse(latents, condition).float()
        received, bits = rate_and_values(self.model, values, condition, self.model.gains(anchors), noise)
        with torch.autocast("cpu", torch.bfloat16):
            decoded = self.model.synthesise(received, condition).float()
        cost = bits + error_weight(quality) * self.distortion(decoded, latents, generator)
        return (cost / usual_bits(quality)).mean()


def train_transform_seed(
    model_folder: str,
    out: Path,
    training: TransformTraining = PRESETS["default"],
    random_seed: int = 0,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Trains the transform code for the latents of a model and writes a weights folder; goes on where it was stopped.

    captions -> denoiser -> latents, renders -> encoder -> latents -> components -> latent error -> picture error

    Args:
        model_folder: `scenes`, or a folder in diffusers' format.
        out: weights (`config.json`, `weights.safetensors`), with `latents/` and `stages/` beside them.
        training: how much.
        random_seed: of weights, batches, qualities and noise.
        progress: told (stage, steps taken, steps in all, mean loss).

    Returns:
        Bytes and decibels on held-out latents, by level.

    Raises:
        ConfigError: `out` cannot be written, a number out of range, or it was begun with other settings.
        ModelError: the model folder or a shard is missing or damaged.
    """
    check_writable(out)
    if random_seed < 0:
        raise ConfigError(f"random_seed: {random_seed} is negative; give 0 or more")
    model = load_model(model_folder, None)
    _claim(out, {"model_sha256": model.sha256, "random_seed": random_seed, **asdict(training)})
    seeds = make_seed_latents(
        model, out / "latents", training.num_shards, training.latents_random_seed,
        lambda made, total: progress("latents", made, total, 0.0),
    )  # fmt: skip
    num_seen = (training.num_shards - training.num_held_out) * SHARD_SIZE
    seen, unseen = seeds[:num_seen], seeds[num_seen:]
    vocabulary = Vocabulary.of(seen.prompts)
    num_renders = training.num_renders if model_folder in SHIPPED else 0
    examples = Examples.of(seen, render_latents(model, num_renders, training.latents_random_seed), vocabulary)
    network = build_network(training, model, examples, vocabulary, random_seed)
    decode = partial(_picture, model)
    picture = PictureError(decode, network.shape.latent, min(training.square, *network.shape.latent[1:]))
    distortions: tuple[Distortion, ...] = (latent_error, picture, picture)
    for name, distortion, length in zip(STAGES, distortions, training.lengths, strict=True):
        stage = TransformStage(name, network, examples, distortion, length, random_seed)
        network.load_state_dict(train(stage, out / "stages" / name, training.checkpoint_every, progress))
    weights = finished(network, vocabulary, seen[: training.num_measured], model.sha256)
    metrics = measure(weights, unseen[: training.num_measured], decode)
    cpu_s = {name: round(cpu_seconds(out / "stages" / name)) for name in STAGES}
    weights.save(out, {"metrics": metrics, "trained": {"random_seed": random_seed, **asdict(training), "cpu_s": cpu_s}})
    return metrics


def build_network(
    training: TransformTraining, model: DiffusionModel, examples: Examples, vocabulary: Vocabulary, random_seed: int
) -> TransformNetwork:
    """A network with fresh weights, which is the linear transform code of patches."""
    channels, height, width = model.latent.shape
    shape = replace(training.shape, latent=(channels, height, width), num_words=vocabulary.num_indices)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(random_seed)
        network = TransformNetwork(shape)
    set_components(network, examples.latents[: examples.num_generated])
    return network


@torch.no_grad()
def render_latents(model: DiffusionModel, num_renders: int, random_seed: int) -> SeedLatents:
    """Encoded renders of random scenes and captions of them, in bfloat16 autocast."""
    vae: Any = model.pipeline.vae if num_renders else None
    latents, prompts = [torch.zeros(0, model.latent.num_values)], []
    for start in range(0, num_renders, SHARD_SIZE):
        scenes = draw_scenes(SHARD_SIZE, stream(random_seed, "transform seed renders", start))
        prompts += write_captions(scenes, stream(random_seed, "transform seed render captions", start))
        with torch.autocast("cpu", torch.bfloat16):
            coded = vae.encode(2 * render(scenes) - 1).latents
        latents.append((coded * vae.config.scaling_factor).float().flatten(1).half().float())
    return SeedLatents(torch.cat(latents), tuple(prompts))


def _picture(model: DiffusionModel, latents: Tensor) -> Tensor:
    """Pictures in [0, 1] or about, in bfloat16 autocast, of latents [batch, channels, height, width]."""
    vae: Any = model.pipeline.vae
    with torch.autocast("cpu", torch.bfloat16):
        decoded = vae.decode(latents / vae.config.scaling_factor, return_dict=False)[0]
    pictures: Tensor = decoded.float() / 2 + 0.5
    return pictures


def finished(
    network: TransformNetwork, vocabulary: Vocabulary, seeds: SeedLatents, model_sha256: str
) -> TransformWeights:
    """Weights as they are stored, in half precision, with the mean length of these latents at every level."""
    tensors = {name: tensor.detach().half().contiguous() for name, tensor in network.state_dict().items()}
    unknown = (0.0,) * NUM_LEVELS
    weights = TransformWeights(network.shape, vocabulary, tensors, unknown, unknown, model_sha256)
    plain, told = (mean_bits(weights, seeds, with_prompt) for with_prompt in (False, True))
    return replace(weights, mean_bits=plain, mean_bits_prompt=told)


def mean_bits(weights: TransformWeights, seeds: SeedLatents, with_prompt: bool) -> tuple[float, ...]:
    """Mean information content of latents at every level, level included; between every eighth it is interpolated."""
    levels = [*range(0, NUM_LEVELS, LEVELS_MEASURED), NUM_LEVELS - 1]
    logarithms = []
    for level in levels:
        prompts = seeds.prompts if with_prompt else None
        codec = TransformSeed(weights, level=level, prompts=prompts)
        items = codec.quantise(seeds.latents, len(seeds))
        logarithms.append(math.log(sum(item.bits for item in items) / len(seeds)))
    every = np.interp(np.arange(NUM_LEVELS), levels, logarithms)
    return tuple(np.exp(every).tolist())


@torch.no_grad()
def measure(weights: TransformWeights, seeds: SeedLatents, decode: Decode) -> dict[str, Any]:
    """Bytes of streams and PSNR of pictures against those of the latents, by level, on latents not seen."""
    shape = weights.shape.latent
    latents = seeds.latents.unflatten(1, shape)
    wanted = torch.cat([decode(some).clamp(0, 1) for some in latents.split(SHARD_SIZE)])
    curves: dict[str, Any] = {}
    for name, prompts in (("plain", None), ("with_prompt", seeds.prompts)):
        for level in MEASURED_LEVELS:
            codec = TransformSeed(weights, level=level, prompts=prompts)
            payload = codec.encode(latents, torch.ones(len(latents)))
            decoded = codec.decode(payload, Spec(shape))
            pictures = torch.cat([decode(some).clamp(0, 1) for some in decoded.split(SHARD_SIZE)])
            error = float((pictures - wanted).square().mean())
            num_bytes = sum(len(string or b"") for string in payload.strings) / len(payload.strings)
            point = {"bytes": round(num_bytes, 1), "psnr_db": round(-10 * math.log10(error), 2)}
            curves.setdefault(name, {})[str(level)] = point
    return curves


def _claim(out: Path, settings: dict[str, Any]) -> None:
    """Writes what the run depends on, or checks that the folder was begun with the same."""
    path, wanted = out / "training.json", json.loads(json.dumps(settings))
    if not path.exists():
        write_whole(path, (json.dumps(wanted, indent=2) + "\n").encode())
    elif json.loads(path.read_text()) != wanted:
        raise ConfigError(f"out: {out} was begun with another model, random seed or preset; give an empty folder")
