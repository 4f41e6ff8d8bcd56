"""Soft actor-critic for continuous actions in [-1, 1], on TorchRL's loss."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from gainnet.agents.checkpoint import below, load_optimizer, optimizer_tensors
from gainnet.agents.torch_rl import (
    ProbabilisticTensorDictModule,
    ProbabilisticTensorDictSequential,
    SACLoss,
    SoftUpdate,
    TanhNormal,
    TensorDict,
    TensorDictModule,
)
from gainnet.core.errors import ConfigError

_LEAST_DEVIATION = 0.01


@final
@dataclass(frozen=True)
class ContinuousSacSettings:
    r"""The numbers of the algorithm.

    Args:
        actor_rate: learning rate of the actor > 0.
        critic_rate: learning rate of both critics > 0.
        num_patient: first updates in which only the critics learn, >= 0: an actor that starts as a good rule would be
            led astray by critics that know nothing yet.
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
        ranges = {
            "discount": 0 <= self.discount <= 1,
            "actor_rate": 0 < self.actor_rate < math.inf,
            "critic_rate": 0 < self.critic_rate < math.inf,
            "num_patient": self.num_patient >= 0,
            "temperature": 0 < self.temperature < math.inf,
            "deviation": _LEAST_DEVIATION < self.deviation < math.inf,
            "retention": 0 <= self.retention < 1,
        }
        if wrong := [name for name, holds in ranges.items() if not holds]:
            raise ConfigError(f"sac.{wrong[0]}: {getattr(self, wrong[0])} is out of range")


class _Squashed(nn.Module):
    """Mean and standard deviation before the tanh, from two networks."""

    def __init__(self, network: nn.Module, spread: nn.Module, deviation: float) -> None:
        super().__init__()
        self.network, self.spread, self.deviation = network, spread, deviation

    def forward(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        scale = self.deviation * self.spread(observation).clamp(-4, 2).exp() + _LEAST_DEVIATION
        return self.network(observation), scale


class _Judge(nn.Module):
    """Value of an action in a state."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, observation: Tensor, action: Tensor) -> Tensor:
        value: Tensor = self.network(torch.cat([observation, action], -1))
        return value


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
        policy = ProbabilisticTensorDictSequential(
            TensorDictModule(
                _Squashed(actor, spread, settings.deviation), in_keys=["observation"], out_keys=["loc", "scale"]
            ),
            ProbabilisticTensorDictModule(
                in_keys=["loc", "scale"],
                out_keys=["action"],
                distribution_class=TanhNormal,
                return_log_prob=True,
            ),
        )
        self.loss = SACLoss(
            policy,
            TensorDictModule(_Judge(critic), in_keys=["observation", "action"], out_keys=["state_action_value"]),
            alpha_init=settings.temperature,
            fixed_alpha=True,
            target_entropy=-1.0,
            loss_function="l2",
            delay_qvalue=True,
            deactivate_vmap=True,
        )
        self.loss.make_value_estimator(gamma=settings.discount)
        self._targets = SoftUpdate(self.loss, eps=settings.retention)
        groups = (
            (self.loss.actor_network_params, settings.actor_rate),
            (self.loss.qvalue_network_params, settings.critic_rate),
        )
        self.optimizer = torch.optim.Adam([{"params": list(x.values(True, True)), "lr": rate} for x, rate in groups])
        self.num_updates = 0

    @torch.no_grad()
    def act(self, observation: Tensor, source: torch.Generator) -> Tensor:
        """[*batch, num_actions], actions drawn from the policy, in (-1, 1)."""
        with self.loss.actor_network_params.to_module(self.loss.actor_network):
            mean, deviation = self.loss.actor_network[0].module(observation)
        action: Tensor = (mean + deviation * torch.randn(mean.shape, generator=source)).tanh()
        return action

    def update(self, batch: dict[str, Tensor], factor: float = 1.0) -> dict[str, float]:
        """One step of actor and critics; the losses by name and `entropy`.

        Args:
            batch: `observation` and `next_observation` [num, num_features], `action` [num, num_actions], `reward`
                [num], `done` [num] bool.
            factor: on the learning rates.
        """
        done = batch["done"].unsqueeze(-1)
        following = {
            "observation": batch["next_observation"],
            "reward": batch["reward"].unsqueeze(-1),
            "done": done,
            "terminated": done,
        }
        size = [len(done)]
        lived = {"observation": batch["observation"], "action": batch["action"], "next": TensorDict(following, size)}
        found = self.loss(TensorDict(lived, size))
        self.optimizer.zero_grad(set_to_none=True)
        (found["loss_actor"] + found["loss_qvalue"]).backward()
        patient = self.num_updates < self.settings.num_patient
        rates = (0.0 if patient else self.settings.actor_rate, self.settings.critic_rate)
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * factor
            nn.utils.clip_grad_norm_(group["params"], 1.0)
        self.optimizer.step()
        self._targets.step()
        self.num_updates += 1
        return {name: float(found[name].detach()) for name in ("loss_actor", "loss_qvalue", "entropy")}

    def actor_tensors(self) -> dict[str, Tensor]:
        """Weights of the actor's mean by name."""
        flat = self.loss.actor_network_params.flatten_keys(".")
        start = "module.0.module.network."
        return {name.removeprefix(start): x.detach().clone() for name, x in flat.items() if name.startswith(start)}

    def tensors(self) -> dict[str, Tensor]:
        """All that the next update depends on."""
        tensors = {f"loss.{name}": x for name, x in self.loss.state_dict().items() if isinstance(x, Tensor)}
        tensors |= optimizer_tensors(self.optimizer)
        tensors["num_updates"] = torch.tensor(self.num_updates)
        return {name: x.detach().clone() for name, x in tensors.items()}

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Goes on from `tensors`."""
        state = self.loss.state_dict()
        state.update(below("loss", tensors))
        self.loss.load_state_dict(state)
        self.num_updates = int(tensors["num_updates"])
        load_optimizer(self.optimizer, tensors)
