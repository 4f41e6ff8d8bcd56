"""Torch environments for Gymnasium: the only place that imports it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gainnet.core.errors import ConfigError, MissingExtraError
from gainnet.core.randomness import Random

try:
    from gymnasium import Env, Space
    from gymnasium.spaces import Box, MultiDiscrete
except ImportError:
    raise MissingExtraError("gymnasium", "orchestration") from None

S = TypeVar("S")

__all__ = ["Box", "GymnasiumEnv", "MultiDiscrete"]


@final
class GymnasiumEnv(Env[NDArray[np.float32], NDArray[Any]], Generic[S]):
    """An environment with immutable states, one episode at a time.

    Args:
        reset: (random) -> state before the first decision.
        step: (state, action) -> state after it, reward, whether every decision was taken.
        observe: state -> observation, float32, [*observation_space.shape].
        observation_space: of the observations.
        action_space: of the actions.
    """

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(
        self,
        reset: Callable[[Random], S],
        step: Callable[[S, Tensor], tuple[S, Tensor, bool]],
        observe: Callable[[S], Tensor],
        observation_space: Space[NDArray[np.float32]],
        action_space: Space[NDArray[Any]],
    ) -> None:
        self._reset, self._step, self._observe = reset, step, observe
        self.observation_space, self.action_space = observation_space, action_space
        self._state: S | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """A new episode; without a seed the next one of the last seed's sequence."""
        super().reset(seed=seed)
        # Gymnasium seeds its own generator, and one draw of it names the streams of an episode of ours.
        self._state = self._reset(Random.of(int(self.np_random.integers(2**31))))
        return self._observe(self._state).numpy(), {}

    def step(self, action: NDArray[Any]) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """One decision, [*action_space.shape]; its observation, reward, and whether the episode is over."""
        if self._state is None:
            raise ConfigError("environment: it has not begun; reset it first")
        self._state, reward, over = self._step(self._state, torch.from_numpy(np.asarray(action)))
        return self._observe(self._state).numpy(), float(reward), over, False, {}
