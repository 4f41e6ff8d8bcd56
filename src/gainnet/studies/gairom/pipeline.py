"""The overlapped structure against the serial one, pair by pair in steady state, and how long the pipeline fills."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from gainnet.orchestration import Pool, Sensing, Task, World, consumption, serial_workload, steady_workload
from gainnet.orchestration.resources import unsqueeze
from gainnet.orchestration.workload import workload_up_to

_CLOSE = 1e-9


@final
@dataclass(frozen=True)
class Overlap:
    """Samples per CR with overlap over samples per CR without.

    Args:
        ratio: [num_pairs], of all pairs of client, model and CR in which a serial round trains anything.
        fill_rounds: CRs before a pair that starts from nothing consumes as much as in steady state; the most of all.
    """

    ratio: Tensor
    fill_rounds: int


def overlap(world: World) -> Overlap:
    """Every client with every model in every CR of a world, as if that CR went on for ever.

    >>> from gainnet.studies.gairom.arena import arena, scenario_of_regime
    >>> found = overlap(arena(scenario_of_regime("independent", 5), "independent", 0).world)
    >>> bool((found.ratio >= 1).all()), found.fill_rounds
    (True, 1)
    """
    pool, ratios, fills = unsqueeze(world.pool), [], []
    for cr in range(world.scenario.rounds.num_rounds):
        tasks, sensing = world.offers[cr].tasks, world.offers[cr].sensing
        steady, serial = steady_workload(pool, sensing, tasks), serial_workload(pool, sensing, tasks)
        active = serial.samples > 0
        ratios.append(steady.samples[active] / serial.samples[active])
        fills.append(_fill_rounds(pool, sensing, tasks, active))
    return Overlap(torch.cat(ratios), max(fills))


def _fill_rounds(pool: Pool, sensing: Sensing, tasks: Task, active: Tensor) -> int:
    """CRs before what is consumed reaches the steady state, in a world that stands still."""
    steady = steady_workload(pool, sensing, tasks)
    consumed = torch.zeros_like(steady.samples)
    for cr in range(1, 100):
        spent = consumption(pool, tasks, consumed)
        consumed = workload_up_to(pool, spent, sensing, steady).samples
        if bool((consumed >= steady.samples * (1 - _CLOSE))[active].all()):
            return cr
    raise RuntimeError("a steady state must be reached within 100 CRs; this scenario has none")
