"""Algorithms that learn how much power a block gets, each with the way in which it plays episodes."""

from __future__ import annotations

from typing import Protocol, final

import torch
from torch import Tensor, nn

from gainnet.agents.pathwise import Pathwise, PathwiseSettings
from gainnet.agents.policy_run import Agent
from gainnet.agents.ppo import Ppo, PpoSettings
from gainnet.agents.replay import Remembering, Replay
from gainnet.agents.sac import ContinuousSac, ContinuousSacSettings
from gainnet.power_control.env import EnvState
from gainnet.power_control.features import before_gain, observe
from gainnet.power_control.learned import perceptron, powers_of_action
from gainnet.power_control.tasks import Task


class Learner(Protocol):
    """An algorithm that plays episodes and learns from them."""

    @property
    def agent(self) -> Agent:
        """What learns, with all that it remembers."""

    def advance(self, moment: EnvState, source: torch.Generator, factor: float) -> dict[str, float]:
        """One iteration from fresh episodes; the losses and the mean `reward` of an episode."""


@final
class PpoLearner:
    """Plays whole episodes with the policy as it is, then updates on them."""

    def __init__(self, task: Task, width: int, rate: float) -> None:
        inputs = len(task.features)
        self.task, self.env = task, task.environment()
        actor, critic, after = (perceptron(inputs, width, 1) for _ in range(3))
        self.agent = Ppo(actor, critic, after, PpoSettings(rate=rate))

    def advance(self, moment: EnvState, source: torch.Generator, factor: float) -> dict[str, float]:
        rows: list[dict[str, Tensor]] = []
        while not moment.over:
            outlook = self.env.outlook(moment)
            seen = observe(outlook, self.task.features)
            action, log_prob = self.agent.act(seen, source)
            moment, reward = self.env.step(moment, powers_of_action(outlook, action.squeeze(-1)))
            if rows:
                rows[-1]["after"] = before_gain(seen, self.task.features)
            row = {"observation": seen, "action": action, "log_prob": log_prob, "reward": reward}
            rows.append(row | {"after": torch.zeros_like(seen)})
        lived = {name: torch.stack([row[name] for row in rows], 1) for name in rows[0]}
        losses = self.agent.update(lived, source, factor)
        return losses | {"reward": float(lived["reward"].sum(-1).mean())}


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
        rows: list[dict[str, Tensor]] = []
        rewards = torch.zeros_like(moment.energy)
        while not moment.over:
            outlook = self.env.outlook(moment)
            seen = observe(outlook, self.task.features)
            if rows:
                rows[-1]["next_observation"] = seen
            action = self.agent.agent.act(seen, source)
            moment, reward = self.env.step(moment, powers_of_action(outlook, action.squeeze(-1)))
            done = torch.full(reward.shape, moment.over)
            row = {"observation": seen, "action": action, "reward": reward, "done": done}
            rows.append(row | {"next_observation": torch.zeros_like(seen)})
            rewards += reward
        for row in rows:
            self.agent.replay.add(row)
        losses: dict[str, float] = {}
        for _ in range(_SAC_UPDATES):
            losses = self.agent.agent.update(self.agent.replay.draw(_SAC_BATCH, source), factor)
        return losses | {"reward": float(rewards.mean())}


@final
class PathwiseLearner:
    """Plays whole episodes without noise and follows the gradient of what they brought."""

    def __init__(self, task: Task, width: int, rate: float) -> None:
        self.task, self.env = task, task.environment()
        self.agent = Pathwise(perceptron(len(task.features), width, 1), PathwiseSettings(rate))

    def advance(self, moment: EnvState, source: torch.Generator, factor: float) -> dict[str, float]:
        total = torch.zeros_like(moment.energy)
        while not moment.over:
            outlook = self.env.outlook(moment)
            action = self.agent.act(observe(outlook, self.task.features))
            moment, reward = self.env.step(moment, powers_of_action(outlook, action.squeeze(-1)))
            total = total + reward
        return self.agent.update(total, factor) | {"reward": float(total.detach().mean())}


LEARNERS: dict[str, type[PpoLearner] | type[SacLearner] | type[PathwiseLearner]] = {
    "ppo": PpoLearner,
    "sac": SacLearner,
    "pathwise": PathwiseLearner,
}
"""Algorithms by name."""
_REPLAY_STEPS, _SAC_BATCH, _SAC_UPDATES = 1 << 17, 1024, 16
