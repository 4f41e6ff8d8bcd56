"""Power gains of many episodes at once: where policies are trained and measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.radio.fading.jakes import Jakes
from gainnet.radio.fading.trace import SnrTrace


class Fading(Protocol):
    """A law of power gains over the blocks of an episode."""

    def __call__(self, num_episodes: int, num_blocks: int, random: Random, /) -> Tensor:
        """[num_episodes, num_blocks], |h|^2; `random` is of one item."""


@final
@dataclass(frozen=True)
class RayleighGains:
    """Exponential gains of mean 1, every block its own.

    >>> gains = RayleighGains()(5000, 16, Random.of(0))
    >>> abs(float(gains.mean()) - 1) < 0.02
    True
    """

    def __call__(self, num_episodes: int, num_blocks: int, random: Random) -> Tensor:
        return -torch.log1p(-random.uniform((num_episodes, num_blocks), "rayleigh"))


@final
@dataclass(frozen=True)
class JakesGains:
    r"""Gains of Jakes fading, the Doppler shift of an episode log-uniform between two.

    Args:
        dopplers: smallest and largest $\nu$ per block, above 0 and below 0.5.
        num_groups: Doppler shifts that are drawn at once.

    Raises:
        ConfigError: a Doppler shift is out of range.
    """

    dopplers: tuple[float, float] = (0.025, 0.025)
    num_groups: int = 1

    def __post_init__(self) -> None:
        if not 0.0 < self.dopplers[0] <= self.dopplers[1] < 0.5:
            raise ConfigError(f"dopplers: {self.dopplers} are not above 0, rising and below 0.5 per block")

    def __call__(self, num_episodes: int, num_blocks: int, random: Random) -> Tensor:
        low, high = self.dopplers
        shares = random.uniform((self.num_groups,), "doppler").tolist()
        # Jakes' streams are of items: a number from the given stream starts a range of its own.
        size, first = -(-num_episodes // self.num_groups), int(random.uniform((), "process") * 2**24) * 2**24
        groups = []
        for group, share in enumerate(shares):
            streams = Random.of(range(first + group * size, first + (group + 1) * size))
            blocks = torch.arange(num_blocks).expand(size, -1)
            groups.append(Jakes(doppler=low * (high / low) ** share).gains(streams, blocks).abs().square())
        return torch.cat(groups)[:num_episodes]


@final
@dataclass(frozen=True)
class ShadowedGains:
    r"""Gains of another law times slow log-normal shadowing, unknown to the sender, as of a moving receiver.

    In dB a first-order autoregression (Gudmundson 1991) of standard deviation uniform in `deviations_db` and
    correlation of neighbouring blocks uniform in `correlations`, both drawn per episode.

    Args:
        fast: law of the fast fading.
        deviations_db: least and largest standard deviation.
        correlations: least and largest correlation, 0 to below 1.
    """

    fast: Fading
    deviations_db: tuple[float, float] = (1.0, 8.0)
    correlations: tuple[float, float] = (0.5, 0.99)

    def __call__(self, num_episodes: int, num_blocks: int, random: Random) -> Tensor:
        drawn = random.uniform((2, num_episodes), "shadowing")
        (low, high), (least, most) = self.deviations_db, self.correlations
        deviation_db, correlation = low + (high - low) * drawn[0], least + (most - least) * drawn[1]
        noise = random.normal((num_episodes, num_blocks), "shadowing noise")
        level, levels = noise[:, 0], [noise[:, 0]]
        for block in range(1, num_blocks):
            # The innovation keeps the standard deviation at 1 for any correlation.
            level = correlation * level + (1 - correlation.square()).sqrt() * noise[:, block]
            levels.append(level)
        shadow = 10 ** (deviation_db.unsqueeze(-1) * torch.stack(levels, -1) / 10)
        return self.fast(num_episodes, num_blocks, random) * shadow


@final
@dataclass(frozen=True)
class MixedGains:
    """Episodes of several laws in turn, equally many of each."""

    laws: tuple[Fading, ...]

    def __call__(self, num_episodes: int, num_blocks: int, random: Random) -> Tensor:
        size = -(-num_episodes // len(self.laws))
        parts = [law(size, num_blocks, random.child("law", index)) for index, law in enumerate(self.laws)]
        return torch.stack(parts, 1).flatten(0, 1)[:num_episodes]


@final
@dataclass(frozen=True)
class TraceGains:
    """Gains of a trace, which is time-scaled: a row is one fading block. Episodes start anywhere in it.

    Gains are of unit mean power over the whole trace, so the mean SNR of an episode is the trace's.

    Args:
        trace: SNRs row by row.
    """

    trace: SnrTrace

    def __call__(self, num_episodes: int, num_blocks: int, random: Random) -> Tensor:
        snr = 10 ** (torch.tensor(self.trace.snr_db, dtype=torch.float64) / 10)
        start = (random.uniform((num_episodes, 1), "start").double() * len(snr)).long()
        rows = (start + torch.arange(num_blocks)) % len(snr)
        return (snr / 10 ** (self.trace.mean_snr_db / 10)).float()[rows]


_MOVING = JakesGains((0.003, 0.3), 8)
FADINGS: dict[str, Fading] = {
    "rayleigh": RayleighGains(),
    "jakes": JakesGains(),
    "varied": MixedGains((RayleighGains(), _MOVING, ShadowedGains(_MOVING), ShadowedGains(RayleighGains()))),
}
"""Laws by name; `varied` mixes independent, moving and shadowed fading, to learn for statistics that nobody knows."""
