"""Stages of the learned seed codec: through the air on components, on refined latents, on pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast, final

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer

from gainnet.codecs.seed_codec import SeedNetwork
from gainnet.codecs.seed_codec.network import Estimate
from gainnet.core.precision import half_precision
from gainnet.training.autoencoder import torch_stream
from gainnet.training.loop import Stage
from gainnet.training.muon import Muon, without
from gainnet.training.seed_air import AirRange, OverAir, draw_cases
from gainnet.training.transform_stage import Distortion, Examples

COMPONENT_SHARE = 0.05
"""Weight of the error of components beside that of the picture."""

PICTURE_PER_COMPONENT = 0.1
"""About the squared error of a picture per squared error of components; it only makes losses of order 1."""


@final
@dataclass(frozen=True)
class SeedStageLength:
    """How long a stage trains, and on what.

    Args:
        num_steps: how many.
        groups: groups of a step, items of a group.
        rate: peak learning rate of AdamW, for everything but the refiner's matrices.
        refiner_rate: peak learning rate of Muon, for these.
        share_generated: share of latents that the denoiser made; the others are encoded renders.
        air: uses and reports that it meets.
    """

    num_steps: int
    groups: tuple[int, int] = (8, 8)
    rate: float = 5e-4
    refiner_rate: float = 2e-3
    share_generated: float = 0.7
    air: AirRange = AirRange()  # it is frozen


class Cost(Protocol):
    """How far an estimate is from the truth."""

    def __call__(self, network: SeedNetwork, estimate: Estimate, latents: Tensor, generator: torch.Generator) -> Tensor:
        """[n], squared error per item, with latents [n, num_values] the truth."""


def component_cost(network: SeedNetwork, estimate: Estimate, latents: Tensor, generator: torch.Generator) -> Tensor:
    """[n], mean squared error of components before they are refined."""
    # Components come from float64 on the processor, as they do where a seed is sent.
    truth = network.basis.analyse(latents.cpu()).to(estimate.components)
    return (estimate.components - truth).square().mean(1)


def refined_cost(network: SeedNetwork, estimate: Estimate, latents: Tensor, generator: torch.Generator) -> Tensor:
    """[n], mean squared error of components of the refined latent."""
    return _component_error(network, _refined(network, estimate) - latents)


@final
@dataclass(frozen=True)
class PictureCost:
    """Squared error of the picture of the refined latent, and a little of its components' error.

    Args:
        distortion: squared errors of pictures.
    """

    distortion: Distortion

    def __call__(self, network: SeedNetwork, estimate: Estimate, latents: Tensor, generator: torch.Generator) -> Tensor:
        refined = _refined(network, estimate)
        picture = self.distortion(refined, latents, generator) / PICTURE_PER_COMPONENT
        return picture + COMPONENT_SHARE * _component_error(network, refined - latents)


def _refined(network: SeedNetwork, estimate: Estimate) -> Tensor:
    latents = network.basis.synthesise(estimate.components)
    with half_precision(latents.device):
        return network.refine(latents, estimate)


def _component_error(network: SeedNetwork, error: Tensor) -> Tensor:
    return network.basis.turn(error).square().mean(1)


def seed_codec_stage(
    name: str,
    network: SeedNetwork,
    examples: Examples,
    absent: Tensor,
    cost: Cost,
    length: SeedStageLength,
    random_seed: int,
) -> Stage:
    """The network over the air; every case counts alike, in decibels.

    The loss is the geometric mean over groups of their cost, relative to the error of components that LMMSE alone would
    leave; a group shares size, report and prompt or not.

    Args:
        name: of the stage.
        network: what is trained.
        examples: latents and words of their prompts.
        absent: [1, num_words], words of no prompt.
        cost: of an estimate.
        length: steps, groups, rates.
        random_seed: of batches, cases and noise.
    """
    over_air, shares = OverAir(network), examples.weights(length.share_generated)
    device = network.variances.device
    num_groups, num_items = length.groups

    def loss(step: int) -> Tensor:
        generator = torch_stream(random_seed, f"seed codec {name}", step)
        rows = torch.multinomial(shares, num_groups * num_items, replacement=True, generator=generator)
        latents = examples.latents[rows]
        cases = draw_cases(num_groups, num_items, network.basis.num_components, random_seed, step, name, length.air)
        prompted = cases.with_prompt.repeat_interleave(num_items)[:, None]
        indices = torch.where(prompted, examples.words[rows], absent).to(device)
        # Drawn on the processor, so that every device trains on the same cases.
        noise = torch.randn(len(rows), 2, network.basis.num_components, generator=generator).to(device)
        estimate = over_air(network.basis.analyse(latents).to(device), indices, cases, noise)
        costs = cost(network, estimate, latents.to(device), generator) / estimate.left.detach()
        # Errors span decades over sizes and SNRs: a mean of logarithms lets no case drown the others.
        return cast(Tensor, costs.unflatten(0, (-1, num_items)).mean(1).log().mean().exp())

    matrices = [
        p for part, p in network.refiner.blocks.named_parameters() if part.endswith(("first.weight", "second.weight"))
    ]
    optimizers: Sequence[Optimizer] = (
        Muon(matrices, lr=length.refiner_rate),
        AdamW(without(network, matrices), lr=length.rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True),
    )
    return Stage(name, length.num_steps, network, optimizers, (length.refiner_rate, length.rate), 0.998, loss)
