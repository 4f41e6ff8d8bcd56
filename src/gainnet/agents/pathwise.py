"""Policy gradients through an environment whose dynamics are differentiable: no critic, no noise on the action."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast, final

import torch
from torch import Tensor, nn

from gainnet.agents.named_tensors import add_prefix, load_optimizer, optimizer_tensors, strip_prefix
from gainnet.core.ranges import POSITIVE, check_ranges


@final
@dataclass(frozen=True)
class PathwiseSettings:
    """The numbers of the algorithm.

    Args:
        rate: learning rate > 0 of the actor.
        largest_norm: gradients are clipped to this norm > 0.

    Raises:
        ConfigError: a number is out of range.
    """

    rate: float = 3e-3
    largest_norm: float = 1.0

    def __post_init__(self) -> None:
        check_ranges("pathwise", self, {"rate": POSITIVE, "largest_norm": POSITIVE})


@final
class Pathwise:
    r"""Pathwise policy gradient: noise is drawn first, then the return is a smooth function of the weights.

        $\nabla_\theta \mathrm{E}_\xi R(\theta, \xi) = \mathrm{E}_\xi \nabla_\theta R(\theta, \xi)$,
        $R = \sum_t r(s_t, \pi_\theta(s_t)), \; s_{t+1} = f(s_t, \pi_\theta(s_t), \xi_t)$

    The gradient runs back through rewards r and dynamics f of a whole episode (SVG($\infty$) of Heess et al. 2015,
    "Learning continuous control policies by stochastic value gradients", with a model that is exact; Xu et al. 2022,
    "Accelerated policy learning with parallel differentiable simulation"). Where the environment is known in closed
    form, this needs no value function and has far less variance than gradients of log-probabilities.

    Args:
        actor: [*batch, num_features] to [*batch, num_actions], the action.
        settings: numbers of the algorithm.

    >>> agent = Pathwise(nn.Linear(1, 1, bias=False), PathwiseSettings(rate=0.05))
    >>> state = torch.tensor([[1.0], [-2.0]])
    >>> for _ in range(200):
    ...     losses = agent.update(-(agent.act(state) - 3 * state).square().squeeze(-1))
    >>> round(float(agent.actor_tensors()["weight"]), 2)
    3.0
    """

    def __init__(self, actor: nn.Module, settings: PathwiseSettings) -> None:
        self.settings, self._actor = settings, actor
        self.optimizer = torch.optim.Adam(actor.parameters(), lr=settings.rate)

    def act(self, observation: Tensor) -> Tensor:
        """[*batch, num_actions], differentiable in the weights and in the observation."""
        return cast(Tensor, self._actor(observation))

    def update(self, total: Tensor, factor: float = 1.0) -> dict[str, float]:
        """One step up the mean return; the norm of its gradient before clipping.

        Args:
            total: [num_episodes], returns, differentiable in the actions of `act`.
            factor: on the learning rate.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.rate * factor
        self.optimizer.zero_grad(set_to_none=True)
        (-total.mean()).backward()
        # A product of Jacobians over many steps may be large in a few episodes, which must not decide the step.
        norm = nn.utils.clip_grad_norm_(self._actor.parameters(), self.settings.largest_norm)
        self.optimizer.step()
        return {"gradient_norm": float(norm)}

    def actor_tensors(self) -> dict[str, Tensor]:
        """Weights of the actor by name."""
        return {name: x.detach().clone() for name, x in self._actor.state_dict().items()}

    def tensors(self) -> dict[str, Tensor]:
        """Copies of everything that the next update depends on."""
        return add_prefix("weight", self._actor.state_dict()) | optimizer_tensors(self.optimizer)

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Restores `tensors`."""
        self._actor.load_state_dict(strip_prefix("weight", tensors))
        load_optimizer(self.optimizer, tensors)
