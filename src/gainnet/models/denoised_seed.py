"""The denoiser as a receiver: one step on a decoded seed, at the noise level of its error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.types import Spec, Tensors
from gainnet.models.counting import flatten_batch
from gainnet.models.diffusion import Denoiser
from gainnet.models.part import Role


@final
@dataclass(frozen=True)
class DenoisedSeed:
    r"""The clean latent as a denoiser estimates it from a decoded one and the caption: one pass, without guidance.

    condition, latent $\hat z$ --> $\alpha_t \hat z$ --(UNet at time t)--> $\hat z_0$ --> latent

    A decoded seed $\hat z = z + e$ with $\mathrm{E}[e^2] = \nu$ per value is taken for $z_t / \alpha_t$ at the time of
    the training with $\sigma_t^2 / \alpha_t^2 = \nu$ (Ho et al. 2020, eq. 4). This is an approximation: e is neither
    white nor independent of $\hat z$, which is an estimate that was shrunk.

    Args:
        denoiser: whose network predicts; its steps and guidance are not used.
        error_variance: $\nu$, mean squared error per value of the latent, > 0; `linear_mse` divided by the number of
            values for a linear code, `SeedCodec.error_variance` for a learned one.

    Raises:
        ConfigError: the variance is not positive.

    >>> from gainnet.models.loading import load_model
    >>> part = DenoisedSeed(load_model("scenes").denoiser, 0.25)
    >>> part.num_passes, part.writes["latent"].shape
    (1, (4, 16, 16))
    """

    denoiser: Denoiser
    error_variance: float
    name: str = "denoised seed"
    role: Role = "denoiser"
    reads: tuple[str, ...] = ("condition", "latent")
    num_passes: int = 1

    def __post_init__(self) -> None:
        if not self.error_variance > 0:
            raise ConfigError(f"error_variance: must be positive, not {self.error_variance}")

    @property
    def writes(self) -> Mapping[str, Spec]:
        return {"latent": self.denoiser.latent}

    @property
    def flops(self) -> float:
        return self.denoiser.flops / self.denoiser.num_passes

    @property
    def memory_bytes(self) -> float:
        return self.denoiser.memory_bytes

    @property
    def time(self) -> Tensor:
        """The time of the training whose noise is nearest to the error."""
        powers = self.denoiser.pipeline.scheduler.alphas_cumprod.double()
        nearest: Tensor = (powers - 1 / (1 + self.error_variance)).abs().argmin()
        return nearest

    @torch.no_grad()
    def __call__(self, tensors: Tensors, random: Random) -> Tensors:
        rank, time, scheduler = len(random.batch), self.time, self.denoiser.pipeline.scheduler
        power = float(scheduler.alphas_cumprod[time])
        alpha, sigma = power**0.5, (1 - power) ** 0.5
        noisy = alpha * flatten_batch(tensors["latent"], rank)
        embeds = flatten_batch(tensors["condition"], rank)[:, -1]
        clean = self.denoiser.clean(noisy, self.denoiser.predict(noisy, embeds, time), alpha, sigma)
        return {"latent": clean.reshape(tensors["latent"].shape)}
