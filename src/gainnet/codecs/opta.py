"""The optimum performance theoretically attainable for a Gaussian source of the latents' covariance."""

from __future__ import annotations

import torch
from torch import Tensor

from gainnet.codecs.components import Components
from gainnet.core.randomness import Random
from gainnet.core.types import Spec


def reverse_water_filling(variances: Tensor, rate_bits: Tensor) -> Tensor:
    r"""Distortion of every component at a total rate.

    $D_i = \min(\theta, \lambda_i)$ with $\sum_i \tfrac12 \log_2 (\lambda_i / D_i) = R$   (Cover and Thomas 2006,
    theorem 10.3.3)

    Args:
        variances: [num_values], $\lambda$ > 0, not increasing.
        rate_bits: [*batch], rate $R$ >= 0 of one item in bits.

    Returns:
        [*batch, num_values], $D_i$, float64.

    >>> reverse_water_filling(torch.tensor([4.0, 1.0]), torch.tensor(2.0))
    tensor([0.5000, 0.5000], dtype=torch.float64)
    """
    variances = variances.double()
    logs = variances.log2()
    counts = torch.arange(1, len(variances) + 1, dtype=torch.float64)
    # Rate at which component k starts to be coded: the level theta equals its variance.
    needed = (logs.cumsum(0) - counts * logs) / 2
    active = (needed <= rate_bits.double()[..., None]).sum(-1, keepdim=True).clamp_min(1) - 1
    mean_log = (logs.cumsum(0) / counts)[active]
    # With k components active theta is their geometric mean over 2^(2 R / k).
    level = torch.exp2(mean_log - 2 * rate_bits.double()[..., None] / counts[active])
    return torch.minimum(level, variances)


def gaussian_opta(variances: Tensor, num_channel_uses: float, snr: Tensor) -> Tensor:
    r"""Least mean squared error per value of any code, if latents were Gaussian.

    $D(R)$ at $R = L \log_2 (1 + \gamma)$   (Shannon 1959). Real latents are not Gaussian, a good code may pass it.

    Args:
        variances: [num_values], > 0, not increasing.
        num_channel_uses: complex uses $L$ >= 0.
        snr: [*batch], linear $\gamma$ >= 0.

    Returns:
        [*batch], mean squared error per value.

    >>> float(gaussian_opta(torch.tensor([1.0, 1.0]), 1, torch.tensor(3.0)))
    0.25
    """
    return reverse_water_filling(variances, num_channel_uses * torch.log2(1 + snr.double())).mean(-1)


def backward_test_channel(
    x: Tensor, basis: Components, num_channel_uses: float, snr: Tensor, spec: Spec, random: Random
) -> Tensor:
    r"""Reconstructions of given latents at the Gaussian optimum, so that it can be drawn as a quality of pictures.

    $\hat c_i = (1 - D_i/\lambda_i) c_i + n_i$, $n_i \sim N(0, D_i (1 - D_i/\lambda_i))$, the test channel that attains
    $D(R)$ (Berger 1971, section 4.5)

    Args:
        x: [*batch, *spec.shape], latents.
        basis: principal components of the model's latents.
        num_channel_uses: complex uses per item, >= 0.
        snr: [*batch], linear.
        spec: shape of a latent.
        random: one stream per item.

    Returns:
        [*batch, *spec.shape].

    >>> from gainnet.codecs.basis import SeedBasis
    >>> basis, spec = SeedBasis.load(), Spec((4, 16, 16))
    >>> latent = basis.synthesise(basis.variances.sqrt().expand(1, -1), spec)
    >>> best = backward_test_channel(latent, basis, 256, torch.tensor([1.0]), spec, Random.of([1]))
    >>> best.shape
    torch.Size([1, 4, 16, 16])
    """
    basis.check(spec, "gaussian_opta")
    distortion = reverse_water_filling(basis.variances, num_channel_uses * torch.log2(1 + snr.double()))
    kept = 1 - distortion / basis.variances.double()
    # Shrunk by 1 - D / lambda, the noise D (1 - D / lambda) makes the total error exactly D.
    noise = random.normal((basis.num_components,), "backward_test_channel") * (distortion * kept).sqrt().float()
    return basis.synthesise(kept.float() * basis.analyse(x, tuple(snr.shape)) + noise, spec)
