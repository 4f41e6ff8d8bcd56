"""The channel of one of several devices: the blocks that the scheduler assigns to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError, check_range, unknown_name
from gainnet.core.randomness import Random
from gainnet.core.types import Symbols
from gainnet.network.scheduler import SCHEDULERS
from gainnet.radio.fading.blocks import independent_blocks
from gainnet.radio.fading.channel import Channel, inner_block_length, transmit_blocks

MAX_DEVICES: Final = 64


def shared_channel(channel: Channel, num_devices: int, scheduler: str) -> Channel:
    """The channel of a device that shares a cell with others of the same statistics.

    Args:
        channel: fading of every device, independent between devices.
        num_devices: how many share the cell, 1 to 64.
        scheduler: `round_robin`, which does not look at the channel, or `proportional_fair`.

    Raises:
        ConfigError: too few or too many devices, an unknown scheduler, or a channel that cannot be shared by blocks.

    >>> from gainnet.radio import Rayleigh
    >>> shared_channel(Rayleigh(), 4, "round_robin")
    Rayleigh(block_length=256)
    """
    check_range(1 <= num_devices <= MAX_DEVICES, "num_devices", num_devices, f"1 to {MAX_DEVICES}")
    if scheduler not in SCHEDULERS:
        raise unknown_name("scheduler", scheduler, SCHEDULERS)
    # Under round robin blocks are as good as any, and those of others are not counted: nothing changes for a device.
    if num_devices == 1 or scheduler == "round_robin":
        return channel
    if channel.block_length < 2:
        raise ConfigError("scheduler: proportional_fair needs fading in blocks; choose round_robin or other fading")
    return BestOf(channel, num_devices)


@final
@dataclass(frozen=True)
class BestOf:
    r"""Blocks that proportional fairness with a long memory gives to one of several devices of equal statistics.

    $h = h_{k^*}, \; k^* = \arg\max_{k \le K} |h_k|$, since all $T_k$ are equal; over Rayleigh fading
    $E|h|^2 = \sum_{k=1}^K 1/k$ (Viswanath, Tse and Laroia 2002, section II)

    Blocks are independent, and those of other devices are not counted. The mean gain is above 1, on purpose.

    Args:
        channel: fading of every device.
        num_devices: $K$ >= 1.

    >>> from gainnet.radio import Rayleigh
    >>> gain = BestOf(Rayleigh(), 4).first_gain(Random.of(range(2000)))
    >>> abs(float(gain.abs().square().mean()) - (1 + 1 / 2 + 1 / 3 + 1 / 4)) < 0.1
    True
    """

    channel: Channel
    num_devices: int

    block_length = property(inner_block_length)
    blocks = property(independent_blocks)

    def first_gain(self, random: Random) -> Tensor:
        """[*batch], gain of the first block that the device gets."""
        return self._best(random, 0)

    def transmit(self, symbols: Tensor, snr: Tensor, gain: Tensor, random: Random) -> Symbols:
        """Faded symbols plus noise; arguments as in `Channel.transmit`."""
        return transmit_blocks(self, symbols, snr, gain, random)

    def block_gains(self, gain: Tensor, num_blocks: int, random: Random) -> Tensor:
        """As `Blockwise.block_gains`."""
        later = [self._best(random, block).to(gain.dtype) for block in range(1, num_blocks)]
        return torch.stack([gain, *later], -1)

    def _best(self, random: Random, block: int) -> Tensor:
        """[*batch], gain of the device whose channel is best in a block."""
        # A stream per device and block: the gains of a device do not depend on how many others there are.
        devices = range(self.num_devices)
        gains = torch.stack([self.channel.first_gain(random.child("device", k, block)) for k in devices], -1)
        return gains.gather(-1, gains.abs().argmax(-1, keepdim=True))[..., 0]
