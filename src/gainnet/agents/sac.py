"""Soft actor-critic for continuous actions in [-1, 1], on TorchRL's loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast, final

import torch
from torch import Tensor, nn

from gainnet.agents.actor_critic import adam, descend, load_state, state_tensors, stochastic_policy, transitions
from gainnet.agents.torch_rl import SACLoss, SoftUpdate, TanhNormal, TensorDictModule
from gainnet.core.ranges import POSITIVE, SHARE, Interval, check_ranges

_LEAST_DEVIATION = 0.01


@final
@dataclass(frozen=True)
class ContinuousSacSettings:
    r"""The numbers of the algorithm.

    Args:
        actor_rate: learning rate of the actor > 0.
        critic_rate: learning rate of both critics > 0.
        num_patient: first updates in which only the critics learn, >= 0.
        discount: $\gamma$ in [0, 1]; 1 suits a finite horizon.
        temperature: $\alpha$ > 0, kept; in units of the reward.
        deviation: first standard deviation of the action before the tanh > 0.
        retention: share of the target networks that stays in an update, in [0, 1).

    Raises:
        ConfigError: a number is out of range.
    """

    actor_rate: float = 1e-3
    critic_rate: float = 3e-3
    num_patient: int = 300
    discount: float = 1.0
    temperature: float = 1e-3
    deviation: float = 0.15
    retention: float = 0.98

    def __post_init__(self) -> None:
        ranges = {"discount": SHARE, "actor_rate": POSITIVE, "critic_rate": POSITIVE, "num_patient": Interval(0)}
        ranges |= {"temperature": POSITIVE, "deviation": Interval(_LEAST_DEVIATION, above=True)}
        check_ranges("sac", self, {**ranges, "retention": Interval(0, 1, below=True)})


class _Squashed(nn.Module):
    """Mean and standard deviation before the tanh, from two networks."""

    def __init__(self, network: nn.Module, spread: nn.Module, deviation: float) -> None:
        super().__init__()
        self.network, self.spread, self.deviation = network, spread, deviation

    def forward(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        # Bounded on both sides: a deviation near zero makes log-probabilities explode, a large one makes actions +-1.
        scale = self.deviation * self.spread(observation).clamp(-4, 2).exp() + _LEAST_DEVIATION
        return self.network(observation), scale


class _ActionValue(nn.Module):
    """Value of an action in a state."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, observation: Tensor, action: Tensor) -> Tensor:
        return cast(Tensor, self.network(torch.cat([observation, action], -1)))


@final
class ContinuousSac:
    r"""Soft actor-critic (Haarnoja et al. 2018) on TorchRL's `SACLoss`.

        $Q(s, a) \leftarrow r + \gamma \mathrm{E}_{a'} (\min_i Q_i(s', a') - \alpha \ln \pi(a'|s'))$
        $\pi \leftarrow \arg\min \mathrm{E}_a (\alpha \ln \pi(a|s) - \min_i Q_i(s, a))$

    Args:
        actor: [*batch, num_features] to [*batch, num_actions], action before the tanh.
        spread: the same shapes, to the logarithm of a factor on the standard deviation.
        critic: [*batch, num_features + num_actions] to [*batch, 1]; TorchRL draws the second one's weights anew.
        settings: numbers of the algorithm.
    """

    def __init__(self, actor: nn.Module, spread: nn.Module, critic: nn.Module, settings: ContinuousSacSettings) -> None:
        self.settings = settings
        squashed = _Squashed(actor, spread, settings.deviation)
        policy = stochastic_policy(squashed, ("loc", "scale"), TanhNormal, return_log_prob=True)
        self.loss = SACLoss(
            policy,
            TensorDictModule(_ActionValue(critic), in_keys=["observation", "action"], out_keys=["state_action_value"]),
            alpha_init=settings.temperature,
            # Kept: the actor starts as a good rule, so that little exploration is needed throughout.
            fixed_alpha=True,
            target_entropy=-1.0,
            loss_function="l2",
            delay_qvalue=True,
            deactivate_vmap=True,
        )
        self.loss.make_value_estimator(gamma=settings.discount)
        self._targets = SoftUpdate(self.loss, eps=settings.retention)
        groups = [list(x.values(True, True)) for x in (self.loss.actor_network_params, self.loss.qvalue_network_params)]
        self.optimizer = adam(groups, (settings.actor_rate, settings.critic_rate))
        self.num_updates = 0

    @torch.no_grad()
    def act(self, observation: Tensor, source: torch.Generator) -> Tensor:
        """[*batch, num_actions], actions drawn from the policy, in (-1, 1)."""
        with self.loss.actor_network_params.to_module(self.loss.actor_network):
            mean, deviation = self.loss.actor_network[0].module(observation)
        return cast(Tensor, (mean + deviation * torch.randn(mean.shape, generator=source)).tanh())

    def update(self, batch: dict[str, Tensor], factor: float = 1.0) -> dict[str, float]:
        """One step of actor and critics; the losses by name and `entropy`.

        Args:
            batch: `observation` and `next_observation` [num, num_features], `action` [num, num_actions], `reward`
                [num], `done` [num] bool.
            factor: on the learning rates.
        """
        found = self.loss(transitions(batch))
        # An actor that starts as a good rule would be led astray by critics that know nothing yet.
        actor_rate = 0.0 if self.num_updates < self.settings.num_patient else self.settings.actor_rate
        rates = (actor_rate * factor, self.settings.critic_rate * factor)
        descend(found["loss_actor"] + found["loss_qvalue"], self.optimizer, rates)
        self._targets.step()
        self.num_updates += 1
        return {name: float(found[name].detach()) for name in ("loss_actor", "loss_qvalue", "entropy")}

    def actor_tensors(self) -> dict[str, Tensor]:
        """Weights of the actor's mean by name."""
        flat = self.loss.actor_network_params.flatten_keys(".")
        start = "module.0.module.network."
        return {name.removeprefix(start): x.detach().clone() for name, x in flat.items() if name.startswith(start)}

    def tensors(self) -> dict[str, Tensor]:
        """Copies of everything that the next update depends on."""
        return state_tensors(self.loss, self.optimizer) | {"num_updates": torch.tensor(self.num_updates)}

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Restores `tensors`."""
        load_state(self.loss, self.optimizer, tensors)
        self.num_updates = int(tensors["num_updates"])
