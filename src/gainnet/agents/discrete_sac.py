"""Soft actor-critic for discrete actions, of one agent or of many with shared networks, on TorchRL's loss."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from gainnet.agents.checkpoint import below, load_optimizer, optimizer_tensors
from gainnet.agents.torch_rl import (
    DiscreteSACLoss,
    ProbabilisticTensorDictModule,
    ProbabilisticTensorDictSequential,
    SoftUpdate,
    TensorDict,
    TensorDictModule,
)
from gainnet.core.errors import ConfigError


@final
@dataclass(frozen=True)
class SacSettings:
    """The numbers of the algorithm.

    Args:
        discount: $\\gamma$ in [0, 1]; 1 suits a finite horizon.
        actor_rate: learning rate of the actor > 0.
        critic_rate: learning rate of both critics > 0.
        temperature: first $\\alpha$ > 0.
        temperature_rate: learning rate of $\\ln \\alpha$ >= 0; 0 keeps it.
        target_entropy: entropy in nats that $\\alpha$ steers to, per agent.
        retention: share of the target networks that stays in an update, in [0, 1).

    Raises:
        ConfigError: a number is out of range.
    """

    discount: float = 1.0
    actor_rate: float = 1e-3
    critic_rate: float = 1e-3
    temperature: float = 0.02
    temperature_rate: float = 1e-2
    target_entropy: float = 0.15
    retention: float = 0.99

    def __post_init__(self) -> None:
        ranges = {
            "discount": 0 <= self.discount <= 1,
            "actor_rate": 0 < self.actor_rate < math.inf,
            "critic_rate": 0 < self.critic_rate < math.inf,
            "temperature": 0 < self.temperature < math.inf,
            "temperature_rate": 0 <= self.temperature_rate < math.inf,
            "target_entropy": math.isfinite(self.target_entropy),
            "retention": 0 <= self.retention < 1,
        }
        for name, right in ranges.items():
            if not right:
                raise ConfigError(f"sac.{name}: {getattr(self, name)} is out of range")


@final
class DiscreteSac:
    r"""Soft actor-critic (Haarnoja et al. 2018; for discrete actions Christodoulou 2019) with TorchRL's losses.

        observation --actor--> logits --> action       critic: min of two Q, targets follow slowly
        $Q(s, a) \leftarrow r + \gamma \sum_{a'} \pi(a'|s') (Q(s', a') - \alpha \ln \pi(a'|s'))$
        $\pi \leftarrow \arg\min \sum_a \pi(a|s) (\alpha \ln \pi(a|s) - Q(s, a))$

    With many agents every tensor has a dimension for them. A network sees all agents of a scenario at once, so both
    actor and critics may pool over agents; parameters are shared, rewards are each agent's own.

    Args:
        actor: [*batch, *observation] to logits [*batch, num_actions].
        critic: the same shapes, to Q values; TorchRL draws the second critic's weights from the range of the first's.
        settings: numbers of the algorithm.
    """

    def __init__(self, actor: nn.Module, critic: nn.Module, settings: SacSettings) -> None:
        policy = ProbabilisticTensorDictSequential(
            TensorDictModule(actor, in_keys=["observation"], out_keys=["logits"]),
            ProbabilisticTensorDictModule(
                in_keys=["logits"], out_keys=["action"], distribution_class=torch.distributions.Categorical
            ),
        )
        values = TensorDictModule(critic, in_keys=["observation"], out_keys=["action_value"])
        self.actor, self.settings = actor, settings
        self.loss = DiscreteSACLoss(
            policy,
            values,
            action_space="categorical",
            target_entropy=settings.target_entropy,
            alpha_init=settings.temperature,
            delay_qvalue=True,
            deactivate_vmap=True,
        )
        self.loss.make_value_estimator(gamma=settings.discount)
        self._targets = SoftUpdate(self.loss, eps=settings.retention)
        groups = (
            (list(self.loss.actor_network_params.values(True, True)), settings.actor_rate),
            (list(self.loss.qvalue_network_params.values(True, True)), settings.critic_rate),
            ([self.loss.log_alpha], settings.temperature_rate),
        )
        self.optimizer = torch.optim.Adam([{"params": params, "lr": rate} for params, rate in groups])
        self._rates = [rate for _, rate in groups]

    def update(self, batch: dict[str, Tensor], factor: float = 1.0) -> dict[str, float]:
        """One step of actor, critics and temperature; the losses by name, `alpha` and `entropy`.

        Args:
            batch: `observation` and `next_observation` [*batch, *observation], `action` [*batch] int64, `reward`
                [*batch], `done` [*batch] bool.
            factor: on all learning rates.
        """
        done = batch["done"].unsqueeze(-1)
        following = {
            "observation": batch["next_observation"],
            "reward": batch["reward"].unsqueeze(-1),
            "done": done,
            "terminated": done,
        }
        size = batch["action"].shape
        lived = TensorDict(
            {
                "observation": batch["observation"],
                "action": batch["action"],
                "next": TensorDict(following, size),
            },
            size,
        )
        found = self.loss(lived)
        self.optimizer.zero_grad(set_to_none=True)
        (found["loss_actor"] + found["loss_qvalue"] + found["loss_alpha"]).backward()
        for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor
            nn.utils.clip_grad_norm_(group["params"], 1.0)
        self.optimizer.step()
        self._targets.step()
        return {name: float(found[name].detach()) for name in ("loss_actor", "loss_qvalue", "alpha", "entropy")}

    @torch.no_grad()
    def act(self, observation: Tensor, source: torch.Generator) -> Tensor:
        """[*batch], int64, actions drawn from the policy (Gumbel's trick)."""
        logits = self.logits(observation)
        noise = -torch.empty_like(logits).exponential_(generator=source).log()
        return (logits + noise).argmax(-1)

    @torch.no_grad()
    def logits(self, observation: Tensor) -> Tensor:
        """[*batch, num_actions] of the actor."""
        with self.loss.actor_network_params.to_module(self.loss.actor_network):
            found: Tensor = self.loss.actor_network[0].module(observation)
        return found

    @torch.no_grad()
    def action_values(self, observation: Tensor) -> Tensor:
        """[*batch, num_actions], the smaller of both critics."""
        asked = TensorDict({"observation": observation}, [])
        values: Tensor = self.loss._vmap_qnetworkN0(asked, self.loss.qvalue_network_params).get("action_value")
        return values.amin(0)

    def actor_tensors(self) -> dict[str, Tensor]:
        """The actor's weights by name."""
        flat = self.loss.actor_network_params.flatten_keys(".")
        return {name.removeprefix("module.0.module."): x.detach().clone() for name, x in flat.items()}

    def tensors(self) -> dict[str, Tensor]:
        """All that the next update depends on."""
        tensors = {f"loss.{name}": x for name, x in self.loss.state_dict().items() if isinstance(x, Tensor)}
        tensors |= optimizer_tensors(self.optimizer)
        return {name: x.detach().clone() for name, x in tensors.items()}

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Goes on from `tensors`."""
        state = self.loss.state_dict()
        state.update(below("loss", tensors))
        self.loss.load_state_dict(state)
        load_optimizer(self.optimizer, tensors)
