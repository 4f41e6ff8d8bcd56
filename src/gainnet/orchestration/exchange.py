"""The least spectrum that takes a model down and back up again in a given time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_SMALL = 1e-3
_TOLERANCE = 1e-13
_NUM_STEPS = 4
"""From the closed-form start the steps are at most 2, 1e-2, 3e-5 and 1e-7 of the root, so the last leaves no error. A
fixed number, unlike a test of convergence, makes an item of a batch the item alone to the last bit."""
_AT_ONCE = 1 << 13

Reals = NDArray[np.float64]


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

    The stronger direction reaches the whole band first. Unknowns are $v_i = \ln(1 + u_i)$: both equations, written
    with logarithms, are nearly straight in them, so that Newton's method needs four steps from a closed-form start.

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
    given = torch.broadcast_tensors(math.log(2) * num_bits, bandwidth_hz, cn0_down_hz, cn0_up_hz, duration_s)
    columns = columns_of(given)
    found, feasible = np.empty((5, columns[0].size)), np.empty(columns[0].size, dtype=bool)
    for part in parts_of(columns[0].size):
        feasible[part] = solve_exchange(found[:, part], *(x[part] for x in columns))
    return exchange_of(found, feasible, given[0].shape)


def columns_of(tensors: Sequence[Tensor]) -> list[Reals]:
    """Flat arrays [n] of tensors of the same shape; views where they are contiguous and float64.

    NumPy's loops of exp and log take half the time of torch's, and its calls on a few numbers a third.
    """
    return [np.ascontiguousarray(x.numpy(), dtype=np.float64).reshape(-1) for x in tensors]


def parts_of(num_problems: int) -> Iterator[slice]:
    """Problems that are solved together: some dozen arrays of them fit a core's second-level cache."""
    return (slice(start, start + _AT_ONCE) for start in range(0, num_problems, _AT_ONCE))


def exchange_of(found: Reals, feasible: NDArray[np.bool_], shape: torch.Size) -> Exchange:
    """The record of what `solve_exchange` filled, [5, n] and [n], in a shape of n values."""
    rows = torch.from_numpy(found).reshape(5, *shape).unbind(0)
    return Exchange(*(*rows, torch.from_numpy(feasible).reshape(shape)))


def solve_exchange(out: Reals, nats: Reals, band: Reals, down: Reals, up: Reals, time: Reals) -> NDArray[np.bool_]:
    """Fills `out` [5, n] with areas, durations and the marginal; returns whether the time suffices, [n].

    Args:
        out: filled; zero where the time does not suffice.
        nats: [n], $S \\ln 2$.
        band: [n], bandwidth in Hz.
        down: [n], received power over noise density of the download in Hz.
        up: [n], of the upload.
        time: [n], in s.
    """
    # Without a link there are divisions by zero, whose results are masked.
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return _solve(out, nats, band, down, up, time)


def _solve(out: Reals, nats: Reals, band: Reals, down: Reals, up: Reals, time: Reals) -> NDArray[np.bool_]:
    # Both directions carry the same bits, so only which one is weaker matters; they are put back in place below.
    weaker, stronger = np.minimum(down, up), np.maximum(down, up)
    linked = weaker > 0
    if not linked.all():
        # Without a link the equations have no root; any positive value keeps them finite.
        weaker, stronger = np.where(linked, weaker, band), np.where(linked, stronger, band)
    directions = Directions.of(nats, band, weaker, stronger)
    # A time that was computed as the least one may come out shorter by a rounding error.
    feasible: NDArray[np.bool_] = linked & (time / directions.unit_s >= directions.least * (1 - _TOLERANCE))
    v, w = directions.roots(time)
    snr_v, snr_w = np.expm1(v), np.expm1(w)
    area_v, area_w = nats / v, nats / w
    # From u = c t / a.
    rows = area_v, area_w, area_v * snr_v / weaker, area_w * snr_w / stronger
    flipped = down > up
    for row, one, other in ((0, *rows[:2]), (1, *rows[1::-1]), (2, *rows[2:]), (3, *rows[:1:-1])):
        out[row] = np.where(flipped, other, one)
    out[4] = directions.marginal_hz(v)
    if not feasible.all():
        out[:, ~feasible] = 0.0
    return feasible


