"""Rules for the power of a block that need no training: from constant power to a price that is set anew every block."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, final

import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.power_control.optimum import Chain, water_filling
from gainnet.radio.power import PEAK, Outlook, block_error, spend

_CUTS: Final = 40
_LATER, _LATER_SNR, _LATER_POWER = 0.6, 30.0, 0.4
_TUNING: Final = 7
_EPISODES: Final = 2000


@final
@dataclass(frozen=True)
class Static:
    """Constant power: what is left in equal parts.

    >>> one = torch.tensor(1.0)
    >>> float(Static()(Outlook(torch.ones(1), one, 3 * one, torch.ones(2), 0 * one, 4.0)))
    1.5
    """

    def __call__(self, outlook: Outlook) -> Tensor:
        return outlook.energy / outlook.num_left


@final
@dataclass(frozen=True)
class Greedy:
    """As much as is allowed, now: the least error of this block, whatever comes.

    >>> import torch
    >>> from gainnet.radio.power import Outlook
    >>> one = torch.ones(1)
    >>> outlook = Outlook(torch.tensor([[1.5]]), 10 * one, 3 * one, torch.ones(1, 3), 0 * one, peak=4.0)
    >>> Greedy()(outlook), Replanned()(outlook).round(decimals=2)
    (tensor([3.]), tensor([0.7200]))
    """

    def __call__(self, outlook: Outlook) -> Tensor:
        return outlook.energy.clamp_max(outlook.peak)


@final
@dataclass(frozen=True)
class TruncatedInversion:
    r"""Channel inversion above a cut-off: every block that is sent arrives at the same SNR.

    $p = c / g$ for $g \ge g_0$, else 0 (Goldsmith and Varaiya 1997, section IV-C), cut at $P_{\max}$; $c$ spends the
    mean power over Rayleigh fading, and $g_0$ is the one with the least mean error at the mean SNR.

    >>> import torch
    >>> from gainnet.radio.power import Outlook
    >>> def seen(gain: float) -> Outlook:
    ...     one = torch.ones(1)
    ...     return Outlook(torch.tensor([[gain]]), 10 * one, 3 * one, torch.ones(1, 3), 0 * one, peak=4.0)
    >>> powers = [float(TruncatedInversion()(seen(gain))) for gain in (0.01, 1.0, 2.0)]
    >>> powers[0], round(powers[1] / powers[2], 3)  # nothing in a deep fade, half the power at twice the gain
    (0.0, 2.0)
    """

    def __call__(self, outlook: Outlook) -> Tensor:
        cut, level = _by_snr(outlook.snr, lambda snr_db: best_inversion(snr_db, outlook.peak))
        return torch.where(outlook.gain >= cut, level / outlook.gain.clamp_min(1e-12), 0.0)


@final
@dataclass(frozen=True)
class FixedMultiplier:
    """One price of energy for all blocks, until the energy is gone; the best one for Rayleigh fading at the mean SNR.

    The last blocks take at least what would be lost otherwise.
    """

    def __call__(self, outlook: Outlook) -> Tensor:
        def best(snr_db: float) -> tuple[float]:
            return (best_price(snr_db, outlook.num_left + outlook.gains.shape[-1] - 1, outlook.peak),)

        (multiplier,) = _by_snr(outlook.snr, best)
        return powers_at(outlook, multiplier.log())


@final
@dataclass(frozen=True)
class MeanGain:
    """The non-causal optimum for what is left if all later blocks had the mean gain 1; planned anew before every block.

    Certainty equivalence (Bertsekas 2017, section 6.2). Policies that learn start from its price.
    """

    def __call__(self, outlook: Outlook) -> Tensor:
        return powers_at(outlook, replanned_price(outlook, torch.ones_like(outlook.snr)).log())


@final
@dataclass(frozen=True)
class Replanned:
    r"""As `MeanGain`, but later blocks are thought to be worse than the mean, the more so the less noise there is.

    $\bar g = 0.6 (1 + \gamma / 30)^{-0.4}$, read off the tables of the causal optimum for Rayleigh fading of 0 to 20 dB
    and blocks that matter alike: where noise is small, errors come from fades, so that is what energy is kept for.
    """

    def __call__(self, outlook: Outlook) -> Tensor:
        later = _LATER * (1 + outlook.snr / _LATER_SNR).pow(-_LATER_POWER)
        return powers_at(outlook, replanned_price(outlook, later).log())


def powers_at(outlook: Outlook, log_price: Tensor) -> Tensor:
    """[*batch], power of the current block at a price of energy, and at least what would be lost otherwise.

    Args:
        outlook: what the sender knows.
        log_price: [*batch], natural logarithm of the multiplier.
    """
    now = (outlook.gain.unsqueeze(-1), outlook.snr, outlook.importance[..., :1], outlook.peak)
    return at_least_spendable(water_filling(log_price.exp(), *now).squeeze(-1), outlook)


def replanned_price(outlook: Outlook, later: Tensor) -> Tensor:
    r"""[*batch], multiplier at which the current block and later ones of one gain share the energy, without peaks.

    $p_s = \sqrt{w_s / (g_s \gamma)} \Lambda - 1 / (g_s \gamma)$ for the blocks with the largest $w_s g_s$, as many as
    keep powers positive, $\Lambda = (E + \sum 1 / (g_s \gamma)) / \sum \sqrt{w_s / (g_s \gamma)}$, and
    $\nu = \Lambda^{-2}$.

    Args:
        outlook: what the sender knows.
        later: [*batch], gain > 0 that all later blocks are thought to have.
    """
    received = (later * outlook.snr).unsqueeze(-1).expand(outlook.importance.shape)
    # The current block with its own gain, the later ones with the gain that is assumed for them.
    received = torch.cat([(outlook.gain * outlook.snr).unsqueeze(-1), received[..., 1:]], -1).clamp_min(1e-6)
    weighted, order = (outlook.importance * received).clamp_min(1e-12).sqrt().sort(-1, descending=True)
    noise = 1 / received.gather(-1, order)
    # Nothing left to spend has no price; a little keeps it finite.
    levels = (outlook.energy.clamp_min(1e-3).unsqueeze(-1) + noise.cumsum(-1)) / (weighted * noise).cumsum(-1)
    active = (weighted * levels > 1).sum(-1, keepdim=True).clamp_min(1)
    return levels.gather(-1, active - 1).squeeze(-1).pow(-2)


def at_least_spendable(power: Tensor, outlook: Outlook) -> Tensor:
    """[*batch], power raised to what later blocks could not spend at their peaks, cut to what is allowed."""
    least = (outlook.energy - outlook.peak * (outlook.num_left - 1)).clamp_min(0)
    return torch.minimum(power.maximum(least), outlook.energy).clamp(0, outlook.peak)


@lru_cache(maxsize=1024)
def best_price(snr_db: float, num_blocks: int, peak: float = PEAK) -> float:
    """The fixed multiplier with the least mean error over drawn Rayleigh fading, blocks alike.

    >>> best_price(0.0, 4) > best_price(20.0, 4)
    True
    """
    gains = -torch.log1p(-Random.of(_TUNING).uniform((_EPISODES, num_blocks), "gains"))
    snr, importance = torch.full((_EPISODES,), 10 ** (snr_db / 10)), torch.ones_like(gains)

    def error(log_price: float) -> float:
        def fixed(outlook: Outlook) -> Tensor:
            return powers_at(outlook, torch.full_like(outlook.gain, log_price))

        powers = spend(fixed, gains, snr, importance, peak)
        return float(block_error(powers, gains, snr.unsqueeze(-1)).mean())

    # What spends the mean power at one gain lies in the middle of what is tried.
    middle = math.log(float(snr[0]) / (1 + float(snr[0])) ** 2)
    tried = [middle + 3 * step / 16 for step in range(-8, 25)]
    return math.exp(min(tried, key=error))


@lru_cache(maxsize=1024)
def best_inversion(snr_db: float, peak: float = PEAK) -> tuple[float, float]:
    """Cut-off and level of truncated inversion with the least mean error over Rayleigh fading at the mean power.

    >>> cut, level = best_inversion(10.0)
    >>> 0 < cut < 1 and level > 0
    True
    """
    chain, snr = Chain.rayleigh(256), torch.tensor(10 ** (snr_db / 10), dtype=torch.float64)
    found = []
    for cut in torch.logspace(-3, 0.3, _CUTS, dtype=torch.float64).tolist():
        sent = chain.nodes >= cut
        low, high = 0.0, 100.0
        for _ in range(50):
            level = (low + high) / 2
            powers = torch.where(sent, (level / chain.nodes).clamp_max(peak), 0.0)
            low, high = (low, level) if float(chain.transition[0] @ powers) > 1 else (level, high)
        powers = torch.where(sent, (low / chain.nodes).clamp_max(peak), 0.0)
        found.append((float(chain.transition[0] @ block_error(powers, chain.nodes, snr)), cut, low))
    return min(found)[1:]


def _by_snr(snr: Tensor, numbers: Callable[[float], tuple[float, ...]]) -> tuple[Tensor, ...]:
    """Numbers [*batch] that depend on the mean SNR, computed once per tenth of a dB."""
    # Rounded to tenths of a dB, so that numbers are searched for once per level and remembered.
    tenths = (100 * snr.double().clamp_min(1e-9).log10()).round().long()
    known, place = tenths.unique(return_inverse=True)
    table = torch.tensor([numbers(x / 10) for x in known.tolist()], dtype=snr.dtype)
    return tuple(table[place].unbind(-1))
