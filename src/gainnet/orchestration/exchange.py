"""The least spectrum that takes a model down and back up again in a given time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

_SMALL = 1e-3
_TOLERANCE = 1e-13
_MAX_STEPS = 60


@final
@dataclass(frozen=True)
class Exchange:
    """How one model is downloaded and uploaded.

    Args:
        area_down_hz_s: [...], spectrum area $a_d$ of the download.
        area_up_hz_s: [...], spectrum area $a_u$ of the upload.
        duration_down_s: [...], time $t_d$.
        duration_up_s: [...], time $t_u$.
        marginal_hz: [...], spectrum area that one more second would save, $-\\partial(a_d + a_u)/\\partial\\tau$.
        feasible: [...], whether the time suffices; where it does not, all others are 0.
    """

    area_down_hz_s: Tensor
    area_up_hz_s: Tensor
    duration_down_s: Tensor
    duration_up_s: Tensor
    marginal_hz: Tensor
    feasible: Tensor

    @property
    def area_hz_s(self) -> Tensor:
        """[...], spectrum area of both directions."""
        return self.area_down_hz_s + self.area_up_hz_s

    def unsqueezed(self) -> Exchange:
        """The exchange with a last dimension of 1, to meet the models that may follow."""
        return Exchange(
            self.area_down_hz_s.unsqueeze(-1),
            self.area_up_hz_s.unsqueeze(-1),
            self.duration_down_s.unsqueeze(-1),
            self.duration_up_s.unsqueeze(-1),
            self.marginal_hz.unsqueeze(-1),
            self.feasible.unsqueeze(-1),
        )

    def without(self, idle: Tensor) -> Exchange:
        """The exchange where `idle` is false; where it is true there is none, which is always feasible."""
        return Exchange(
            torch.where(idle, 0.0, self.area_down_hz_s),
            torch.where(idle, 0.0, self.area_up_hz_s),
            torch.where(idle, 0.0, self.duration_down_s),
            torch.where(idle, 0.0, self.duration_up_s),
            torch.where(idle, 0.0, self.marginal_hz),
            self.feasible | idle,
        )


def least_duration_s(num_bits: Tensor, bandwidth_hz: Tensor, cn0_hz: Tensor) -> Tensor:
    r"""Time of a transfer on the whole band.

    $t^{\min} = S / (B \log_2(1 + c / B))$   (Shannon 1948, Theorem 17)

    Args:
        num_bits: [...], size $S$ > 0.
        bandwidth_hz: [...], bandwidth $B$ > 0.
        cn0_hz: [...], received power over noise density $c = P g / N_0$ >= 0; 0 takes for ever.

    Returns:
        [...], duration in s, `inf` where nothing is received.

    >>> float(least_duration_s(torch.tensor(2e6), torch.tensor(1e6), torch.tensor(1e6)))
    2.0
    """
    return math.log(2) * num_bits / (bandwidth_hz * torch.log1p(cn0_hz / bandwidth_hz))


def least_spectrum(
    num_bits: Tensor, bandwidth_hz: Tensor, cn0_down_hz: Tensor, cn0_up_hz: Tensor, duration_s: Tensor
) -> Exchange:
    r"""The exchange of a model that takes the least spectrum area in a given time.

    $\min a_d + a_u$  s.t.  $a_i \log_2(1 + c_i t_i / a_i) \ge S$,  $a_i \le B t_i$,  $t_d + t_u \le \tau$

    With the SNR $u_i = c_i t_i / a_i$ on the band in use, $a_i = S \ln 2 / \ln(1 + u_i)$, and stationarity of the
    Lagrangian equates what a second saves in either direction:

    $c_d / h(u_d) = c_u / h(u_u)$,  $h(u) = (1 + u) \ln(1 + u) - u$,  unless a direction has the whole band,
    $u_i = c_i / B$.

    The stronger direction reaches the whole band first. Whether it has, is known beforehand; what remains is one
    increasing, concave equation $t_d + t_u = \tau$ in the SNR of the weaker direction (Newton from below).

    Args:
        num_bits: [...], model size $S$ > 0, sent once each way.
        bandwidth_hz: [...], bandwidth $B$ > 0.
        cn0_down_hz: [...], received power over noise density $c_d = P g / N_0$ >= 0 at the client.
        cn0_up_hz: [...], the same at the edge.
        duration_s: [...], time $\tau$ for both directions; may be negative, which is infeasible.

    >>> one = torch.ones((), dtype=torch.float64)
    >>> float(least_spectrum(2 * one, one, one, one, 4 * one).area_hz_s)
    4.0
    >>> bool(least_spectrum(2 * one, one, one, one, 3.9 * one).feasible)
    False
    """
    nats, band, down, up, time = torch.broadcast_tensors(
        *(x.double() for x in (math.log(2) * num_bits, bandwidth_hz, cn0_down_hz, cn0_up_hz, duration_s))
    )
    weaker, stronger = torch.minimum(down, up), torch.maximum(down, up)
    least = nats / band * (1 / torch.log1p(weaker / band) + 1 / torch.log1p(stronger / band))
    feasible = (weaker > 0) & (time >= least * (1 - _TOLERANCE))
    reachable = torch.where(weaker > 0, weaker, band), torch.where(weaker > 0, stronger, band)
    u, q = _equal_marginals(nats, band, *reachable, time, feasible)
    area_weaker, area_stronger = nats / torch.log1p(u), nats / torch.log1p(q)
    flipped = down > up
    area_down = torch.where(flipped, area_stronger, area_weaker)
    area_up = torch.where(flipped, area_weaker, area_stronger)
    snr_down, snr_up = torch.where(flipped, q, u), torch.where(flipped, u, q)
    return Exchange(
        area_down_hz_s=torch.where(feasible, area_down, 0.0),
        area_up_hz_s=torch.where(feasible, area_up, 0.0),
        duration_down_s=torch.where(feasible, area_down * snr_down / down, 0.0),
        duration_up_s=torch.where(feasible, area_up * snr_up / up, 0.0),
        marginal_hz=torch.where(feasible, reachable[0] / _h(u), 0.0),
        feasible=feasible,
    )


def _equal_marginals(
    nats: Tensor, band: Tensor, weaker: Tensor, stronger: Tensor, time: Tensor, feasible: Tensor
) -> tuple[Tensor, Tensor]:
    """SNR of the weaker and of the stronger direction on the bands they use."""
    ratio, least_u, least_q = stronger / weaker, weaker / band, stronger / band
    turn = _inverse_h(_h(least_q) / ratio, least_q / ratio.sqrt()).maximum(least_u)
    scale_u, scale_q = nats / weaker, nats / stronger
    turn_time = scale_u * turn / torch.log1p(turn) + scale_q * least_q / torch.log1p(least_q)
    free = (time > turn_time) & feasible
    goal = torch.where(feasible, time, turn_time)
    u, q = torch.where(free | ~feasible, turn, least_u), least_q
    free_ratio = torch.where(free, ratio, 0.0)
    for _ in range(_MAX_STEPS):
        log_u, log_q = torch.log1p(u), torch.log1p(q)
        h_u = _h_of(u, log_u)
        rest = goal - scale_u * u / log_u - scale_q * q / log_q
        if bool((rest <= _TOLERANCE * goal).all()):
            break
        slope_q = free_ratio * log_u / log_q
        slope = scale_u * h_u / ((1 + u) * log_u.square()) + slope_q * scale_q * _h_of(q, log_q) / (
            (1 + q) * log_q.square()
        )
        step = (rest / slope).maximum(least_u - u)
        u, q = u + step, q + slope_q * step
        if bool(free.any()):
            q = torch.where(free, _newton_h(q, ratio * _h(u)), q)
    return u, q


def _inverse_h(value: Tensor, start: Tensor) -> Tensor:
    """The u with h(u) = value, from a `start` that is at least as large: h is convex, so Newton falls onto the root."""
    u = start
    for _ in range(_MAX_STEPS):
        following = _newton_h(u, value)
        if bool(((u - following) <= _TOLERANCE * u).all()):
            return following
        u = following
    return u


def _newton_h(u: Tensor, value: Tensor) -> Tensor:
    log_u = torch.log1p(u)
    return u - (_h_of(u, log_u) - value) / log_u


def _h(u: Tensor) -> Tensor:
    return _h_of(u, torch.log1p(u))


def _h_of(u: Tensor, log_u: Tensor) -> Tensor:
    """(1 + u) ln(1 + u) - u; a series where the difference would lose digits."""
    exact = (1 + u) * log_u - u
    small = u < _SMALL
    if not bool(small.any()):
        return exact
    series = u.square() * (0.5 - u * (1 / 6 - u * (1 / 12 - u / 20)))
    return torch.where(small, series, exact)
