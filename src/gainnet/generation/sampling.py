"""The sampler of a generation, and the way of its memory over the cuts of a plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, final

from gainnet.core.types import Place, Spec
from gainnet.models.diffusion import DiffusionModel
from gainnet.protocols import Plan, Transfer
from gainnet.protocols.task import Task

MemoryAtCuts = Literal["none", "handed over", "restarted"]


@final
@dataclass(frozen=True)
class Sampling:
    """A sampler, and what became of its memory where a plan cuts it.

    Args:
        scheduler: its class in diffusers.
        num_steps: calls of the denoiser, with all branches of guidance in one.
        memory: `none` where no cut has one, `handed over` where it was sent with the latent and counted, `restarted`
            where the receiver went on without it, by steps of first order.
        num_latents: past predictions that were handed over, in latents, at the cut with most of them.
    """

    scheduler: str
    num_steps: int
    memory: MemoryAtCuts = "none"
    num_latents: int = 0


def sampling_of(
    model: DiffusionModel, plan: Plan, specs: Mapping[Place, Spec], strength: float | None = None
) -> Sampling:
    """The sampler of a model, and its memory at the cuts of a plan.

    Args:
        model: whose parts the plan runs.
        plan: as it runs.
        specs: shape of every tensor, as `Plan.check` returns them.
        strength: of image-to-image; `None` for text-to-image.
    """
    sampler, channels = model.denoiser.sampler, model.latent.shape[0]
    own = type(sampler.scheduler).__name__, model.denoiser.num_steps
    sent = [step for step in plan.steps if isinstance(step, Transfer)]
    # Latents with a number are between two steps of the sampler, and so are regions of one.
    states = [specs[step.source, step.tensor].shape for step in sent if step.tensor.startswith(("latent[", "region_"))]
    if (most := max((shape[0] // channels for shape in states), default=1)) > 1:
        return Sampling(*own, "handed over", most - 1)
    handed = [int(step.tensor[7:-1]) for step in sent if step.tensor.startswith("handed[")]
    denoiser = Task.of(model, strength).denoiser
    forgotten = any(denoiser.state(cut) != model.latent for cut in handed)
    return Sampling(*own, "restarted" if forgotten else "none")
