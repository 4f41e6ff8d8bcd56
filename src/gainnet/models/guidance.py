"""One step of a guided denoiser as parts for two nodes: a prediction without the prompt, one with it, and their sum."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch

from gainnet.core.errors import ConfigError, check_range
from gainnet.core.randomness import Random
from gainnet.core.types import Tensors
from gainnet.models.counting import flatten_batch
from gainnet.models.diffusion import Denoiser
from gainnet.models.part import TensorMap

Branch = Literal["without", "with"]
ORDER: dict[Branch, int] = {"without": 0, "with": 1}
"""Where a branch stands in the condition."""


def guidance_branch(step: Denoiser, branch: Branch) -> TensorMap:
    """The prediction of the network in one step in one branch of guidance: without the prompt, or with it.

    condition, latent --(network, one pass)--> predicted_without | predicted_with

    Args:
        step: a denoiser of one step.
        branch: which prediction.
    """

    @torch.no_grad()
    def predicted(tensors: Tensors, random: Random) -> Tensors:
        rank = len(random.batch)
        # A branch alone is a batch half as large: two nodes can share the step.
        embeds = flatten_batch(tensors["condition"], rank)[:, ORDER[branch]]
        noisy = step.sampler.scaled(flatten_batch(tensors["latent"], rank), step.start)
        prediction = step.predict(noisy, embeds, step.timesteps[0].to(noisy.device))
        return {f"predicted_{branch}": prediction.reshape(*random.batch, *step.latent.shape)}

    name, writes = f"{step.name} {branch} prompt", {f"predicted_{branch}": step.latent}
    costs = 1, step.flops / step.num_passes, step.memory_bytes
    return TensorMap(name, ("condition", "latent"), writes, predicted, "denoiser", *costs, (step, branch))


def guidance_step(step: Denoiser) -> TensorMap:
    r"""Both predictions combined, and the sampler's step: no pass of the network.

    latent, predicted_without, predicted_with --> latent,  $v = v_0 + w (v_1 - v_0)$   (Ho and Salimans 2022, eq. 6)

    Args:
        step: a denoiser of one step.
    """
    reads = "latent", "predicted_without", "predicted_with"

    @torch.no_grad()
    def combined(tensors: Tensors, random: Random) -> Tensors:
        latent, without, with_prompt = (flatten_batch(tensors[key], len(random.batch)) for key in reads)
        guided = step.guided(without, with_prompt)
        state = step.sampler.run(latent, step.start, step.stop, lambda noisy, time: guided, random)
        return {"latent": state.reshape(*random.batch, *state.shape[1:])}

    return TensorMap(f"{step.name} combined", reads, step.writes, combined)


class Branches(NamedTuple):
    """One step in three parts; the first two may run on different nodes at the same time."""

    without: TensorMap
    with_prompt: TensorMap
    combined: TensorMap


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
    check_range(0 <= step < denoiser.num_steps, "step", step, f"one of the {denoiser.num_steps} of {denoiser.name}")
    one = denoiser[step : step + 1]
    return Branches(guidance_branch(one, "without"), guidance_branch(one, "with"), guidance_step(one))
