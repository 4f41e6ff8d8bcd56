"""The environment for PettingZoo, one agent per client: the only place that imports it."""

from __future__ import annotations

from typing import Any, final

import numpy as np
import torch

from gainnet.core.errors import ConfigError, MissingExtraError
from gainnet.core.randomness import Random
from gainnet.orchestration.env import Environment, EnvState

try:
    from gymnasium.spaces import Box, Discrete
    from pettingzoo import ParallelEnv
except ImportError:
    raise MissingExtraError("pettingzoo", "orchestration") from None


@final
class OrchestrationParallelEnv(ParallelEnv):  # type: ignore[misc]
    """One scenario in which every client is an agent; all get the same reward, the gain of all.

    Args:
        environment: what is played.
    """

    metadata = {"render_modes": [], "name": "gainnet_orchestration_v0", "is_parallelizable": True}  # noqa: RUF012
    render_mode = None

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.possible_agents = [f"client_{n}" for n in range(environment.num_clients)]
        self.agents: list[str] = []
        shape = (environment.num_features,)
        self.observation_spaces = {a: Box(0.0, 1.0, shape, np.float32) for a in self.possible_agents}
        self.action_spaces = {a: Discrete(environment.num_models) for a in self.possible_agents}
        self._seeds = np.random.default_rng()
        self._moment: EnvState | None = None

    def observation_space(self, agent: str) -> Box:
        """Values in [0, 1]."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Discrete:
        """The models."""
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, dict[str, Any]]]:
        """A new scenario; without a seed the next one of the last seed's sequence, or of fresh entropy."""
        if seed is not None:
            self._seeds = np.random.default_rng(seed)
        self.agents = list(self.possible_agents)
        self._moment = self.environment.reset(Random.of(int(self._seeds.integers(2**31))))
        return self._observations(self._moment), {agent: {} for agent in self.agents}

    def step(
        self, actions: dict[str, int]
    ) -> tuple[dict[str, np.ndarray], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]:
        """Every client serves the model of its action."""
        if self._moment is None:
            raise ConfigError("environment: it has not begun; reset it first")
        model = torch.tensor([int(actions[agent]) for agent in self.agents])
        self._moment, reward = self.environment.step(self._moment, model)
        agents, over = self.agents, self._moment.over
        observations = self._observations(self._moment)
        if over:
            self.agents = []
        return (
            observations,
            dict.fromkeys(agents, float(reward)),
            dict.fromkeys(agents, over),
            dict.fromkeys(agents, False),
            {agent: {} for agent in agents},
        )

    def render(self) -> None:
        """Nothing; boards are drawn by `gainnet.orchestration.board`."""

    def close(self) -> None:
        """Nothing is held open."""

    def _observations(self, moment: EnvState) -> dict[str, np.ndarray]:
        return dict(zip(self.agents, self.environment.observe(moment).numpy(), strict=True))
