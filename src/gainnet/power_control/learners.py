"""Algorithms that learn how much power a block gets, each with the way in which it plays episodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, final

import torch
from torch import Tensor, nn

from gainnet.agents.pathwise import Pathwise, PathwiseSettings
from gainnet.agents.policy_run import Agent
from gainnet.agents.ppo import Ppo, PpoSettings
from gainnet.agents.replay import Remembering, Replay
from gainnet.agents.sac import ContinuousSac, ContinuousSacSettings
from gainnet.power_control.env import Environment, EnvState
from gainnet.power_control.features import before_gain, observe
from gainnet.power_control.learned import perceptron, powers_of_action
from gainnet.power_control.tasks import Task


class Learner(Protocol):
    """An algorithm that plays episodes and learns from them."""

    @property
    def agent(self) -> Agent:
        """The agent that learns, with its replay memory."""

    def advance(self, moment: EnvState, source: torch.Generator, factor: float) -> dict[str, float]:
        """One iteration from fresh episodes; the losses and the mean `reward` of an episode."""


def _blocks(
    env: Environment, features: tuple[str, ...], moment: EnvState, act: Callable[[Tensor], tuple[Tensor, ...]]
) -> Iterator[tuple[Tensor, tuple[Tensor, ...], Tensor]]:
    """Observation, action (with what else `act` returns) and reward of every block, until the episodes are over."""
    while not moment.over:
        outlook = env.outlook(moment)
        seen = observe(outlook, features)
        acted = act(seen)
        moment, reward = env.step(moment, powers_of_action(outlook, acted[0].squeeze(-1)))
        yield seen, acted, reward


@final
class PpoLearner:
    """Plays whole episodes with the policy as it is, then updates on them."""

    def __init__(self, task: Task, width: int, rate: float) -> None:
        inputs = len(task.features)
        self.task, self.env = task, task.environment()
        actor, critic, after = (perceptron(inputs, width, 1) for _ in range(3))
        self.agent = Ppo(actor, critic, after, PpoSettings(rate=rate))

    def advance(self, moment: EnvState, source: torch.Generator, factor: float) -> dict[str, float]:
        features, agent = self.task.features, self.agent
        blocks = _blocks(self.env, features, moment, lambda seen: agent.act(seen, source))
        seen, acted, rewards = zip(*blocks, strict=True)
        actions, log_probs = zip(*acted, strict=True)
        # The value after a block is learned from what is known before the gain of the next one is.
        after = (*(before_gain(x, features) for x in seen[1:]), torch.zeros_like(seen[0]))
        columns = {"observation": seen, "action": actions, "log_prob": log_probs, "reward": rewards, "after": after}
        losses = agent.update({name: torch.stack(column, 1) for name, column in columns.items()}, source, factor)
        return losses | {"reward": float(torch.stack(rewards, 1).sum(-1).mean())}


@final
class SacLearner:
    """Plays few episodes, remembers many, and updates on drawn steps."""

    def __init__(self, task: Task, width: int, rate: float) -> None:
        inputs = len(task.features)
        self.task, self.env = task, task.environment()
        actor, spread = (perceptron(inputs, width, 1) for _ in range(2))
        critic = perceptron(inputs + 1, width, 1)
        nn.init.uniform_(list(critic.parameters())[-2], -0.1, 0.1)
        sac = ContinuousSac(actor, spread, critic, ContinuousSacSettings(rate / 10, rate, num_patient=600))
        self.agent = Remembering(sac, Replay(_REPLAY_STEPS))

    def advance(self, moment: EnvState, source: torch.Generator, factor: float) -> dict[str, float]:
        sac, replay = self.agent.agent, self.agent.replay
        blocks = _blocks(self.env, self.task.features, moment, lambda seen: (sac.act(seen, source),))
        seen, acted, rewards = zip(*blocks, strict=True)
        for number, (observation, (action,), reward) in enumerate(zip(seen, acted, rewards, strict=True), 1):
            over = number == len(rewards)
            row = {"observation": observation, "action": action, "reward": reward}
            following = torch.zeros_like(observation) if over else seen[number]
            replay.add(row | {"done": torch.full(reward.shape, over), "next_observation": following})
        losses: dict[str, float] = {}
        for _ in range(_SAC_UPDATES):
            losses = sac.update(replay.draw(_SAC_BATCH, source), factor)
        return losses | {"reward": float(torch.stack(rewards).sum(0).mean())}


@final
class PathwiseLearner:
    """Plays whole episodes without noise and follows the gradient of what they brought."""

    def __init__(self, task: Task, width: int, rate: float) -> None:
        self.task, self.env = task, task.environment()
        self.agent = Pathwise(perceptron(len(task.features), width, 1), PathwiseSettings(rate))

    def advance(self, moment: EnvState, source: torch.Generator, factor: float) -> dict[str, float]:
        blocks = _blocks(self.env, self.task.features, moment, lambda seen: (self.agent.act(seen),))
        total = torch.stack([reward for _, _, reward in blocks]).sum(0)
        return self.agent.update(total, factor) | {"reward": float(total.detach().mean())}


LEARNERS: dict[str, type[PpoLearner] | type[SacLearner] | type[PathwiseLearner]] = {
    "ppo": PpoLearner,
    "sac": SacLearner,
    "pathwise": PathwiseLearner,
}
"""Algorithms by name."""
_REPLAY_STEPS, _SAC_BATCH, _SAC_UPDATES = 1 << 17, 1024, 16