@final
@dataclass(frozen=True)
class Directions:
    r"""Both directions of an exchange; unknowns are $v$ of the weaker one and $w$ of the stronger one.

    $f(v) + f(w) / r = T$, $h(w) = r h(v)$ unless $w$ is at its least; $f(v) = (e^v - 1) / v$, $f' = h / v^2$,
    $h = e^v (v - 1) + 1$, $h' = v e^v$, since $u / \ln(1 + u)$ is a transfer's time in units of nats / c.

    Args:
        weaker: [n], C/N0 > 0 in Hz.
        ratio: [n], $r$ >= 1 of the C/N0 of both.
        unit_s: [n], nats / c of the weaker direction.
        least_v: [n], $v$ > 0 on the whole band.
        least_w: [n], $w$ on the whole band.
        least: [n], least $T$, both on the whole band.
        h: (v, e^v - 1) -> h(v), exact enough for these, [n] each.
    """

    weaker: Reals
    ratio: Reals
    unit_s: Reals
    least_v: Reals
    least_w: Reals
    least: Reals
    h: Callable[[Reals, Reals], Reals]

    @staticmethod
    def of(nats: Reals, band: Reals, weaker: Reals, stronger: Reals) -> Directions:
        """Directions with a model of so many nats on a band in Hz, with C/N0 in Hz, [n] each."""
        snr = weaker / band
        least_v, least_w = np.log1p(snr), np.log1p(stronger / band)
        # w is no less than v, and v no less than its least: one look tells whether digits can be lost at all.
        h = _h if least_v.min(initial=np.inf) < _SMALL else _plain_h
        least = snr * (1 / least_v + 1 / least_w)
        return Directions(weaker, stronger / weaker, nats / weaker, least_v, least_w, least, h)

    def roots(
        self, time_s: Reals, start: tuple[Reals, Reals] | None = None, num_steps: int = _NUM_STEPS
    ) -> tuple[Reals, Reals]:
        """v and w for given times [n] in s, at least the least one each.

        Args:
            time_s: [n], of both directions together.
            start: [n] each, v and w of a similar time; afresh if `None`.
            num_steps: of Newton's method.
        """
        time = np.maximum(time_s / self.unit_s, self.least)
        v, w = self._start(time) if start is None else start
        for _ in range(num_steps):
            snr_v, snr_w = np.expm1(v), np.expm1(w)
            h_v, h_w = self.h(v, snr_v), self.h(w, snr_w)
            taken = snr_v / v + snr_w / w / self.ratio
            slope_v, slope_w = h_v / (v * v), h_w / (w * w) / self.ratio
            # How far marginals are from equal, and what a step of v and of w changes in it.
            apart = np.log(self.ratio * h_v / h_w)
            by_v, by_w = (snr_v + 1) * v / h_v, (snr_w + 1) * w / h_w
            # Logarithms of both sides: time grows like e^v, whose tangent would need many steps.
            short = taken * np.log(time / taken)
            along = slope_w / by_w
            step_v = (short - along * apart) / (slope_v + along * by_v)
            # At the whole band w stays, and v alone makes up the time.
            step_w = np.maximum((apart + by_v * step_v) / by_w, self.least_w - w)
            step_v = np.maximum((short - slope_w * step_w) / slope_v, self.least_v - v)
            v, w = v + step_v, w + step_w
        return v, w

    def marginal_hz(self, v: Reals) -> Reals:
        """[n], spectrum area that one more second would save, of v [n]."""
        return self.weaker / self.h(v, np.expm1(v))

    def _start(self, time: Reals) -> tuple[Reals, Reals]:
        # The weaker direction takes at least half of the time, and at most what it takes were the other one as weak.
        log_time = np.log(time / (1 + 1 / self.ratio)).clip(0.0)
        v = np.maximum(log_time + np.log1p(log_time), self.least_v)
        return v, np.maximum(_inverse_h(self.ratio * self.h(v, np.expm1(v))), self.least_w)


def _inverse_h(value: Reals) -> Reals:
    """The v with h(v) = value, to about 1e-3: 1 + W((value - 1) / e) with Winitzki's approximation of Lambert's W."""
    y = np.sqrt(2 * value)
    log_y = 2 * np.log1p(0.8842 * y)
    large = 1 + (log_y - np.log1p(0.9294 * np.log1p(0.5106 * y)) - 1.213) / (1 + 1 / (log_y + 4.688))
    # Near the branch point its own series is the better one, and goes to zero.
    return np.where(y < 0.3, y * (1 - y * (1 / 3 - y * (11 / 72))), large)


def _plain_h(v: Reals, snr: Reals) -> Reals:
    """h(v) = (1 + u) ln(1 + u) - u of u = e^v - 1."""
    return snr * (v - 1) + v


def _h(v: Reals, snr: Reals) -> Reals:
    """The same, as a series where the difference would lose digits."""
    return np.where(v < _SMALL, v * v * (0.5 + v * (1 / 3 + v * (0.125 + v / 30))), _plain_h(v, snr))
