"""Who is served in which block when several devices share the time and bandwidth of a cell."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Protocol, final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError, unknown_name


class Scheduler(Protocol):
    """A way to share the blocks of a cell."""

    def schedule(self, rate: Tensor) -> Tensor:
        """[*batch, num_blocks], which device every block belongs to.

        Args:
            rate: [*batch, num_blocks, num_devices], what a device would carry in a block, any unit; the scheduler knows
                rates up to the block that it gives away.
        """


@final
@dataclass(frozen=True)
class RoundRobin:
    """One block after the other to each device in turn, whatever the air is like.

    >>> RoundRobin().schedule(torch.ones(5, 2)).tolist()
    [0, 1, 0, 1, 0]
    """

    def schedule(self, rate: Tensor) -> Tensor:
        """As `Scheduler.schedule`."""
        turn = torch.arange(rate.shape[-2]) % rate.shape[-1]
        return turn.expand(rate.shape[:-1])


@final
@dataclass(frozen=True)
class ProportionalFair:
    r"""Every block to the device that is best against its own past.

    $k^* = \arg\max_k R_k / T_k$, $T_k \leftarrow (1 - 1/t_c) T_k + \mathbb{1}[k = k^*] R_k / t_c$
    (Viswanath, Tse and Laroia 2002)

    Args:
        memory_blocks: time constant $t_c$ >= 1 of the average throughput.

    Raises:
        ConfigError: no memory.

    >>> rate = torch.tensor([[1.0, 9.0], [8.0, 9.0], [1.0, 9.0]])
    >>> ProportionalFair(memory_blocks=2.0).schedule(rate).tolist()
    [1, 0, 1]
    """

    memory_blocks: float = 100.0

    def __post_init__(self) -> None:
        if not 1.0 <= self.memory_blocks < math.inf:
            raise ConfigError(f"memory_blocks: {self.memory_blocks} is out of range; give 1 or more")

    def schedule(self, rate: Tensor) -> Tensor:
        """As `Scheduler.schedule`."""
        keep = 1.0 - 1.0 / self.memory_blocks
        mean = rate.mean(-2).clamp_min(1e-12) / rate.shape[-1]
        chosen = []
        for now in rate.unbind(-2):
            best = (now / mean.clamp_min(1e-12)).argmax(-1)
            chosen.append(best)
            served = torch.nn.functional.one_hot(best, rate.shape[-1]) * now
            mean = keep * mean + (1.0 - keep) * served
        return torch.stack(chosen, -1)


SCHEDULERS: Final[dict[str, Scheduler]] = {"round_robin": RoundRobin(), "proportional_fair": ProportionalFair()}
"""Schedulers by the name that the command line takes."""


def scheduler(name: str) -> Scheduler:
    """The scheduler of a name.

    Raises:
        ConfigError: there is none.
    """
    if name not in SCHEDULERS:
        raise unknown_name("scheduler", name, SCHEDULERS)
    return SCHEDULERS[name]


def throughput(rate: Tensor, served: Tensor) -> Tensor:
    """[*batch, num_devices], mean rate per block of a schedule.

    Args:
        rate: [*batch, num_blocks, num_devices].
        served: [*batch, num_blocks], what a scheduler gave.

    >>> throughput(torch.ones(4, 2), torch.tensor([0, 0, 0, 1])).tolist()
    [0.75, 0.25]
    """
    return (torch.nn.functional.one_hot(served, rate.shape[-1]) * rate).mean(-2)


def completion_blocks(rate: Tensor, served: Tensor, demand: Tensor) -> Tensor:
    """[*batch, num_devices], blocks until each device has what it asked for; `inf` where the blocks do not suffice.

    Args:
        rate: [*batch, num_blocks, num_devices].
        served: [*batch, num_blocks].
        demand: [*batch, num_devices], in the unit of the rate times blocks.

    >>> completion_blocks(torch.ones(4, 2), torch.tensor([0, 1, 0, 1]), torch.tensor([2.0, 1.0])).tolist()
    [3.0, 2.0]
    """
    carried = (torch.nn.functional.one_hot(served, rate.shape[-1]) * rate).cumsum(-2)
    lacks = (carried < demand.unsqueeze(-2) - 1e-9).sum(-2)
    return torch.where(lacks < rate.shape[-2], lacks + 1.0, math.inf)
