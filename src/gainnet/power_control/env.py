"""Power control as a Markov decision process: thousands of episodes at once, in torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError, check_range
from gainnet.core.randomness import Random
from gainnet.power_control.fading import Fading
from gainnet.power_control.quality import Reward
from gainnet.radio.power import PEAK, Outlook, block_error


@final
@dataclass(frozen=True)
class Episodes:
    """Gains, SNR and weights of episodes; a policy observes them block by block.

    Args:
        gains: [num_episodes, num_blocks], power gains.
        snr: [num_episodes], linear mean SNR.
        importance: [num_episodes, num_blocks], weights of mean 1.
    """

    gains: Tensor
    snr: Tensor
    importance: Tensor


@final
@dataclass(frozen=True)
class EnvState:
    """Episodes between two blocks; it is immutable, a step makes the next one.

    Args:
        episodes: what was drawn.
        energy: [num_episodes], left, in blocks at mean power.
        powers: [num_episodes, num_sent], what was sent.
        errors: [num_episodes, num_sent], weighted errors of the blocks that were sent.
    """

    episodes: Episodes
    energy: Tensor
    powers: Tensor
    errors: Tensor

    @property
    def block(self) -> int:
        """Number of the block that is decided next."""
        return int(self.errors.shape[-1])

    @property
    def over(self) -> bool:
        """Whether every block was sent."""
        return self.block == self.episodes.gains.shape[-1]


@final
@dataclass(frozen=True)
class Environment:
    r"""The decision process of a sender with a hard energy budget over fading blocks.

        reset --> EnvState --outlook--> what the sender knows --policy--> power
                    |  <-- power [num_episodes], cut to 0 <= p <= min(peak, energy left)
                  step --> EnvState, reward [num_episodes]

    State: gains so far, energy left, blocks left, importance of what is left. A block's error is
    $w_t / (1 + p g \gamma)$.

    Args:
        fading: law of the gains.
        reward: of a block.
        importance: weights of the blocks, at least 1 of them, of mean 1.
        snr_db: least and largest mean SNR, uniform in dB.
        peak: largest power of a block, in units of the mean power.

    Raises:
        ConfigError: a field is out of range.
    """

    fading: Fading
    reward: Reward
    importance: tuple[float, ...] = (1.0,) * 16
    snr_db: tuple[float, float] = (0.0, 20.0)
    peak: float = PEAK

    def __post_init__(self) -> None:
        if not self.importance or not all(0 <= x < float("inf") for x in self.importance):
            raise ConfigError("importance: give a weight >= 0 for each of 1 or more blocks")
        rises = -60 <= self.snr_db[0] <= self.snr_db[1] <= 100
        check_range(rises, "snr_db", self.snr_db, "rising and within -60 to 100 dB")
        check_range(1 <= self.peak < float("inf"), "peak", self.peak, "a multiple of the mean power, 1 or more")

    @property
    def num_blocks(self) -> int:
        return len(self.importance)

    def reset(self, num_episodes: int, random: Random) -> EnvState:
        """Freshly drawn episodes before their first block.

        Args:
            num_episodes: how many, >= 1.
            random: streams of one item.

        >>> from gainnet.power_control.fading import RayleighGains
        >>> from gainnet.power_control.quality import LatentReward
        >>> env = Environment(RayleighGains(), LatentReward())
        >>> moment, reward = env.step(env.reset(2, Random.of(1)), torch.tensor([9.0, 1.0]))
        >>> moment.energy, bool(reward[1] == 0)
        (tensor([12., 15.]), True)
        """
        low, high = self.snr_db
        snr_db = low + (high - low) * random.uniform((num_episodes,), "snr")
        gains = self.fading(num_episodes, self.num_blocks, random.child("fading"))
        return begin(Episodes(gains, 10 ** (snr_db / 10), torch.tensor(self.importance).expand(num_episodes, -1)))

    def outlook(self, moment: EnvState) -> Outlook:
        """The sender's knowledge before the next block; raises `ConfigError` when there is none."""
        if moment.over:
            raise ConfigError("environment: every block was sent; reset it")
        drawn, block = moment.episodes, moment.block
        seen, left = drawn.gains[..., : block + 1], drawn.importance[..., block:]
        return Outlook(seen, drawn.snr, moment.energy, left, moment.errors.sum(-1), self.peak)

    def step(self, moment: EnvState, power: Tensor) -> tuple[EnvState, Tensor]:
        """The state after a block was sent, and its reward [num_episodes].

        Args:
            moment: before the block.
            power: [num_episodes], in units of the mean power; cut to what is allowed.

        Raises:
            ConfigError: every block was sent, or powers have a wrong shape or are not finite.
        """
        outlook = self.outlook(moment)
        if power.shape != moment.energy.shape or not bool(power.isfinite().all()):
            raise ConfigError(f"environment: give a finite power for each of {tuple(moment.energy.shape)} episodes")
        drawn, block = moment.episodes, moment.block
        # A policy may ask for anything; the budget is hard.
        spent = torch.minimum(power.clamp(0, self.peak), moment.energy)
        error = drawn.importance[..., block] * block_error(spent, outlook.gain, drawn.snr)
        after = replace(
            moment,
            energy=(moment.energy - spent).clamp_min(0),
            powers=torch.cat([moment.powers, spent.unsqueeze(-1)], -1),
            errors=torch.cat([moment.errors, error.unsqueeze(-1)], -1),
        )
        # A baseline over the same gains: it takes the luck of the fading out of the reward.
        static = static_errors(drawn)[..., : after.block]
        return after, self.reward(after.errors, static, drawn.snr, after.over)


def begin(episodes: Episodes) -> EnvState:
    """The moment before the first block: a whole budget, nothing sent."""
    nothing = episodes.gains[..., :0]
    energy = torch.full_like(episodes.snr, float(episodes.gains.shape[-1]))
    return EnvState(episodes, energy, nothing, nothing)


def static_errors(episodes: Episodes) -> Tensor:
    """[num_episodes, num_blocks], weighted errors at constant power."""
    return episodes.importance * block_error(torch.ones(()), episodes.gains, episodes.snr.unsqueeze(-1))
