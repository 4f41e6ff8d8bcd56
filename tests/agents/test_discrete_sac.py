"""Soft actor-critic against soft value iteration where that is exact."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gainnet.agents.discrete_sac import DiscreteSac, SacSettings
from gainnet.core.errors import ConfigError

NUM_STATES, NUM_ACTIONS, DISCOUNT, TEMPERATURE = 3, 2, 0.6, 0.4
FOLLOWING = torch.tensor([[1, 2], [2, 0], [0, 2]])
REWARD = torch.tensor([[0.0, 1.0], [0.5, 0.0], [1.0, 0.2]])
DONE = torch.tensor([[False, False], [False, False], [False, True]])
SETTINGS = SacSettings(
    discount=DISCOUNT, actor_rate=5e-2, critic_rate=5e-2, temperature=TEMPERATURE, temperature_rate=0.0, retention=0.8
)


def table() -> nn.Module:
    """One free number per state and action."""
    return nn.Linear(NUM_STATES, NUM_ACTIONS, bias=False)


def every_step() -> dict[str, Tensor]:
    """All states and actions, each once."""
    state, action = torch.meshgrid(torch.arange(NUM_STATES), torch.arange(NUM_ACTIONS), indexing="ij")
    state, action = state.flatten(), action.flatten()
    return {
        "observation": torch.eye(NUM_STATES)[state],
        "next_observation": torch.eye(NUM_STATES)[FOLLOWING[state, action]],
        "action": action,
        "reward": REWARD[state, action],
        "done": DONE[state, action],
    }


def soft_values() -> Tensor:
    """Q of the best policy with entropy, by iterating Bellman's equation."""
    q = torch.zeros(NUM_STATES, NUM_ACTIONS, dtype=torch.float64)
    for _ in range(300):
        value = TEMPERATURE * (q / TEMPERATURE).logsumexp(-1)
        q = REWARD.double() + DISCOUNT * torch.where(DONE, 0.0, value[FOLLOWING])
    return q


def agent(random_seed: int) -> DiscreteSac:
    torch.manual_seed(random_seed)
    return DiscreteSac(table(), table(), SETTINGS)


@pytest.mark.slow
def test_it_finds_the_soft_optimum() -> None:
    learner, steps = agent(0), every_step()
    for step in range(180):
        learner.update(steps, factor=1.0 if step < 150 else 0.1)
    every_state, q = torch.eye(NUM_STATES), soft_values()
    torch.testing.assert_close(learner.action_values(every_state).double(), q, atol=0.03, rtol=0.0)
    found = learner.logits(every_state).softmax(-1).double()
    torch.testing.assert_close(found, (q / TEMPERATURE).softmax(-1), atol=0.03, rtol=0.0)


@pytest.mark.slow
def test_the_temperature_steers_the_entropy() -> None:
    torch.manual_seed(0)
    settings = SacSettings(
        discount=0.0,
        actor_rate=5e-2,
        critic_rate=5e-2,
        temperature=0.3,
        temperature_rate=2e-2,
        target_entropy=0.3,
        retention=0.5,
    )
    learner, steps = DiscreteSac(table(), table(), settings), every_step()
    entropies = [learner.update(steps)["entropy"] for _ in range(400)]
    assert sum(entropies[-50:]) / 50 == pytest.approx(0.3, abs=0.05)


def test_actions_follow_the_policy() -> None:
    learner = agent(1)
    state = torch.eye(NUM_STATES)[torch.zeros(20_000, dtype=torch.long)]
    share = learner.act(state, torch.Generator().manual_seed(0)).double().mean()
    assert float(share) == pytest.approx(float(learner.logits(state[:1]).softmax(-1)[0, 1]), abs=0.015)


def test_going_on_is_the_same_as_not_having_stopped() -> None:
    whole, steps = agent(2), every_step()
    for _ in range(5):
        whole.update(steps)
    stopped = agent(3)
    stopped.load(whole.tensors())
    for _ in range(5):
        assert whole.update(steps) == stopped.update(steps)
    for name, x in whole.actor_tensors().items():
        assert torch.equal(x, stopped.actor_tensors()[name])


@pytest.mark.parametrize(
    "fields",
    [{"discount": 1.1}, {"actor_rate": 0.0}, {"temperature": -1.0}, {"retention": 1.0}, {"critic_rate": float("nan")}],
)
def test_absurd_numbers_are_refused(fields: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"sac.{next(iter(fields))}"):
        SacSettings(**fields)
