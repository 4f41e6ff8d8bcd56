"""How many samples a client can sense now and still train with in the next communication round."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gainnet.orchestration.exchange import Exchange, Reals, columns_of, exchange_of, parts_of, solve_exchange
from gainnet.orchestration.resources import Pool, check_not_negative
from gainnet.orchestration.steady import feed
from gainnet.orchestration.task import Sensing, Task

_TOLERANCE = 1e-12


class Reason(IntEnum):
    """Why a workload is zero."""

    FEASIBLE = 0
    NO_LINK = 1
    EXCHANGE_TOO_LONG = 2
    TRAINING_TOO_LONG = 3
    NEXT_EXCHANGE_TOO_LONG = 4
    NO_TARGETS = 5


@final
@dataclass(frozen=True)
class Consumption:
    """Resources that a CR spends on the samples of the round before.

    Args:
        exchange: download and upload; all zero where there is nothing to train.
        cycles: [...], training cycles $\\kappa' x'$.
        reason: [...], `Reason` as int64; anything but FEASIBLE leaves no time.
    """

    exchange: Exchange
    cycles: Tensor
    reason: Tensor


@final
@dataclass(frozen=True)
class Workload:
    """Samples that are sensed in a CR.

    Args:
        wireless: [...], wireless samples $x_{ws}$.
        visual: [...], visual samples $x_{vs}$.
        reason: [...], `Reason` as int64.
    """

    wireless: Tensor
    visual: Tensor
    reason: Tensor

    @property
    def samples(self) -> Tensor:
        """[...], $x = x_{ws} + x_{vs}$."""
        return self.wireless + self.visual


def consumption(pool: Pool, task: Task, samples: Tensor, exchange_s: Tensor | None = None) -> Consumption:
    r"""Download, training and upload of given samples with the least spectrum.

    $t_d + t_c + t_u \le T$,  $t_c = \kappa' x' / F$;  no samples take nothing, not even the model (assumed).

    Args:
        pool: resources of the CR.
        task: the model $m'$ that is trained.
        samples: [...], $x'$ >= 0.
        exchange_s: [...], `task.least_exchange_s(pool)` where it is known already.

    >>> one = torch.ones((), dtype=torch.float64)
    >>> pool, task = Pool(1e6 * one, 1e9 * one, 9 * one), Task(2e6 * one, 1e7 * one, 1e7 * one, 1e7 * one)
    >>> spent = consumption(pool, task, 500 * one)
    >>> float(spent.cycles), bool(spent.exchange.feasible)
    (5000000000.0, True)
    >>> bool(consumption(pool, task, 900 * one).exchange.feasible)  # 9 s of training leave no time for the model
    False
    """
    check_not_negative("samples", samples)
    if exchange_s is None:
        exchange_s = task.least_exchange_s(pool)
    given = torch.broadcast_tensors(
        samples, task.cycles_per_sample, exchange_s, pool.duration_s, pool.cycles_per_s,
        math.log(2) * task.num_bits, pool.bandwidth_hz, task.cn0_down_hz, task.cn0_up_hz,
    )  # fmt: skip
    shape, columns = given[0].shape, columns_of(given)
    cycles = columns[0] * columns[1]
    found, feasible = np.zeros((5, cycles.size)), np.ones(cycles.size, dtype=bool)
    reason = np.full(cycles.size, int(Reason.FEASIBLE))
    # In the first round of every scenario there is nothing to solve.
    for part in parts_of(cycles.size) if columns[0].any() else ():
        feasible[part] = _consume(found[:, part], reason[part], cycles[part], *(x[part] for x in columns))
    cycles_of, reason_of = (torch.from_numpy(x).reshape(shape) for x in (cycles, reason))
    return Consumption(exchange_of(found, feasible, shape), cycles_of, reason_of)


def _consume(
    out: Reals, reason: NDArray[np.int64], cycles: Reals, samples: Reals, per_sample: Reals, exchange_s: Reals,
    duration_s: Reals, cycles_per_s: Reals, nats: Reals, band: Reals, down: Reals, up: Reals,
) -> NDArray[np.bool_]:  # fmt: skip
    """Fills exchanges [5, n] and reasons [n]; whether the CR suffices, [n]."""
    most = np.maximum(cycles_per_s * (duration_s - exchange_s) / per_sample, 0.0)
    # A rounding error above the most that fits is not a reason to fail.
    fits = samples <= most * (1 + _TOLERANCE)
    # The time that training leaves; spectrum is what the exchange competes for with sensing.
    left_s = np.where(fits, np.maximum(duration_s - cycles / cycles_per_s, exchange_s), -1.0)
    idle = samples == 0
    feasible: NDArray[np.bool_] = solve_exchange(out, nats, band, down, up, left_s) | idle
    out[:, idle] = 0.0
    if not feasible.all():
        # Which of both is too long tells whether another model or fewer samples would help.
        late = np.where(exchange_s > duration_s, int(Reason.EXCHANGE_TOO_LONG), int(Reason.TRAINING_TOO_LONG))
        why = np.where((down > 0) & (up > 0), late, int(Reason.NO_LINK))
        reason[~feasible] = why[~feasible]
    return feasible


def achievable_workload(pool: Pool, spent: Consumption, sensing: Sensing, following: Task) -> Workload:
    r"""Most samples that a client can sense for a model beside what the CR consumes.

    $\max x_{ws} + x_{vs}$  s.t.  $x_{ws} \le \min((B T - a_d - a_u) / \beta, \rho_{ws} N_{ws} T)$,
    $x_{vs} \le \min((F T - \kappa' x') / \kappa_v, \rho_{vs} N_{vs} T)$,
    $x_{ws} + x_{vs} \le F (T - t_d^{\min} - t_u^{\min}) / \kappa$ so that the next CR can consume it.

    The consumption is solved once; models that may follow differ in the last two arguments alone, so broadcast them.

    Args:
        pool: resources of the CR.
        spent: what it consumes, with the least spectrum.
        sensing: samples of the model $m$ that follows.
        following: that model in the gains known now.

    >>> one = torch.ones((), dtype=torch.float64)
    >>> pool, task = Pool(one, 10 * one, 9 * one), Task(2 * one, 2 * one, one, one)
    >>> spent = consumption(pool, task, 25 * one)
    >>> achievable_workload(pool, spent, Sensing(one, 5 * one, 9 * one, one), task).samples
    tensor(13., dtype=torch.float64)
    """
    wireless, visual = _sensed(pool, sensing, spent.exchange.area_hz_s, spent.cycles)
    exchange_s = following.least_exchange_s(pool)
    later = _reason(pool, sensing, following, exchange_s)
    reason = torch.where(spent.reason != int(Reason.FEASIBLE), spent.reason, later)
    return _capped(wireless, visual, following.most_samples(pool, exchange_s), reason)


def workload_up_to(pool: Pool, spent: Consumption, sensing: Sensing, ceiling: Workload) -> Workload:
    """Most samples that a client can sense beside what the CR consumes, at most a ceiling such as `steady_workload`.

    The achievable workload starves the next CR where it senses more than a steady state can hold; the steady ceiling
    does not, and it respects what the next CR can consume.

    Args:
        pool: resources of the CR.
        spent: what it consumes.
        sensing: samples of the model that follows.
        ceiling: what the model that follows can take, and why it cannot.
    """
    wireless, visual = _sensed(pool, sensing, spent.exchange.area_hz_s, spent.cycles)
    reason = torch.where(spent.reason != int(Reason.FEASIBLE), spent.reason, ceiling.reason)
    return _capped(wireless, visual, ceiling.samples, reason)


def steady_workload(pool: Pool, sensing: Sensing, task: Task, enough: Tensor | None = None) -> Workload:
    r"""Most samples that a client can sense and consume in every CR, were all CRs like this one.

    The largest $x \le F (T - t_d^{\min} - t_u^{\min}) / \kappa$ with $x \le x_{ws}(x) + x_{vs}(x)$. What can be sensed
    beside the consumption of x is concave and falls in x (its slope is $-\lambda \kappa / (F \beta) - \kappa /
    \kappa_v$ with the multiplier $\lambda$ of time, as long as the pools bind), so Newton comes down onto the root.

    Args:
        pool: resources of every CR.
        sensing: samples of the model.
        task: the model.
        enough: [...], samples that nobody needs more than; a root above them is not looked for.

    >>> one = torch.ones((), dtype=torch.float64)
    >>> pool, task = Pool(1e6 * one, 1e9 * one, 9 * one), Task(2e6 * one, 1e7 * one, 1e7 * one, 1e7 * one)
    >>> sensing = Sensing(1e4 * one, 2e7 * one, 60 * one, 90 * one)
    >>> zeros, serial = steady_workload(pool, sensing, task), serial_workload(pool, sensing, task)
    >>> round(float(zeros.samples)), round(float(serial.samples))  # overlapping is worth it
    (660, 411)
    """
    least, exchange_s = torch.zeros_like(task.cycles_per_sample), task.least_exchange_s(pool)
    # No steady state senses more than a CR that consumes nothing, nor more than a CR can train.
    top_wireless, top_visual = _sensed(pool, sensing, least, least)
    x = torch.minimum(task.most_samples(pool, exchange_s), top_wireless + top_visual)
    if enough is not None:
        x = torch.minimum(x, enough)
    # Who can train nothing, for want of a link or of time, has no root.
    able = x > 0
    given = (
        pool.bandwidth_hz, pool.cycles_per_s, pool.duration_s, task.num_bits, task.cn0_down_hz, task.cn0_up_hz,
        task.cycles_per_sample, sensing.spectrum_hz_s_per_sample, sensing.cycles_per_sample,
        sensing.most_wireless_per_s * pool.duration_s, sensing.most_visual_per_s * pool.duration_s, x,
    )  # fmt: skip
    fed = feed(*(y.expand(able.shape)[able] for y in given))
    x, wireless, visual = (torch.zeros_like(x).masked_scatter(able, part) for part in fed)
    return _capped(wireless, visual, x, _reason(pool, sensing, task, exchange_s))


def consumable_workload(pool: Pool, sensing: Sensing, task: Task, enough: Tensor | None = None) -> Workload:
    r"""Most samples that a CR can sense with the whole pool and another can consume with the whole pool.

    $x \le F (T - t_d^{\min} - t_u^{\min}) / \kappa$ alone: what is sensed now may starve the CR that consumes it, so
    that neighbouring rounds are coupled as tightly as they can be.

    Arguments as `steady_workload`.
    """
    nothing, exchange_s = torch.zeros_like(task.cycles_per_sample), task.least_exchange_s(pool)
    wireless, visual = _sensed(pool, sensing, nothing, nothing)
    most = task.most_samples(pool, exchange_s)
    if enough is not None:
        most = torch.minimum(most, enough)
    return _capped(wireless, visual, most, _reason(pool, sensing, task, exchange_s))


class CeilingOf(Protocol):
    """A bound on the samples of a round."""

    def __call__(self, pool: Pool, sensing: Sensing, task: Task, enough: Tensor | None = None) -> Workload:
        """Most samples [...] of a round; arguments [...] as those of `steady_workload`."""


CEILINGS: dict[str, CeilingOf] = {
    "steady": steady_workload,
    "consumable": consumable_workload,
}
"""Bounds on the samples of a round, by the name that a scenario takes."""


def serial_workload(pool: Pool, sensing: Sensing, task: Task) -> Workload:
    r"""Most samples of a CR in which sensing, download, training and upload follow one another.

    $x = \rho \mu A / (\rho + \mu)$ with $A = T - t_d^{\min} - t_u^{\min}$, training rate $\mu = F / \kappa$ and the
    sensing capacity $\rho$ of `Sensing.per_s`.

    Arguments as `achievable_workload`.

    >>> one = torch.ones((), dtype=torch.float64)
    >>> pool, task = Pool(1e6 * one, 1e9 * one, 9 * one), Task(2e6 * one, 1e7 * one, 1e7 * one, 1e7 * one)
    >>> sensing = Sensing(1e4 * one, 2e7 * one, 60 * one, 90 * one)
    >>> rho, mu = sensing.per_s(pool), pool.cycles_per_s / task.cycles_per_sample
    >>> window_s = pool.duration_s - task.least_exchange_s(pool)
    >>> found = serial_workload(pool, sensing, task).samples
    >>> bool(torch.isclose(found, rho * mu * window_s / (rho + mu)))
    True
    """
    wireless, visual = sensing.kinds_per_s(pool)
    # Sensing for s seconds gives rho s samples, which train for rho s / mu; both fill the window.
    train = pool.cycles_per_s / task.cycles_per_sample
    exchange_s = task.least_exchange_s(pool)
    window_s = (pool.duration_s - exchange_s).clamp_min(0.0)
    sensing_s = window_s * train / (wireless + visual + train)
    no_limit = torch.full_like(sensing_s, torch.inf)
    reason = _reason(pool, sensing, task, exchange_s)
    return _capped(wireless * sensing_s, visual * sensing_s, no_limit, reason)


def _sensed(pool: Pool, sensing: Sensing, area_hz_s: Tensor, cycles: Tensor) -> tuple[Tensor, Tensor]:
    spectrum, compute = (pool.spectrum_hz_s - area_hz_s).clamp_min(0.0), (pool.cycles - cycles).clamp_min(0.0)
    wireless = torch.minimum(spectrum / sensing.spectrum_hz_s_per_sample, sensing.most_wireless_per_s * pool.duration_s)
    visual = torch.minimum(compute / sensing.cycles_per_sample, sensing.most_visual_per_s * pool.duration_s)
    return wireless, visual


def _capped(wireless: Tensor, visual: Tensor, most: Tensor, reason: Tensor) -> Workload:
    """Visual samples give way first, since they take cycles that training may need (assumed)."""
    feasible = reason == int(Reason.FEASIBLE)
    kept = torch.minimum(wireless, most)
    rest = torch.minimum(visual, most - kept)
    return Workload(torch.where(feasible, kept, 0.0), torch.where(feasible, rest, 0.0), reason)


def _reason(pool: Pool, sensing: Sensing, following: Task, exchange_s: Tensor) -> Tensor:
    """The first reason in the order of `Reason` that holds."""
    too_long = exchange_s >= pool.duration_s
    # Later lines overwrite earlier ones: the first reason in the order of `Reason` wins.
    no_targets = (sensing.most_wireless_per_s + sensing.most_visual_per_s) == 0
    later = torch.where(no_targets, int(Reason.NO_TARGETS), int(Reason.FEASIBLE))
    later = torch.where(too_long, int(Reason.NEXT_EXCHANGE_TOO_LONG), later)
    return torch.where(following.has_link, later, int(Reason.NO_LINK))
