"""The environment for Gymnasium, one episode at a time: the only place that imports it."""

from __future__ import annotations

from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray

from gainnet.core.errors import ConfigError, MissingExtraError
from gainnet.core.randomness import Random
from gainnet.power_control.env import Environment, Moment
from gainnet.power_control.features import FEATURES, observe

try:
    from gymnasium import Env
    from gymnasium.spaces import Box
except ImportError:
    raise MissingExtraError("gymnasium", "orchestration") from None

_LARGEST = 100.0


@final
class PowerEnv(Env[NDArray[np.float32], NDArray[np.float32]]):
    """One sender with an energy budget; the action is the power of the block, 0 to peak, cut to the energy left.

    Args:
        environment: what is played.
    """

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.observation_space = Box(-_LARGEST, _LARGEST, (len(FEATURES),), np.float32)
        self.action_space = Box(0.0, environment.peak, (1,), np.float32)
        self._moment: Moment | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """New fading; without a seed the next one of the last seed's sequence."""
        super().reset(seed=seed)
        self._moment = self.environment.reset(1, Random.of(int(self.np_random.integers(2**31))))
        return self._observed(self._moment), {}

    def step(self, action: NDArray[np.float32]) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Sends the block at this power."""
        if self._moment is None:
            raise ConfigError("environment: it has not begun; reset it first")
        power = torch.from_numpy(np.asarray(action, dtype=np.float32)).reshape(1)
        self._moment, reward = self.environment.step(self._moment, power)
        return self._observed(self._moment), float(reward), self._moment.over, False, {}

    def _observed(self, moment: Moment) -> NDArray[np.float32]:
        if moment.over:
            return np.zeros(len(FEATURES), np.float32)
        seen = observe(self.environment.outlook(moment), FEATURES)[0]
        return seen.clamp(-_LARGEST, _LARGEST).numpy()
