"""Orchestration for Gymnasium, one agent for all clients."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from gainnet.agents.gymnasium_env import Box, GymnasiumEnv, MultiDiscrete
from gainnet.orchestration.env import Environment, EnvState


def orchestration_env(environment: Environment) -> GymnasiumEnv[EnvState]:
    """One scenario in which one agent decides for all clients: its action is the model that each serves."""

    def step(state: EnvState, model: Tensor) -> tuple[EnvState, Tensor, bool]:
        following, reward = environment.step(state, model.long())
        return following, reward, following.over

    shape = environment.num_clients, environment.num_features
    actions = MultiDiscrete([environment.num_models] * environment.num_clients)
    observations = Box(0.0, 1.0, shape, np.float32)
    return GymnasiumEnv(environment.reset, step, environment.observe, observations, actions)
