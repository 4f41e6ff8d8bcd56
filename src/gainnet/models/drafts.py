"""Drafts: latents near the finished one that two nodes make alike, from the same noise, without sending anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, final
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.types import Spec, Tensors
from gainnet.models.counting import flatten_batch
from gainnet.models.diffusion import Denoiser, DiffusionModel
from gainnet.models.fitted import Fitted, load_fitted
from gainnet.models.part import Part, Role
from gainnet.models.renamed import rename
from gainnet.models.samplers import Sampler, name_of
from gainnet.models.students import Fast, fast_model

Form = Literal["fitted", "coarse", "prefix", "fast"]
FORMS: Final[tuple[Form, ...]] = ("fitted", "coarse", "prefix", "fast")
DIGEST_STEP: Final = 1.0
"""Coarseness of the integers that a digest is of: two ends of equal weights differ by some 1e-6 of it, and then one
digest in a thousand differs, too; a draft of other weights or another noise always differs."""
NUM_DIGESTS: Final = (1 << 16) - 1


@final
@dataclass(frozen=True)
class Foresight:
    r"""Steps of a sampler, and the finished latent that the last of them predicts: $\hat z_0$ at no pass of its own.

    condition, latent --(network, guidance, sampler's step) x num_steps--> latent, draft

    Args:
        denoiser: the steps, at least 1.
    """

    denoiser: Denoiser
    role: Role = "denoiser"
    reads: tuple[str, ...] = ("condition", "latent")

    @property
    def name(self) -> str:
        return self.denoiser.name

    @property
    def writes(self) -> Mapping[str, Spec]:
        return {**self.denoiser.writes, "draft": self.denoiser.latent}

    @property
    def num_passes(self) -> int:
        return self.denoiser.num_passes

    @property
    def flops(self) -> float:
        return self.denoiser.flops

    @property
    def memory_bytes(self) -> float:
        return self.denoiser.memory_bytes

    @torch.no_grad()
    def __call__(self, tensors: Tensors, random: Random) -> Tensors:
        own, rank = self.denoiser, len(random.batch)
        before, last = own[: own.num_steps - 1], own[own.num_steps - 1 :]
        state = before(tensors, random)["latent"] if before.num_steps else tensors["latent"]
        embeds = flatten_batch(tensors["condition"], rank).transpose(0, 1).flatten(0, 1)
        seen: list[tuple[Tensor, Tensor]] = []

        def predict(noisy: Tensor, time: Tensor) -> Tensor:
            seen.append((noisy, own.predict_guided(noisy, embeds, time)))
            return seen[-1][1]

        after = own.sampler.run(flatten_batch(state, rank), last.start, last.stop, predict, random)
        # What the network saw and said in the last step is enough: the draft costs no pass.
        noisy, predicted = seen[-1]
        power = torch.full((len(noisy),), own.sampler.power(last.start), dtype=torch.float64)
        clean, _ = own.sampler.levels.read(noisy, predicted, power)
        made = {"latent": after, "draft": clean}
        return {name: x.reshape(*random.batch, *x.shape[1:]) for name, x in made.items()}


def coarser(denoiser: Denoiser, num_steps: int) -> Denoiser:
    """A run of its own with fewer steps: DPM-Solver++ 2M (Lu et al. 2022), which comes nearest to a finer one.

    A model of flow matching keeps its sampler, and so does one whose sampler draws noise in every step.

    Args:
        denoiser: the whole one.
        num_steps: calls of the network, guided as the whole one is.

    >>> from gainnet.models.loading import load_model
    >>> coarser(load_model("scenes").denoiser, 4).num_passes
    8
    """
    from diffusers import DPMSolverMultistepScheduler

    scheduler, family = denoiser.sampler.scheduler, denoiser.family
    if name_of(scheduler) in ("ddim", "pndm", "dpm"):
        scheduler = DPMSolverMultistepScheduler.from_config(
            scheduler.config, algorithm_type="dpmsolver++", solver_order=2
        )
    _, *sides = denoiser.latent.shape
    timing = family.timing(scheduler, denoiser.network.config, num_steps, (sides[0], sides[1]))
    sampler = Sampler.of(scheduler, num_steps, timing)
    return replace(denoiser, sampler=sampler, start=0, stop=sampler.num_steps)


def fitted_draft(model: DiffusionModel, name: str) -> Fitted | None:
    """The fitted draft of a name, where the model has one for its number of steps and its guidance.

    Args:
        model: with all its steps.
        name: `fitted-K`.
    """
    known = load_fitted(model.name, model.sha256)
    if known is None or name not in known.steps or not known.fits(model.denoiser):
        return None
    return Fitted(model.denoiser, known.steps[name])


def draft_part(model: DiffusionModel, name: str) -> Part:
    """The part that makes a draft of a name from noise: condition, latent --> draft (and more).

    Args:
        model: with all its steps.
        name: `fitted-K`, fitted steps with as many passes as K steps; `coarse-K`, a run of K steps; `prefix-K`, the
            first K steps and the end that the last one predicts; or `fast-K`, K passes of the model's fast model.

    Raises:
        ConfigError: the name is no draft of the model.
        ModelError: the model has no fast model.

    >>> from gainnet.models.loading import load_model
    >>> draft_part(load_model("scenes"), "prefix-4").num_passes
    8
    """
    denoiser, (form, _, steps) = model.denoiser, name.partition("-")
    if form not in FORMS or not steps.isdecimal() or not 1 <= int(steps) <= denoiser.num_steps:
        known = "fitted-K, coarse-K, prefix-K or fast-K"
        raise ConfigError(f"draft: {name!r} is none; give {known} with 1 to {denoiser.num_steps} steps")
    if form == "prefix":
        return Foresight(denoiser[: int(steps)])
    if form == "coarse":
        return rename(coarser(denoiser, int(steps)), {}, {"latent": "draft"})
    if form == "fast":
        return Fast(fast_model(model, int(steps)).denoiser)
    if (fitted := fitted_draft(model, name)) is None:
        raise ConfigError(f"draft: no steps are fitted for {name!r} of this model; choose coarse-{steps}")
    return fitted


def digests(draft: Tensor) -> Tensor:
    """[n] int64, 16-bit digests from 1 to 65,535 of the coarse integers of drafts [n, ...].

    >>> digests(torch.tensor([[0.1, 2.0], [0.1 + 1e-6, 2.0], [1.1, 2.0]])).unique().numel()
    2
    """
    integers = torch.round(draft.flatten(1).double() / DIGEST_STEP).clamp(-(2**31), 2**31 - 1).cpu().numpy()
    # 0 is kept for a correction that did not arrive.
    return torch.tensor([1 + crc32(row.astype("<i4").tobytes()) % NUM_DIGESTS for row in np.asarray(integers)])
