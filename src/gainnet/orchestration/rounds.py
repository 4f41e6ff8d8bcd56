"""Who uses which part of a pool when: the overlapped and the serial structure of rounds as pieces on a board."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import final

import torch
from torch import Tensor

from gainnet.orchestration.resources import Pool
from gainnet.orchestration.task import Sensing, Task
from gainnet.orchestration.workload import Consumption, Workload


class Activity(IntEnum):
    """Use of a piece of a pool."""

    DOWNLOAD = 0
    TRAINING = 1
    UPLOAD = 2
    WIRELESS_SENSING = 3
    VISUAL_SENSING = 4


COMPUTING = frozenset({Activity.TRAINING, Activity.VISUAL_SENSING})
"""Activities on the time-computing matrix; the others are on the time-frequency matrix."""


@final
@dataclass(frozen=True)
class Piece:
    """Which columns of a schedule belong to what.

    Args:
        activity: what is done.
        rounds_late: how many CRs after its data generation a piece of that GAI round is executed: 0 or 1.
    """

    activity: Activity
    rounds_late: int


@final
@dataclass(frozen=True)
class Schedule:
    """Rectangles in the pools of one CR, one column per piece; empty ones have no width or no height.

        rate
        high +-------+
             | piece |
        low  +-------+
           start    end   time

    Args:
        pieces: what each column is, num_pieces of them.
        start_s: [..., num_pieces], since the CR began.
        end_s: [..., num_pieces].
        low: [..., num_pieces], share of the bandwidth or of the compute rate in [0, 1].
        high: [..., num_pieces].
        duration_s: [...], duration $T$ of the CR.

    >>> from gainnet.orchestration.workload import serial_workload
    >>> one = torch.ones((), dtype=torch.float64)
    >>> pool, task = Pool(1e6 * one, 1e9 * one, 9 * one), Task(2e6 * one, 1e7 * one, 1e7 * one, 1e7 * one)
    >>> sensing = Sensing(1e4 * one, 2e7 * one, 60 * one, 90 * one)
    >>> serial = serial_schedule(pool, serial_workload(pool, sensing, task), sensing, task)
    >>> used_s = sum(float(serial.amount(activity)) for activity in Activity)
    >>> used_s <= 2 * 9  # two matrices of 9 s each
    True
    """

    pieces: tuple[Piece, ...]
    start_s: Tensor
    end_s: Tensor
    low: Tensor
    high: Tensor
    duration_s: Tensor

    def amount(self, activity: Activity) -> Tensor:
        """[...], time times share that an activity has, in s."""
        columns = [i for i, piece in enumerate(self.pieces) if piece.activity is activity]
        areas = (self.end_s - self.start_s) * (self.high - self.low)
        return areas[..., columns].sum(-1)


def zeros_schedule(pool: Pool, spent: Consumption, workload: Workload, sensing: Sensing) -> Schedule:
    r"""A CR of the Z-shaped overlapped structure: data are generated for round r while round r - 1 is consumed.

        frequency |  d  |          |    u    |       computing |     |          |         |
                  |  d ~|~ ~ ~ ~ ~ |~ ~ u ~ ~|                 |v v v| training |v v v v v|
                    t_d      t_c        t_u                      t_d      t_c        t_u

    Wireless sensing (~) takes the same share of whatever spectrum is free, visual sensing (v) of the free cycles;
    where inside the free pool they lie is assumed, since the workload depends on areas alone.

    Args:
        pool: resources of the CR.
        spent: what round r - 1 consumes; the durations of an idle or infeasible one are 0.
        workload: what is sensed for round r.
        sensing: what a sample takes.
    """
    exchange, time = spent.exchange, pool.duration_s
    zero = torch.zeros_like(exchange.area_hz_s)
    # An infeasible consumption is dropped: its cycles are free for sensing.
    cycles = torch.where(exchange.feasible, spent.cycles, 0.0)
    trained = exchange.duration_down_s + cycles / pool.cycles_per_s
    upload = time - exchange.duration_up_s
    share_down = _ratio(exchange.area_down_hz_s, pool.bandwidth_hz * exchange.duration_down_s)
    share_up = _ratio(exchange.area_up_hz_s, pool.bandwidth_hz * exchange.duration_up_s)
    wireless = _ratio(workload.wireless * sensing.spectrum_hz_s_per_sample, pool.spectrum_hz_s - exchange.area_hz_s)
    visual = _ratio(workload.visual * sensing.cycles_per_sample, pool.cycles - cycles)
    down_s, one, whole = exchange.duration_down_s, zero + 1, zero + time
    rows = (
        (Piece(Activity.DOWNLOAD, 1), zero, down_s, zero, share_down),
        (Piece(Activity.TRAINING, 1), down_s, trained, zero, one),
        (Piece(Activity.UPLOAD, 1), upload, whole, zero, share_up),
        (Piece(Activity.WIRELESS_SENSING, 0), zero, down_s, share_down, share_down + wireless * (1 - share_down)),
        (Piece(Activity.WIRELESS_SENSING, 0), down_s, upload, zero, wireless),
        (Piece(Activity.WIRELESS_SENSING, 0), upload, whole, share_up, share_up + wireless * (1 - share_up)),
        (Piece(Activity.VISUAL_SENSING, 0), zero, down_s, zero, visual),
        (Piece(Activity.VISUAL_SENSING, 0), trained, whole, zero, visual),
    )
    return _schedule(rows, time)


def serial_schedule(pool: Pool, workload: Workload, sensing: Sensing, task: Task) -> Schedule:
    r"""A CR without overlap: sensing, download, training and upload of one round after the other.

        frequency |~ ~ ~ ~| d |          | u |       computing |v v v v|   | training |   |

    Args:
        pool: resources of the CR.
        workload: what is sensed and trained, as `serial_workload` gives it.
        sensing: what a sample takes.
        task: the model.
    """
    samples = workload.samples
    active = samples > 0
    band, zero = pool.bandwidth_hz, torch.zeros_like(samples)
    down, up = (torch.where(active, x, 0.0) for x in task.durations_s(pool))
    training = samples * task.cycles_per_sample / pool.cycles_per_s
    sensed = torch.where(active, pool.duration_s - down - up - training, 0.0)
    wireless = _ratio(workload.wireless * sensing.spectrum_hz_s_per_sample, band * sensed)
    visual = _ratio(workload.visual * sensing.cycles_per_sample, pool.cycles_per_s * sensed)
    # Serial: each stage begins where the one before ends.
    there, trained = sensed + down, sensed + down + training
    one = zero + 1
    rows = (
        (Piece(Activity.WIRELESS_SENSING, 0), zero, sensed, zero, wireless),
        (Piece(Activity.VISUAL_SENSING, 0), zero, sensed, zero, visual),
        (Piece(Activity.DOWNLOAD, 0), sensed, there, zero, one),
        (Piece(Activity.TRAINING, 0), there, trained, zero, one),
        (Piece(Activity.UPLOAD, 0), trained, trained + up, zero, one),
    )
    return _schedule(rows, pool.duration_s)


def _schedule(rows: tuple[tuple[Piece, Tensor, Tensor, Tensor, Tensor], ...], duration_s: Tensor) -> Schedule:
    start_s, end_s, low, high = (
        torch.stack(torch.broadcast_tensors(*(row[i] for row in rows)), -1) for i in range(1, 5)
    )
    return Schedule(tuple(row[0] for row in rows), start_s, end_s, low, high, duration_s)


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    """Share in [0, 1] up to rounding; nothing of nothing is nothing."""
    return torch.where(whole > 0, part / whole, 0.0).clamp(0.0, 1.0)
