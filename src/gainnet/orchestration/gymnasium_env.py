"""The environment for Gymnasium, one agent for all clients: the only place that imports it."""

from __future__ import annotations

from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray

from gainnet.core.errors import ConfigError, MissingExtraError
from gainnet.core.randomness import Random
from gainnet.orchestration.env import Environment, Moment

try:
    from gymnasium import Env
    from gymnasium.spaces import Box, MultiDiscrete
except ImportError:
    raise MissingExtraError("gymnasium", "orchestration") from None


@final
class OrchestrationEnv(Env[NDArray[np.float32], NDArray[np.int64]]):
    """One scenario in which one agent decides for all clients.

    Args:
        environment: what is played.
    """

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        shape = environment.num_clients, environment.num_features
        self.observation_space = Box(0.0, 1.0, shape, np.float32)
        self.action_space = MultiDiscrete([environment.num_models] * environment.num_clients)
        self._moment: Moment | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """A new scenario; without a seed the next one of the last seed's sequence."""
        super().reset(seed=seed)
        self._moment = self.environment.reset(Random.of(int(self.np_random.integers(2**31))))
        return self.environment.observe(self._moment).numpy(), {}

    def step(self, action: NDArray[np.int64]) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Every client serves the model of its part of the action."""
        if self._moment is None:
            raise ConfigError("environment: it has not begun; reset it first")
        model = torch.from_numpy(np.asarray(action, dtype=np.int64))
        self._moment, reward = self.environment.step(self._moment, model)
        return self.environment.observe(self._moment).numpy(), float(reward), self._moment.over, False, {}
