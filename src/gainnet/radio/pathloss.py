"""Path loss, line of sight and shadowing in a street canyon."""

from __future__ import annotations

import math

import torch
from torch import Tensor

LOS_SHADOWING_DB, NLOS_SHADOWING_DB = 4.0, 7.82
"""Standard deviations of shadowing (3GPP TR 38.901, Table 7.4.1-1, UMi street canyon)."""

LOS_SHADOWING_M, NLOS_SHADOWING_M, SIGHT_M = 10.0, 13.0, 50.0
"""Correlation distances of shadowing (Table 7.5-6) and of the line of sight (Table 7.6.3.1-2)."""

_LIGHT_M_PER_S = 3e8
_EFFECTIVE_HEIGHT_M = 1.0
_LEAST_DISTANCE_M = 10.0


def line_of_sight_probability(distance_m: Tensor) -> Tensor:
    r"""Probability that nothing stands between a terminal and a base station below the roofs.

    1 up to 18 m, then $18/d + e^{-d/36} (1 - 18/d)$   (3GPP TR 38.901, Table 7.4.2-1, UMi street canyon)

    Args:
        distance_m: [...], horizontal distance $d$ >= 0.

    >>> round(float(line_of_sight_probability(torch.tensor(100.0))), 3)
    0.231
    """
    near = 18.0 / distance_m.clamp_min(18.0)
    return near + torch.exp(-distance_m / 36.0) * (1.0 - near)


def path_loss_db(
    distance_m: Tensor, in_sight: Tensor, carrier_ghz: float, base_height_m: float, terminal_height_m: float
) -> Tensor:
    r"""Median loss between a base station below the roofs and a terminal in the street.

    In sight $32.4 + 21 \log_{10} d_{3D} + 20 \log_{10} f$ up to the break point $4 h_B' h_T' f / c$, beyond it
    $32.4 + 40 \log_{10} d_{3D} + 20 \log_{10} f - 9.5 \log_{10}(d_{BP}'^2 + (h_B - h_T)^2)$; out of sight at least
    that and $35.3 \log_{10} d_{3D} + 22.4 + 21.3 \log_{10} f - 0.3 (h_T - 1.5)$
    (3GPP TR 38.901, Table 7.4.1-1, UMi street canyon; heights $h'$ are 1 m less).

    Args:
        distance_m: [...], horizontal distance; below 10 m, where the model ends, taken as 10 m.
        in_sight: [...], whether there is a line of sight.
        carrier_ghz: carrier frequency $f$, 0.5 to 100 GHz.
        base_height_m: height $h_B$ of the base station's antenna, > 1 m.
        terminal_height_m: height $h_T$ of the terminal's antenna, > 1 m.

    Returns:
        [...], loss in dB.

    >>> round(float(path_loss_db(torch.tensor(100.0), torch.tensor(True), 3.5, 10.0, 1.5)), 1)
    85.3
    """
    flat_m = distance_m.clamp_min(_LEAST_DISTANCE_M)
    step_m = base_height_m - terminal_height_m
    log_distance, log_carrier = (
        torch.log10(torch.hypot(flat_m, torch.full_like(flat_m, step_m))),
        math.log10(carrier_ghz),
    )
    heights_m2 = (base_height_m - _EFFECTIVE_HEIGHT_M) * (terminal_height_m - _EFFECTIVE_HEIGHT_M)
    break_m = 4 * heights_m2 * carrier_ghz * 1e9 / _LIGHT_M_PER_S
    near = 32.4 + 21 * log_distance + 20 * log_carrier
    far = 32.4 + 40 * log_distance + 20 * log_carrier - 9.5 * math.log10(break_m**2 + step_m**2)
    sight = torch.where(flat_m <= break_m, near, far)
    blocked = 35.3 * log_distance + 22.4 + 21.3 * log_carrier - 0.3 * (terminal_height_m - 1.5)
    return torch.where(in_sight, sight, torch.maximum(sight, blocked))


def along_the_way(innovation: Tensor, moved_m: Tensor, correlation_m: float) -> Tensor:
    r"""A standard normal process that forgets with distance.

    $z_k = \rho_k z_{k-1} + \sqrt{1 - \rho_k^2}\, w_k$, $\rho_k = e^{-\Delta_k / d}$   (Gudmundson 1991)

    Args:
        innovation: [..., num_steps, num_terminals, num_bases], independent standard normal $w$.
        moved_m: [..., num_steps, num_terminals], distance $\Delta$ since the step before; the first is not read.
        correlation_m: distance $d$ > 0 at which the correlation is 1/e.

    Returns:
        [..., num_steps, num_terminals, num_bases].

    >>> from gainnet.core.randomness import Random
    >>> drawn = Random.of([1]).normal((3, 1, 1), "shadowing")[0]
    >>> still = along_the_way(drawn, torch.zeros(3, 1), correlation_m=10.0)
    >>> torch.equal(still[2], drawn[0])  # who stays keeps its shadow
    True
    >>> far = along_the_way(drawn, torch.full((3, 1), 1e4), correlation_m=10.0)
    >>> torch.allclose(far, drawn)  # who went far has another one
    True
    """
    keep = torch.exp(-moved_m / correlation_m).unsqueeze(-1)
    renew = (1 - keep.square()).sqrt()
    steps = [innovation[..., 0, :, :]]
    for k in range(1, innovation.shape[-3]):
        steps.append(keep[..., k, :, :] * steps[-1] + renew[..., k, :, :] * innovation[..., k, :, :])
    return torch.stack(steps, -3)
