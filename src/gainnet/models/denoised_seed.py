"""The denoiser as a receiver: one step on a decoded seed, at the noise level of its error."""

from __future__ import annotations

import torch
from torch import Tensor

from gainnet.core.errors import check_range
from gainnet.models.diffusion import Denoiser
from gainnet.models.samplers.levels import wide


@torch.no_grad()
def denoised_seed(denoiser: Denoiser, condition: Tensor, latent: Tensor, error_variance: float) -> Tensor:
    r"""[n, c, h, w], clean latents as a denoiser estimates them from decoded ones and captions, without guidance.

    condition, latent $\hat z$ --> $\alpha_t \hat z$ --(network at time t)--> $\hat z_0$

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
    levels = denoiser.sampler.levels
    # The time of the training whose noise is nearest to the error.
    time = levels.nearest(torch.tensor([1 / (1 + error_variance)], dtype=torch.float64))
    power = levels.power(time)
    noisy = wide(levels.amplitudes(power)[0], latent) * latent
    predicted = denoiser.predict(noisy, condition[:, -1], time[0].to(latent.device))
    return levels.read(noisy, predicted, power)[0]
