"""The least spectrum that takes a model down and back up again in a given time."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from gainnet.orchestration.resources import each

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

    def without(self, idle: Tensor) -> Exchange:
        """The exchange where `idle` [...] is false; where it is true there is none, which is always feasible."""
        return replace(each(self, lambda x: x.masked_fill(idle, 0)), feasible=self.feasible | idle)


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
    # Both directions carry the same bits, so only which one is weaker matters; they are put back in place below.
    weaker, stronger = torch.minimum(down, up), torch.maximum(down, up)
    # Both on the whole band, one after the other: no exchange is faster.
    least = nats / band * (1 / torch.log1p(weaker / band) + 1 / torch.log1p(stronger / band))
    # A time that was computed as the least one may come out shorter by a rounding error.
    feasible = (weaker > 0) & (time >= least * (1 - _TOLERANCE))
    # Without a link the equations have no root; any positive value keeps them finite, and the result is masked.
    reachable = torch.where(weaker > 0, weaker, band), torch.where(weaker > 0, stronger, band)
    # u and q are the SNRs of the weaker and the stronger direction on the bands that they use.
    u, q = _equal_marginals(nats, band, *reachable, time, feasible)
    area_weaker, area_stronger = nats / torch.log1p(u), nats / torch.log1p(q)
    flipped = down > up
    area_down = torch.where(flipped, area_stronger, area_weaker)
    area_up = torch.where(flipped, area_weaker, area_stronger)
    snr_down, snr_up = torch.where(flipped, q, u), torch.where(flipped, u, q)
    # From u = c t / a.
    down_s, up_s = area_down * snr_down / down, area_up * snr_up / up
    found = Exchange(area_down, area_up, down_s, up_s, reachable[0] / _h(u), feasible)
    return replace(each(found, lambda x: x.masked_fill(~feasible, 0)), feasible=feasible)


def _equal_marginals(
    nats: Tensor, band: Tensor, weaker: Tensor, stronger: Tensor, time: Tensor, feasible: Tensor
) -> tuple[Tensor, Tensor]:
    """SNR of the weaker and of the stronger direction on the bands they use."""
    ratio, least_u, least_q = stronger / weaker, weaker / band, stronger / band
    # At `turn` the stronger direction is just at its whole band; in less time both are limited differently.
    turn = _inverse_h(_h(least_q) / ratio, least_q / ratio.sqrt()).maximum(least_u)
    scale_u, scale_q = nats / weaker, nats / stronger
    turn_time = scale_u * turn / torch.log1p(turn) + scale_q * least_q / torch.log1p(least_q)
    # With more time the stronger direction is free, too: its SNR follows from equal marginals; else it stays at c / B.
    free = (time > turn_time) & feasible
    # Infeasible pairs are given the time that `turn` takes, so that they count as solved at once.
    goal = torch.where(feasible, time, turn_time)
    u, q = torch.where(free | ~feasible, turn, least_u), least_q
    # dq/du of equal marginals is ratio ln(1 + u) / ln(1 + q); 0 where q is fixed at the whole band.
    free_ratio = torch.where(free, ratio, 0.0)
    for _ in range(_MAX_STEPS):
        log_u, log_q = torch.log1p(u), torch.log1p(q)
        # d/du of u / ln(1 + u) is h(u) / ((1 + u) ln^2(1 + u)).
        h_u = _h_of(u, log_u)
        rest = goal - scale_u * u / log_u - scale_q * q / log_q
        if bool((rest <= _TOLERANCE * goal).all()):
            break
        slope_q = free_ratio * log_u / log_q
        slope = scale_u * h_u / ((1 + u) * log_u.square()) + slope_q * scale_q * _h_of(q, log_q) / (
            (1 + q) * log_q.square()
        )
        # The time is concave in u: Newton from below never oversteps, but the whole band is a lower bound of u.
        step = (rest / slope).maximum(least_u - u)
        u, q = u + step, q + slope_q * step
        if bool(free.any()):
            # q moved along its tangent; one Newton step brings it back onto the curve of equal marginals.
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
    # h'(u) = ln(1 + u).
    log_u = torch.log1p(u)
    return u - (_h_of(u, log_u) - value) / log_u


def _h(u: Tensor) -> Tensor:
    return _h_of(u, torch.log1p(u))


def _h_of(u: Tensor, log_u: Tensor) -> Tensor:
    """(1 + u) ln(1 + u) - u; a series where the difference would lose digits."""
    exact = (1 + u) * log_u - u
    # (1 + u) ln(1 + u) and u agree in their leading digits for small u.
    small = u < _SMALL
    if not bool(small.any()):
        return exact
    series = u.square() * (0.5 - u * (1 / 6 - u * (1 / 12 - u / 20)))
    return torch.where(small, series, exact)
