"""The denoiser as a receiver: one step on a decoded seed, at the noise level of its error."""

from __future__ import annotations

import torch
from torch import Tensor

from gainnet.core.errors import check_range
from gainnet.models.diffusion import Denoiser


@torch.no_grad()
def denoised_seed(denoiser: Denoiser, condition: Tensor, latent: Tensor, error_variance: float) -> Tensor:
    r"""[n, c, h, w], clean latents as a denoiser estimates them from decoded ones and captions, without guidance.

    condition, latent $\hat z$ --> $\alpha_t \hat z$ --(UNet at time t)--> $\hat z_0$

    A decoded seed $\hat z = z + e$ with $\mathrm{E}[e^2] = \nu$ per value is taken for $z_t / \alpha_t$ at the time of
    the training with $\sigma_t^2 / \alpha_t^2 = \nu$ (Ho et al. 2020, eq. 4). This is an approximation: e is neither
    white nor independent of $\hat z$, which is an estimate that was shrunk.

    Args:
        denoiser: whose network predicts; its steps and guidance are not used.
        condition: [n, num_branches, num_tokens, width], of the captions.
        latent: [n, c, h, w], $\hat z$.
        error_variance: $\nu$, mean squared error per value of the latent, > 0; `linear_mse` divided by the number of
            values for a linear code, `SeedCodec.error_variance` for a learned one.

    Raises:
        ConfigError: the variance is not positive.
    """
    check_range(error_variance > 0, "error_variance", error_variance, "positive")
    powers = denoiser.pipeline.scheduler.alphas_cumprod
    # The time of the training whose noise is nearest to the error.
    time = (powers.double() - 1 / (1 + error_variance)).abs().argmin()
    power = float(powers[time])
    alpha, sigma = power**0.5, (1 - power) ** 0.5
    noisy = alpha * latent
    return denoiser.clean(noisy, denoiser.predict(noisy, condition[:, -1], time), alpha, sigma)
