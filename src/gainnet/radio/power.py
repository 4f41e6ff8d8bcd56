"""Transmit power that follows the fading: policies choose it block by block, a channel applies it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, final, runtime_checkable

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError, check_range
from gainnet.core.randomness import Random
from gainnet.core.types import Symbols
from gainnet.radio.fading.blocks import independent_blocks
from gainnet.radio.fading.channel import Channel, block_fading, inner_block_length, inner_first_gain

PEAK = 4.0
"""Default of the largest power of a block over the mean one."""


@final
@dataclass(frozen=True)
class Outlook:
    """Causal knowledge of a sender before it sends a block.

    Args:
        gains: [*batch, num_seen], power gains $|h|^2$ of the blocks so far, the current one last.
        snr: [*batch], mean received Es/N0 at mean power, linear.
        energy: [*batch], energy left >= 0, in units of a block at mean power.
        importance: [*batch, num_left], weights of the blocks that are left, the current one first, >= 0.
        error: [*batch], weighted squared error of the blocks so far.
        peak: largest power of a block, in units of the mean power.

    >>> from gainnet.radio.power import Outlook
    >>> one = torch.ones(1)
    >>> outlook = Outlook(torch.tensor([[0.2, 1.5]]), 10 * one, 2 * one, torch.ones(1, 3), 0 * one, PEAK)
    >>> outlook.gain, outlook.num_left
    (tensor([1.5000]), 3)
    >>> def proportional(outlook: Outlook) -> torch.Tensor:
    ...     return outlook.energy / outlook.num_left * outlook.gain
    >>> proportional(outlook)
    tensor([1.])
    """

    gains: Tensor
    snr: Tensor
    energy: Tensor
    importance: Tensor
    error: Tensor
    peak: float

    @property
    def gain(self) -> Tensor:
        """[*batch], power gain of the current block."""
        return self.gains[..., -1]

    @property
    def num_left(self) -> int:
        """Blocks that are left, the current one included."""
        return int(self.importance.shape[-1])


class PowerPolicy(Protocol):
    """A choice of the power of a block from the gains up to it."""

    def __call__(self, outlook: Outlook, /) -> Tensor:
        """[*batch], power of the current block in units of the mean power; cut to what is allowed."""


@runtime_checkable
class Spending(Protocol):
    """A channel whose sender does not always send at mean power."""

    def transmit_counting(self, symbols: Tensor, snr: Tensor, gain: Tensor, random: Random) -> tuple[Symbols, Tensor]:
        """As `Channel.transmit`, and [*batch], the energy that it took over that at mean power."""


def transmit_with_energy(
    channel: Channel, symbols: Tensor, snr: Tensor, gain: Tensor, random: Random
) -> tuple[Symbols, Tensor]:
    """As `Channel.transmit`, and [*batch], the energy that it took over that at mean power.

    Args:
        channel: any channel.
        symbols: [*batch, num_symbols], complex.
        snr: [*batch], mean Es/N0, linear.
        gain: [*batch], gain of the first block.
        random: streams of this transmission.
    """
    if isinstance(channel, Spending):
        return channel.transmit_counting(symbols, snr, gain, random)
    return channel.transmit(symbols, snr, gain, random), torch.ones(random.batch)


def block_error(power: Tensor, gain: Tensor, snr: Tensor) -> Tensor:
    r"""[...], mean squared error of unit-power symbols behind a linear MMSE receiver.

    $1 / (1 + p |h|^2 \gamma)$   (Kay 1993, Estimation Theory, section 12)

    Args:
        power: [...], power $p$ of the symbols, in units of the mean power.
        gain: [...], power gain $|h|^2$.
        snr: [...], mean Es/N0 $\gamma$, linear.

    >>> float(block_error(torch.tensor(3.0), torch.tensor(0.5), torch.tensor(2.0)))
    0.25
    """
    return 1 / (1 + power * gain * snr)


def spend(
    policy: PowerPolicy, gains: Tensor, snr: Tensor, importance: Tensor, peak: float, lengths: Tensor | None = None
) -> Tensor:
    r"""[*batch, num_blocks], powers that a policy chooses one after the other, never above peak or budget.

    $0 \le p_t \le P_{\max}, \quad \sum_t p_t \tau_t \le \sum_t \tau_t$: a whole block at mean power takes the energy 1.

    Args:
        policy: sees gains up to the current block only.
        gains: [*batch, num_blocks], power gains.
        snr: [*batch], linear mean SNR.
        importance: [*batch, num_blocks], weights of the blocks.
        peak: largest power of a block, in units of the mean power.
        lengths: [num_blocks], durations $\tau_t$ in whole blocks; all 1 when `None`.

    >>> def eager(outlook: Outlook) -> Tensor:
    ...     return torch.full_like(outlook.gain, 9.0)
    >>> spend(eager, torch.ones(1, 4), torch.ones(1), torch.ones(1, 4), peak=3.0)
    tensor([[3., 1., 0., 0.]])
    """
    lengths = torch.ones(gains.shape[-1]) if lengths is None else lengths
    energy = torch.full_like(snr, float(lengths.sum()))
    error, powers = torch.zeros_like(snr), []
    for block, length in enumerate(lengths.tolist()):
        # Policies know whole blocks only: the energy is scaled as if the blocks that are left were whole.
        scaled = energy * (len(lengths) - block) / float(lengths[block:].sum())
        outlook = Outlook(gains[..., : block + 1], snr, scaled, importance[..., block:], error, peak)
        power = torch.minimum(policy(outlook).clamp(0, peak), energy / length)
        energy = (energy - power * length).clamp_min(0)
        error = error + importance[..., block] * block_error(power, outlook.gain, snr)
        powers.append(power)
    return torch.stack(powers, -1)


@final
@dataclass(frozen=True)
class Powered:
    r"""A block-fading channel whose sender follows a power policy, causally, within the energy of the code.

    symbols --> [ unit power per block ] --> [ power of the policy ] --> channel --> received, gain $h \sqrt{p / m}$

    A code may give its blocks unequal power $m_t$ on purpose. This is taken as the best split if all gains were the
    $g$ that it was made for, so that a block has the weight $w_t = (1 + m_t g \gamma)^2$, for which equal derivatives
    of $w_t / (1 + p g \gamma)$ give $p_t = m_t$. Blocks of a code of unit power have equal weights. The receiver knows
    the product of fading and power, as from pilots that are sent at the power of the block.

    Args:
        channel: block fading, see `Blockwise`.
        policy: decides the power of a block when its gain is known.
        peak: largest power of a block, in units of the mean power.
        importance: weights of the blocks, in turn; from the powers of the code if empty.

    Raises:
        ConfigError: the channel has no block fading, or the peak is below the mean power.

    >>> from gainnet.radio.fading.rayleigh import Rayleigh
    >>> def halves(outlook: Outlook) -> Tensor:
    ...     return outlook.energy / 2
    >>> random, quiet = Random.of([1]), torch.tensor([float(1e9)])
    >>> sent, channel = torch.ones(1, 4, dtype=torch.complex64), Rayleigh(2)
    >>> received = Powered(channel, halves).transmit(sent, quiet, channel.first_gain(random), random)
    >>> plain = channel.transmit(sent, quiet, channel.first_gain(random), random)
    >>> (received.gain / plain.gain).abs().square()
    tensor([[1.0000, 1.0000, 0.5000, 0.5000]])
    """

    channel: Channel
    policy: PowerPolicy
    peak: float = PEAK
    importance: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        block_fading(self.channel, "power")
        check_range(1.0 <= self.peak < float("inf"), "power.peak", self.peak, "finite and 1 or more")

    block_length = property(inner_block_length)
    # Reports are about the first gain alone, so blocks count as independent whatever the channel inside does.
    blocks = property(independent_blocks)
    first_gain = inner_first_gain

    def transmit(self, symbols: Tensor, snr: Tensor, gain: Tensor, random: Random) -> Symbols:
        """Symbols at the powers that the policy chose; arguments as in `Channel.transmit`."""
        return self.transmit_counting(symbols, snr, gain, random)[0]

    def transmit_counting(self, symbols: Tensor, snr: Tensor, gain: Tensor, random: Random) -> tuple[Symbols, Tensor]:
        """As `Spending.transmit_counting`."""
        block = torch.arange(symbols.shape[-1]) // self.block_length
        lengths = torch.bincount(block).float()
        gains = block_fading(self.channel, "power").block_gains(gain, len(lengths), random).abs().square()
        # Detached: a code is trained through the channel, but not through the choices of a policy.
        power = symbols.detach().abs().square().float()
        energies = torch.zeros(*symbols.shape[:-1], len(lengths)).index_add(-1, block, power)
        planned, mean = energies / lengths, energies.sum(-1, keepdim=True) / lengths.sum()
        # In units of the mean power of the code, since a policy knows no other.
        own_snr = snr.unsqueeze(-1) * mean
        importance = self._importance(planned / mean, own_snr * gains[..., :1])
        shares = lengths / self.block_length
        powers = mean * spend(self.policy, gains, own_snr[..., 0], importance, self.peak, shares)
        factor = torch.where(planned > 0, powers / planned.clamp_min(1e-12), 0.0).sqrt()[..., block]
        factor = factor.to(symbols.real.dtype)
        received = self.channel.transmit(symbols * factor, snr, gain, random)
        # A block in which the code sends nothing takes no energy, whatever power the policy gives it.
        sent = (torch.where(planned > 0, powers, 0.0) * lengths).sum(-1)
        energy = sent / (planned * lengths).sum(-1).clamp_min(1e-12)
        return replace(received, gain=received.gain * factor), energy

    def _importance(self, shares: Tensor, received: Tensor) -> Tensor:
        """[*batch, num_blocks], weights from powers of blocks over their mean and the SNR of the first block."""
        num, given = shares.shape[-1], len(self.importance)
        if self.importance:
            if given < num:
                raise ConfigError(
                    f"power.importance: {given} weights do not suffice; must be one for each of {num} blocks"
                )
            return torch.tensor(self.importance[:num]).expand(shares.shape)
        # Beyond 60 dB the weights of blocks would differ by more than single precision holds.
        weights = torch.where(shares > 0, (1 + shares * received.clamp(1e-6, 1e6)).square(), 0.0)
        return weights / weights.mean(-1, keepdim=True)
