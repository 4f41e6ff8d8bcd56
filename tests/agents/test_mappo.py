"""Multi-agent PPO where the best joint action is known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gainnet.agents.mappo import Mappo, MappoSettings
from gainnet.core.errors import ConfigError


class Pooled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def forward(self, observation: Tensor) -> Tensor:
        value: Tensor = self.layer(observation).mean(-2)
        return value


def agent() -> Mappo:
    torch.manual_seed(0)
    return Mappo(nn.Linear(2, 2), Pooled(), MappoSettings(rate=3e-2, entropy=0.0))


def episodes(learner: Mappo, source: torch.Generator) -> dict[str, Tensor]:
    """Two agents with their own observation in two steps; the team gets 1 for each action that is its agent's index."""
    observation = torch.eye(2).expand(16, 2, 2, 2)
    action, log_prob = learner.act(observation, source)
    reward = (action == torch.arange(2)).float().sum(-1)
    return {"observation": observation, "action": action, "log_prob": log_prob, "reward": reward}


@pytest.mark.slow
def test_agents_learn_from_the_reward_of_the_team() -> None:
    learner, source = agent(), torch.Generator().manual_seed(0)
    for _ in range(25):
        learner.update(episodes(learner, source), source)
    assert float(episodes(learner, source)["reward"].mean()) > 1.8


@pytest.mark.slow
def test_a_restored_learner_goes_on_as_the_first() -> None:
    one, source = agent(), torch.Generator().manual_seed(0)
    drawn = episodes(one, source)
    one.update(drawn, torch.Generator().manual_seed(1))
    other = agent()
    other.load(one.tensors())
    for learner in (one, other):
        learner.update(drawn, torch.Generator().manual_seed(2))
    for name, x in one.actor_tensors().items():
        assert torch.equal(x, other.actor_tensors()[name])


def test_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"mappo\.clip"):
        MappoSettings(clip=0.0)
