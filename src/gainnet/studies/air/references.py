"""Closed forms and published references that measurements of the air stand beside."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy import special
from scipy.optimize import brentq


def bit_error_rate(bits_per_symbol: int, snr: float, mean_q: Callable[[float], float]) -> float:
    r"""Bit error rate of Gray-mapped square QAM, exactly.

    $\frac{1}{\log_2 \sqrt M} \sum_k \frac{2}{\sqrt M} \sum_i w_{k,i}\, E\,Q((2i+1) \sqrt{3 \gamma |h|^2 / (M-1)})$
    (Cho and Yoon 2002)

    Args:
        bits_per_symbol: 2, 4, 6 or 8.
        snr: mean Es/N0, linear.
        mean_q: $a \mapsto E\,Q(\sqrt{a |h|^2})$ over the fading.

    >>> round(bit_error_rate(2, 4.0, lambda a: float(special.ndtr(-math.sqrt(a)))), 5)
    0.02275
    """
    levels = 2 ** (bits_per_symbol // 2)
    step = 3 * snr / (levels**2 - 1)
    bits = bits_per_symbol // 2
    total = 0.0
    for k in range(1, bits + 1):
        for i in range(int((1 - 2.0**-k) * levels)):
            turn = math.floor(i * 2 ** (k - 1) / levels)
            weight = (-1) ** turn * (2 ** (k - 1) - math.floor(i * 2 ** (k - 1) / levels + 0.5))
            total += weight * mean_q((2 * i + 1) ** 2 * step)
    return float(2 * total / (levels * bits))


def mean_q_of(k_factor: float) -> Callable[[float], float]:
    r"""$a \mapsto E\,Q(\sqrt{a |h|^2})$ for Rician fading; 0 is Rayleigh, infinity none.

    $\frac{1}{\pi} \int_0^{\pi/2} \frac{s}{s + a/2} \exp(-\frac{K a / 2}{s + a/2})\, d\theta, \; s = (1+K) \sin^2\theta$
    (Simon and Alouini 2005, section 5.1)

    >>> round(mean_q_of(0.0)(2.0), 6) == round((1 - math.sqrt(1 / 2)) / 2, 6)
    True
    """
    if math.isinf(k_factor):
        return lambda a: float(special.ndtr(-math.sqrt(a)))
    nodes, weights = np.polynomial.legendre.leggauss(200)
    sine2 = np.sin((nodes + 1) * math.pi / 4) ** 2
    spread = (1 + k_factor) * sine2

    def mean_q(a: float) -> float:
        kernel = spread / (spread + a / 2) * np.exp(-k_factor * a / 2 / (spread + a / 2))
        return float((weights * kernel).sum() / 4)

    return mean_q


def ergodic_capacity(snr: float, k_factor: float) -> float:
    r"""Bits per channel use with the gain known to the receiver, $E \log_2(1 + \gamma |h|^2)$, by quadrature.

    Args:
        snr: mean SNR $\gamma$, linear.
        k_factor: of Rician fading; 0 is Rayleigh ($e^{1/\gamma} E_1(1/\gamma) / \ln 2$), infinity is no fading.

    >>> round(ergodic_capacity(1.0, 0.0), 4) == round(math.e * float(special.exp1(1.0)) / math.log(2), 4)
    True
    """
    if math.isinf(k_factor):
        return math.log2(1 + snr)
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    weights = weights / weights.sum()
    scatter, seen = math.sqrt(0.5 / (k_factor + 1)), math.sqrt(k_factor / (k_factor + 1))
    power = (seen + scatter * nodes[:, None]) ** 2 + (scatter * nodes[None, :]) ** 2
    return float((weights[:, None] * weights * np.log2(1 + snr * power)).sum())


def normal_approximation_db(num_information_bits: int, num_channel_uses: int, bler: float) -> float:
    r"""SNR in dB that a code of this length needs at least, with Gaussian inputs.

    $k = n C(\gamma) - \sqrt{n V(\gamma)}\, Q^{-1}(\epsilon) + \tfrac12 \log_2 n$, complex AWGN channel
    (Polyanskiy, Poor and Verdu 2010, eq. 296)

    >>> -0.6 < normal_approximation_db(1024, 1024, 1e-2) - 10 * math.log10(1) < 0.6
    True
    """
    return float(brentq(lambda snr_db: _surplus(num_information_bits, num_channel_uses, snr_db, bler), -40.0, 60.0))


def normal_approximation_uses(num_information_bits: int, snr_db: float, bler: float) -> float:
    """Channel uses that a code needs at least, by the same approximation.

    >>> [round(normal_approximation_uses(472, snr_db, 1e-2)) for snr_db in (0.0, 5.0, 10.0)]
    [535, 253, 147]
    """
    return float(brentq(lambda uses: _surplus(num_information_bits, uses, snr_db, bler), 1.0, 1e7))


def _surplus(num_information_bits: int, num_channel_uses: float, snr_db: float, bler: float) -> float:
    """Bits that the approximation carries beyond those that are asked for."""
    snr, quantile = 10 ** (snr_db / 10), -float(special.ndtri(bler))
    dispersion = snr * (snr + 2) / (snr + 1) ** 2 / math.log(2) ** 2
    carried = num_channel_uses * math.log2(1 + snr) - math.sqrt(num_channel_uses * dispersion) * quantile
    return carried + 0.5 * math.log2(num_channel_uses) - num_information_bits
