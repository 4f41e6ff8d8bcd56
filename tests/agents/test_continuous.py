"""PPO, SAC and pathwise gradients on problems whose best action is known in closed form."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gainnet.agents.pathwise import Pathwise, PathwiseSettings
from gainnet.agents.ppo import Ppo, PpoSettings
from gainnet.agents.sac import ContinuousSac, ContinuousSacSettings
from gainnet.core.errors import ConfigError

NUM = 256


def line() -> nn.Module:
    return nn.Linear(2, 1)


def network(num_inputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(num_inputs, 24), nn.Tanh(), nn.Linear(24, 1))


@pytest.mark.slow
def test_ppo_finds_the_best_action_of_every_state() -> None:
    """Two steps; the reward is -(a - s / 2)^2, and the next state has nothing to do with the action."""
    torch.manual_seed(0)
    source = torch.Generator().manual_seed(1)
    agent = Ppo(line(), network(2), network(2), PpoSettings(rate=2e-2, deviation=0.3))
    for step in range(20):
        state = 2 * torch.rand(NUM, 2, 1, generator=source) - 1
        seen = torch.cat([state, torch.tensor([0.0, 1.0]).view(1, 2, 1).expand(NUM, 2, 1)], -1)
        action, log_prob = agent.act(seen, source)
        reward = -(action - state / 2).square().squeeze(-1)
        after = torch.cat([torch.zeros(NUM, 2, 1), seen[..., 1:]], -1)
        lived = {"observation": seen, "after": after, "action": action, "log_prob": log_prob, "reward": reward}
        agent.update(lived, source, factor=1 - step / 20)
    weight = agent.actor_tensors()["weight"][0]
    assert float(weight[0]) == pytest.approx(0.5, abs=0.05)
    assert float(weight[1]) == pytest.approx(0.0, abs=0.08)


@pytest.mark.slow
def test_pathwise_gradients_find_the_linear_quadratic_regulator() -> None:
    """Two steps of x' = x + a + noise, cost x^2 + a^2 and x'^2 at the end: gains by the Riccati recursion."""
    torch.manual_seed(0)
    source = torch.Generator().manual_seed(1)
    actor = nn.Linear(2, 1, bias=False)
    agent = Pathwise(actor, PathwiseSettings(rate=5e-2))
    cost_to_go, gains = 1.0, []
    for _ in range(2):
        gains.append(cost_to_go / (1 + cost_to_go))
        cost_to_go = 1 + cost_to_go / (1 + cost_to_go)
    for step in range(200):
        x, total = torch.randn(NUM, 1, generator=source), torch.zeros(NUM)
        for block in range(2):
            seen = x * torch.tensor([float(block == 0), float(block == 1)])
            a = agent.act(seen)
            total = total - (x.square() + a.square()).squeeze(-1)
            x = x + a + 0.1 * torch.randn(NUM, 1, generator=source)
        agent.update(total - x.square().squeeze(-1), factor=1 - step / 200)
    torch.testing.assert_close(agent.actor_tensors()["weight"][0], -torch.tensor(gains[::-1]), atol=0.02, rtol=0.0)


@pytest.mark.slow
def test_sac_finds_the_best_action_of_every_state() -> None:
    torch.manual_seed(0)
    source = torch.Generator().manual_seed(1)
    settings = ContinuousSacSettings(2e-3, 1e-2, num_patient=80, discount=0.0)
    agent = ContinuousSac(network(1), network(1), network(2), settings)
    for step in range(320):
        state = 2 * torch.rand(NUM, 1, generator=source) - 1
        action = agent.act(state, source)
        wide = (action + 0.3 * torch.randn(NUM, 1, generator=source)).clamp(-0.99, 0.99)
        batch = {
            "observation": state,
            "next_observation": state,
            "action": wide,
            "reward": -(wide - state / 2).square().squeeze(-1),
            "done": torch.ones(NUM, dtype=torch.bool),
        }
        agent.update(batch, factor=1 - step / 350)
    asked = torch.linspace(-0.8, 0.8, 9).unsqueeze(-1)
    actor = network(1)
    actor.load_state_dict(agent.actor_tensors())
    torch.testing.assert_close(actor(asked).detach().tanh(), asked / 2, atol=0.12, rtol=0.0)


@pytest.mark.parametrize("wrong", [{"clip": 0.0}, {"trace": 1.5}, {"num_epochs": 0}])
def test_numbers_out_of_range_are_one_line(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=rf"ppo\.{next(iter(wrong))}: "):
        PpoSettings(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"sac\.retention: "):
        ContinuousSacSettings(retention=1.0)
