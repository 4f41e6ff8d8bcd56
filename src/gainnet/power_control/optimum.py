r"""Optimal powers: of a sender that knows the future (non-causal), and of the best one that does not (causal)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.radio.power import Outlook, block_error

_HALVINGS = 60
_SEARCHES = 26


def water_filling(multiplier: Tensor, gains: Tensor, snr: Tensor, importance: Tensor, peak: float) -> Tensor:
    r"""[*batch, num_blocks], power of every block when energy costs so much.

    $p_t = [\sqrt{w_t / (\nu g_t \gamma)} - 1 / (g_t \gamma)]^+$ cut at $P_{\max}$: the derivative of
    $w_t / (1 + p_t g_t \gamma)$ is $-\nu$ there.

    Args:
        multiplier: [*batch], price $\nu$ > 0 of a block's energy at mean power.
        gains: [*batch, num_blocks], power gains $g_t$.
        snr: [*batch], linear mean SNR $\gamma$.
        importance: [*batch, num_blocks], weights $w_t$ >= 0.
        peak: $P_{\max}$.

    >>> water_filling(torch.tensor(0.25), torch.ones(2), torch.tensor(1.0), torch.tensor([1.0, 4.0]), 9.0)
    tensor([1., 3.])
    """
    # A deep fade would divide by zero; at 1e-12 its power is 0 in any case.
    received = (gains * snr.unsqueeze(-1)).clamp_min(1e-12)
    power = (importance / (multiplier.unsqueeze(-1) * received)).sqrt() - 1 / received
    return power.clamp(0, peak)


def price(
    gains: Tensor, snr: Tensor, importance: Tensor, energy: Tensor, peak: float, num_halvings: int = _HALVINGS
) -> Tensor:
    r"""[*batch], the multiplier $\nu$ at which known blocks take exactly the energy; smaller where they cannot.

    Args:
        gains: [*batch, num_blocks], power gains.
        snr: [*batch], linear mean SNR.
        importance: [*batch, num_blocks], weights.
        energy: [*batch], what there is to spend.
        peak: largest power of a block.
        num_halvings: of the interval in which $\ln \nu$ lies, about 60 wide.
    """
    # A block starts to take energy at w g gamma and is at its peak from w g gamma / (1 + P g gamma)^2 on.
    steep = (importance * gains * snr.unsqueeze(-1)).clamp_min(1e-12)
    high = steep.amax(-1).log()
    low = (steep / (1 + peak * gains * snr.unsqueeze(-1)).square()).amin(-1).log() - 1
    for _ in range(num_halvings):
        middle = (low + high) / 2
        cheap = water_filling(middle.exp(), gains, snr, importance, peak).sum(-1) > energy
        low, high = torch.where(cheap, middle, low), torch.where(cheap, high, middle)
    return high.exp()


def non_causal_powers(gains: Tensor, snr: Tensor, importance: Tensor, peak: float) -> Tensor:
    r"""[*batch, num_blocks], powers of a sender that knows all gains: the solution of a convex problem.

    $\min \sum_t w_t / (1 + p_t g_t \gamma)$ subject to $0 \le p_t \le P_{\max}$, $\sum_t p_t \le T$; by its conditions
    of optimality `water_filling` at the multiplier that spends the budget (Boyd and Vandenberghe 2004, section 5.5.3).

    Args:
        gains: [*batch, num_blocks], power gains.
        snr: [*batch], linear mean SNR.
        importance: [*batch, num_blocks], weights >= 0.
        peak: largest power of a block, in units of the mean power.

    >>> non_causal_powers(torch.ones(1, 2), torch.ones(1), torch.tensor([[1.0, 4.0]]), 2.0)
    tensor([[0.3333, 1.6667]])
    """
    wide = gains.double(), snr.double(), importance.double()
    energy = torch.full_like(wide[1], float(gains.shape[-1]))
    return water_filling(price(*wide, energy, peak), *wide, peak).to(gains.dtype)


@final
@dataclass(frozen=True)
class Chain:
    """A Markov chain of power gains.

    Args:
        nodes: [num_nodes], gains, increasing.
        transition: [num_nodes, num_nodes], probability of the next block's node (column) given the current one's (row).
    """

    nodes: Tensor
    transition: Tensor

    @staticmethod
    def rayleigh(num_nodes: int = 48) -> Chain:
        """Exponential gains, every block its own: Gauss-Legendre nodes of the probability.

        >>> chain = Chain.rayleigh()
        >>> round(float(chain.transition[0] @ chain.nodes), 2)
        1.0
        """
        places, weights = (torch.from_numpy(x) for x in np.polynomial.legendre.leggauss(num_nodes))
        nodes = -torch.log1p(-(places + 1) / 2)
        return Chain(nodes, (weights / 2).expand(num_nodes, num_nodes))

    @staticmethod
    def fitted(gains: Tensor, num_nodes: int = 32) -> Chain:
        """The chain of sequences [num_sequences, num_blocks]: equally likely bins, and how often one follows another.

        >>> chain = Chain.fitted(torch.tensor([[1.0, 2.0] * 8]), 2)
        >>> bool(chain.transition[0, 1] > 0.9)
        True
        """
        # Equally likely bins resolve the gains where most blocks are.
        edges = torch.quantile(gains.double().flatten()[:1_000_000], torch.linspace(0, 1, num_nodes + 1).double())
        bins = torch.bucketize(gains.double().contiguous(), edges[1:-1])
        ones = torch.ones(bins.numel(), dtype=torch.float64)
        counts = torch.zeros(num_nodes, dtype=torch.float64).index_add(0, bins.flatten(), ones)
        sums = torch.zeros(num_nodes, dtype=torch.float64).index_add(0, bins.flatten(), gains.double().flatten())
        pairs = (bins[:, :-1] * num_nodes + bins[:, 1:]).flatten()
        follow = torch.bincount(pairs, minlength=num_nodes**2).double().reshape(num_nodes, num_nodes)
        # A bin that was met once or never goes on as all of them do.
        follow = follow + counts / counts.sum()
        return Chain(sums / counts.clamp_min(1), follow / follow.sum(-1, keepdim=True))

    def nearest(self, gains: Tensor) -> Tensor:
        """[...], int64, index of the node that is nearest in ln g."""
        logs = self.nodes.clamp_min(1e-12).log()
        middles = ((logs[1:] + logs[:-1]) / 2).exp()
        return torch.bucketize(gains.double().contiguous(), middles)


@final
@dataclass(frozen=True)
class CausalOptimum:
    r"""The best causal powers where gains are a Markov chain: backward dynamic programming on (block, energy, gain).

    $V_t(E, g) = \min_{0 \le p \le \min(P_{\max}, E)} \frac{w_t}{1 + p g \gamma}
    + \mathrm{E}[V_{t+1}(E - p, g') \mid g], \quad V_{T+1} = 0$   (Bellman 1957)

    V is convex in E, so the derivative of what is minimised rises with p and its root is found by bisection. Exact up
    to the grids for gains that are independent (or a chain); for others a rule like any other.

    Args:
        chain: of the gains.
        snr: linear mean SNR $\gamma$.
        importance: [num_blocks], weights $w_t$.
        peak: $P_{\max}$, in units of the mean power.
        energies: [num_energies], grid of E, from 0.
        expected: [num_blocks, num_nodes, num_energies], $\mathrm{E}[V_{t+1}(E, g') \mid g]$.
        mean_error: $\mathrm{E} V_1(T, g) / T$, the mean weighted error that the rule reaches.
    """

    chain: Chain
    snr: float
    importance: Tensor
    peak: float
    energies: Tensor
    expected: Tensor
    mean_error: float

    @staticmethod
    def solve(chain: Chain, snr: float, importance: Tensor, peak: float, per_block: int = 16) -> CausalOptimum:
        """The tables of the rule.

        Args:
            chain: of the gains.
            snr: linear mean SNR > 0.
            importance: [num_blocks], weights >= 0.
            peak: largest power of a block.
            per_block: grid points per unit of energy; the grid is denser where energy is scarce.

        Raises:
            ConfigError: there are no blocks.
        """
        num_blocks, num_nodes = len(importance), len(chain.nodes)
        if num_blocks < 1:
            raise ConfigError("importance: there are no blocks; give one weight for each")
        # Squared spacing: values bend most where little energy is left.
        energies = num_blocks * torch.linspace(0, 1, per_block * num_blocks + 1, dtype=torch.float64).square()
        expected = torch.zeros(num_blocks, num_nodes, len(energies), dtype=torch.float64)
        row = torch.arange(num_nodes).unsqueeze(-1).expand(num_nodes, len(energies))
        energy, gain = energies.expand(num_nodes, -1), chain.nodes.unsqueeze(-1).expand(row.shape)
        value = torch.zeros_like(energy)
        for block in reversed(range(num_blocks)):
            if block + 1 < num_blocks:
                expected[block] = chain.transition @ value
            later = _Curves(energies, expected[block], row)
            power = _best_power(later, energy, gain * snr, importance[block].double(), peak)
            value = importance[block] * block_error(power, gain, torch.tensor(snr)) + later.value(energy - power)
        mean_error = float(_stationary(chain) @ value[:, -1]) / num_blocks
        return CausalOptimum(chain, snr, importance, peak, energies, expected, mean_error)

    def __call__(self, outlook: Outlook) -> Tensor:
        block = len(self.importance) - outlook.num_left
        row, energy = self.chain.nearest(outlook.gain), outlook.energy.double()
        later = _Curves(self.energies, self.expected[block], row)
        received = outlook.gain.double() * outlook.snr.double()
        return _best_power(later, energy, received, self.importance[block].double(), self.peak).to(outlook.gain.dtype)


@final
@dataclass(frozen=True)
class _Curves:
    """Convex functions of the energy on a common grid, linear between its points.

    energies: [num_energies]; values: [num_curves, num_energies]; row: [...], which curve.
    """

    energies: Tensor
    values: Tensor
    row: Tensor

    def value(self, energy: Tensor) -> Tensor:
        """[...], of each one's curve."""
        place, share = self._place(energy)
        return torch.lerp(self.values[self.row, place], self.values[self.row, place + 1], share)

    def slope(self, energy: Tensor) -> Tensor:
        """[...], derivative, itself linear between the middles of the grid so that it does not jump."""
        rises = self.values.diff(dim=-1) / self.energies.diff()
        middles = (self.energies[1:] + self.energies[:-1]) / 2
        place = (torch.bucketize(energy, middles) - 1).clamp(0, len(middles) - 2)
        share = ((energy - middles[place]) / (middles[place + 1] - middles[place])).clamp(-1, 2)
        return torch.lerp(rises[self.row, place], rises[self.row, place + 1], share).clamp_max(0)

    def _place(self, energy: Tensor) -> tuple[Tensor, Tensor]:
        last = len(self.energies) - 2
        # The grid is quadratic, so that the place is a root.
        place = ((energy / self.energies[-1]).clamp(0, 1).sqrt() * (last + 1)).long().clamp(0, last)
        return place, (energy - self.energies[place]) / (self.energies[place + 1] - self.energies[place])


def _best_power(later: _Curves, energy: Tensor, received: Tensor, importance: Tensor, peak: float) -> Tensor:
    """[...], the power at which a unit of energy is worth as much now as later."""
    low, high = torch.zeros_like(energy), energy.clamp_max(peak)
    for _ in range(_SEARCHES):
        middle = (low + high) / 2
        now = importance * received / (1 + middle * received).square()
        more = now + later.slope(energy - middle) > 0
        low, high = torch.where(more, middle, low), torch.where(more, high, middle)
    return (low + high) / 2


def _stationary(chain: Chain) -> Tensor:
    """[num_nodes], distribution that the chain keeps."""
    kept: Tensor = torch.linalg.matrix_power(chain.transition, 256)
    return kept[0]
