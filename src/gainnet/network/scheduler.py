"""Schedulers: which device is served in which block of a cell that several devices share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Protocol, final

import torch
from torch import Tensor

from gainnet.core.errors import check_range


class Scheduler(Protocol):
    """Assigns the blocks of a cell to devices."""

    def schedule(self, rate: Tensor) -> Tensor:
        """[*batch, num_blocks], index of the device that each block is assigned to.

        Args:
            rate: [*batch, num_blocks, num_devices], of devices in blocks, in any unit; a scheduler uses rates up to the
                block that it assigns.
        """


@final
@dataclass(frozen=True)
class RoundRobin:
    """One block after the other to each device in turn, independent of the channel.

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
    r"""Each block to the device whose rate is highest relative to its average throughput.

    $k^* = \arg\max_k R_k / T_k$, $T_k \leftarrow (1 - 1/t_c) T_k + \mathbb{1}[k = k^*] R_k / t_c$
    (Viswanath, Tse and Laroia 2002)

    Args:
        memory_blocks: time constant $t_c$ >= 1 of the average throughput.

    Raises:
        ConfigError: the time constant is below one block.

    >>> rate = torch.tensor([[1.0, 9.0], [8.0, 9.0], [1.0, 9.0]])
    >>> ProportionalFair(memory_blocks=2.0).schedule(rate).tolist()
    [1, 0, 1]
    """

    memory_blocks: float = 100.0

    def __post_init__(self) -> None:
        check_range(1.0 <= self.memory_blocks < math.inf, "memory_blocks", self.memory_blocks, "1 or more")

    def schedule(self, rate: Tensor) -> Tensor:
        """As `Scheduler.schedule`."""
        keep = 1.0 - 1.0 / self.memory_blocks
        # Starts where round robin would settle, so that the first blocks are not all given to one device.
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


def throughput(rate: Tensor, served: Tensor) -> Tensor:
    """[*batch, num_devices], mean rate per block of a schedule.

    Args:
        rate: [*batch, num_blocks, num_devices].
        served: [*batch, num_blocks], device of each block, from a scheduler.

    >>> throughput(torch.ones(4, 2), torch.tensor([0, 0, 0, 1])).tolist()
    [0.75, 0.25]
    """
    return (torch.nn.functional.one_hot(served, rate.shape[-1]) * rate).mean(-2)
