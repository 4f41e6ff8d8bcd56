"""Power control for Gymnasium, one episode at a time."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gainnet.agents.gymnasium_env import Box, GymnasiumEnv
from gainnet.power_control.env import Environment, EnvState
from gainnet.power_control.features import FEATURES, observe

_LARGEST = 100.0


def power_env(environment: Environment) -> GymnasiumEnv[EnvState]:
    """One sender with an energy budget; the action is the power of the block, 0 to peak, cut to the energy left."""

    def step(state: EnvState, power: Tensor) -> tuple[EnvState, Tensor, bool]:
        following, reward = environment.step(state, power.float().reshape(1))
        return following, reward, following.over

    def observed(state: EnvState) -> Tensor:
        if state.over:
            return torch.zeros(len(FEATURES))
        return observe(environment.outlook(state), FEATURES)[0].clamp(-_LARGEST, _LARGEST)

    observations = Box(-_LARGEST, _LARGEST, (len(FEATURES),), np.float32)
    actions = Box(0.0, environment.peak, (1,), np.float32)
    return GymnasiumEnv(lambda random: environment.reset(1, random), step, observed, observations, actions)
