"""One step of a guided denoiser as parts for two nodes: a prediction without the prompt, one with it, and their sum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.types import Spec, Tensors
from gainnet.models.counting import flatten_batch
from gainnet.models.diffusion import Denoiser
from gainnet.models.part import Role

Branch = Literal["without", "with"]
ORDER: dict[Branch, int] = {"without": 0, "with": 1}
"""Where a branch stands in the condition."""


@final
@dataclass(frozen=True)
class GuidanceBranch:
    """What the UNet predicts in one step in one branch of guidance: without the prompt, or with it.

    condition, latent --(UNet, one pass)--> predicted_without | predicted_with

    Args:
        step: a denoiser of one step.
        branch: which prediction.
    """

    step: Denoiser
    branch: Branch
    role: Role = "denoiser"
    reads: tuple[str, ...] = ("condition", "latent")
    num_passes: int = 1

    @property
    def name(self) -> str:
        return f"{self.step.name} {self.branch} prompt"

    @property
    def writes(self) -> Mapping[str, Spec]:
        return {f"predicted_{self.branch}": self.step.latent}

    @property
    def flops(self) -> float:
        return self.step.flops / self.step.num_passes

    @property
    def memory_bytes(self) -> float:
        return self.step.memory_bytes

    @torch.no_grad()
    def __call__(self, tensors: Tensors, random: Random) -> Tensors:
        rank = len(random.batch)
        embeds = flatten_batch(tensors["condition"], rank)[:, ORDER[self.branch]]
        predicted = self.step.predict(flatten_batch(tensors["latent"], rank), embeds, self.step.timesteps[0])
        return {f"predicted_{self.branch}": predicted.reshape(tensors["latent"].shape)}


@final
@dataclass(frozen=True)
class GuidanceStep:
    r"""Both predictions combined, and the sampler's step: no pass of the UNet.

    latent, predicted_without, predicted_with --> latent,  $v = v_0 + w (v_1 - v_0)$   (Ho and Salimans 2022, eq. 6)

    Args:
        step: a denoiser of one step.
    """

    step: Denoiser
    role: Role = "other"
    reads: tuple[str, ...] = ("latent", "predicted_without", "predicted_with")
    num_passes: int = 1
    flops: float = 0.0
    memory_bytes: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.step.name} combined"

    @property
    def writes(self) -> Mapping[str, Spec]:
        return {"latent": self.step.latent}

    @torch.no_grad()
    def __call__(self, tensors: Tensors, random: Random) -> Tensors:
        rank = len(random.batch)
        latent, without, with_prompt = (flatten_batch(tensors[key], rank) for key in self.reads)
        guided: Tensor = self.step.guided(without, with_prompt)
        return {"latent": self.step.stepped(guided, self.step.timesteps[0], latent).reshape(tensors["latent"].shape)}


class Branches(NamedTuple):
    """One step in three parts; the first two may run on different nodes at the same time."""

    without: GuidanceBranch
    with_prompt: GuidanceBranch
    combined: GuidanceStep


def branches(denoiser: Denoiser, step: int) -> Branches:
    """The parts of one step of a denoiser; run one after the other they are that step.

    Args:
        denoiser: with guidance.
        step: index into its steps, from 0.

    Raises:
        ConfigError: the denoiser has no guidance, or no such step.

    >>> from gainnet.models.loading import load_model
    >>> [part.name for part in branches(load_model("scenes").denoiser, 3)]
    ['denoiser[3:4] without prompt', 'denoiser[3:4] with prompt', 'denoiser[3:4] combined']
    """
    if denoiser.num_branches != 2:
        raise ConfigError(f"guidance_scale: {denoiser.guidance_scale} means no guidance; give more than 1 to split it")
    if not 0 <= step < denoiser.num_steps:
        raise ConfigError(f"step: {step} is none of the {denoiser.num_steps} steps of {denoiser.name}")
    one = denoiser[step : step + 1]
    return Branches(GuidanceBranch(one, "without"), GuidanceBranch(one, "with"), GuidanceStep(one))
