"""Which schedulers of diffusers are known, and on which scale their latents are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from gainnet.core.errors import ModelError

Scale = Literal["unit", "exploding", "flow"]
"""Signal and noise of the latents of a sampler: of unit power together, 1 and a ratio, or shares that sum to 1."""

SAMPLERS: Final[Mapping[str, str]] = {
    "ddim": "DDIMScheduler",
    "ddpm": "DDPMScheduler",
    "pndm": "PNDMScheduler",
    "euler": "EulerDiscreteScheduler",
    "euler_ancestral": "EulerAncestralDiscreteScheduler",
    "heun": "HeunDiscreteScheduler",
    "dpm": "DPMSolverMultistepScheduler",
    "unipc": "UniPCMultistepScheduler",
    "lcm": "LCMScheduler",
    "edm": "EDMEulerScheduler",
    "flow": "FlowMatchEulerDiscreteScheduler",
}
"""Class of diffusers by name; `dpm` is DPM++ 2M and its relatives."""

_EXPLODING: Final = ("euler", "euler_ancestral", "heun", "edm")


def name_of(scheduler: Any) -> str:
    """Name of a scheduler in `SAMPLERS`.

    Raises:
        ModelError: it is none of them.

    >>> from diffusers import LCMScheduler
    >>> name_of(LCMScheduler())
    'lcm'
    """
    kind = type(scheduler).__name__
    for name, known in SAMPLERS.items():
        if kind == known:
            return name
    raise ModelError(f"model: its sampler {kind} is not known; put one of {', '.join(SAMPLERS.values())} in its place")


def scale_of(scheduler: Any) -> Scale:
    """The scale of the latents of a scheduler."""
    name = name_of(scheduler)
    if name == "flow" or scheduler.config.get("use_flow_sigmas", False):
        return "flow"
    return "exploding" if name in _EXPLODING else "unit"
