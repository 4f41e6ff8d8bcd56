"""Rate and distortion of the transform code, which a step of its training minimises."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, final

import torch
from torch import Tensor
from torch.optim import AdamW

from gainnet.codecs.seed_codec import Vocabulary
from gainnet.codecs.transform_seed.annealing import (
    LARGEST_LOG2,
    NARROWEST_LOG2,
    SMALLEST_LOG2,
    WEIGHT_OCTAVES,
    error_weight,
    gaussian_bits,
)
from gainnet.codecs.transform_seed.network import (
    NUM_ANCHORS,
    NUM_QUALITIES,
    TransformNetwork,
    anchor_weights,
    to_patches,
)
from gainnet.core.precision import half_precision
from gainnet.training.autoencoder import torch_stream
from gainnet.training.loop import Stage
from gainnet.training.muon import Muon, without
from gainnet.training.seed_latents import SeedLatents

Decode = Callable[[Tensor], Tensor]
PROMPT_SHARE = 0.5
LATENT_SHARE = 0.1
ERROR_PER_ENTRY = 0.01
"""Squared error of the picture per squared error of the latent, measured on quantised principal components at 30 dB."""
PLACES = (0.4, 0.2, 0.4)
"""How often a square lies at one border, in the middle, at the other border."""


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


def usual_bits(quality: Tensor, size: float = 1.0) -> Tensor:
    """[batch], typical bits of an item; losses are divided by it, so that all count alike; see `error_weight`."""
    return size * 60 * 2 ** (WEIGHT_OCTAVES * quality / NUM_QUALITIES / 2)


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
    received, bits = torch.zeros_like(values), values.new_zeros(len(values))
    for group, places in enumerate(network.shape.groups()):
        mean, log2_deviation = network.expect(group, places, received, condition)
        own, log2_gain = values[:, places], gains[:, places]
        gain = torch.exp2(log2_gain)
        spread = (log2_deviation + log2_gain).clamp(SMALLEST_LOG2, LARGEST_LOG2)
        rest = (own - mean) * gain
        rounded = rest.detach().round()
        known = gaussian_bits(rounded, spread).sum(1)
        noisy = gaussian_bits(rest + noise[:, places], spread.detach().clamp_min(NARROWEST_LOG2)).sum(1)
        # `noisy` adds its gradient and no value: deviations learn from rounded values, the transforms from noisy ones.
        bits = bits + known + noisy - noisy.detach()
        received = received.index_copy(1, places.to(values.device), own + (rounded - rest).detach() / gain)
    return received, bits


@torch.no_grad()
def set_components(network: TransformNetwork, latents: Tensor, size: float = 1.0) -> None:
    """Starts a network as the linear transform code of patches of latents [n, num_values], with one quantiser step.

    Args:
        network: fresh.
        latents: to learn the components from.
        size: of a picture, as in `error_weight`.
    """
    network.mean.copy_(latents.mean(0))
    # In float32 the smallest eigenvalues of a covariance drown in rounding.
    patches = to_patches(latents - network.mean, network.shape).flatten(0, 1).double()
    powers, components = torch.linalg.eigh(patches.T @ patches / len(patches))
    deviations = powers.flip(0).sqrt().float()
    network.components.copy_(components.flip(1).half())
    network.deviations.copy_(deviations)
    quality = torch.arange(NUM_ANCHORS) * (NUM_QUALITIES / (NUM_ANCHORS - 1))
    # At high rate a value takes -log2(step) bits and errs by step^2 / 12: here the derivatives of both cancel.
    step = (6 / (math.log(2) * error_weight(quality, size) * ERROR_PER_ENTRY / network.shape.num_values)).sqrt()
    network.log2_gains.copy_(torch.log2(deviations[None] / step[:, None]))


@final
@dataclass(frozen=True)
class Examples:
    """Latents to train a seed codec on: generated ones first, then encoded renders.

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
    """Squared error of the decoded square of a latent, and a little of the latent's own error.

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


def transform_stage(
    name: str,
    network: TransformNetwork,
    examples: Examples,
    distortion: Distortion,
    length: StageLength,
    random_seed: int,
    size: float = 1.0,
) -> Stage:
    """The transform code on latents, or through the decoder.

    Every item has a quality of its own, and half of them their prompt. The loss is rate plus weighted distortion, each
    item relative to what is usual at its quality.

    Args:
        name: of the stage and of its random streams.
        network: what is trained.
        examples: what it is trained on.
        distortion: of decoded latents.
        length: steps, batch and rate.
        random_seed: of batches, qualities and noise.
        size: of a picture, as in `error_weight`.
    """
    shares, count = examples.weights(length.share_generated), length.batch_size

    def loss(step: int) -> Tensor:
        generator = torch_stream(random_seed, name, step)
        drawn = torch.multinomial(shares, count, generator=generator)
        quality = NUM_QUALITIES * torch.rand(count, generator=generator)
        prompted = torch.rand(count, 1, generator=generator) < PROMPT_SHARE
        rounding = torch.rand(count, network.shape.num_values, generator=generator) - 0.5
        # Drawn on the processor, so that every device trains on the same items.
        given = examples.latents[drawn], anchor_weights(quality), examples.words[drawn] * prompted, rounding, quality
        latents, anchors, words, noise, quality = (x.to(network.mean.device) for x in given)
        condition = torch.cat((anchors, network.prompt(words)), 1)
        with half_precision(latents.device):
            values = network.analyse(latents, condition).float()
        received, bits = rate_and_values(network, values, condition, network.gains(anchors), noise)
        with half_precision(latents.device):
            decoded = network.synthesise(received, condition).float()
        cost = bits + error_weight(quality, size) * distortion(decoded, latents, generator)
        return (cost / usual_bits(quality, size)).mean()

    matrices = [
        p
        for blocks in (network.analysis.blocks, network.synthesis.blocks)
        for part, p in blocks.named_parameters()
        if p.ndim > 1 and ".near." not in part
    ]
    optimizers = (Muon(matrices), AdamW(without(network, matrices), lr=1e-3, weight_decay=0.0))
    return Stage(name, length.num_steps, network, optimizers, (length.rate, length.rate), 0.998, loss)
