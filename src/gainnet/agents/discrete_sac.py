"""Soft actor-critic for discrete actions, of one agent or of many with shared networks, on TorchRL's loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from gainnet.agents.actor_critic import adam, descend, load_state, state_tensors, stochastic_policy, transitions
from gainnet.agents.torch_rl import DiscreteSACLoss, SoftUpdate, TensorDict, TensorDictModule
from gainnet.core.ranges import POSITIVE, SHARE, Interval, check_ranges


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
        ranges = {"discount": SHARE, "actor_rate": POSITIVE, "critic_rate": POSITIVE, "temperature": POSITIVE}
        ranges |= {"temperature_rate": Interval(0), "target_entropy": Interval()}
        check_ranges("sac", self, {**ranges, "retention": Interval(0, 1, below=True)})


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
        policy = stochastic_policy(actor, ("logits",), torch.distributions.Categorical, return_log_prob=False)
        values = TensorDictModule(critic, in_keys=["observation"], out_keys=["action_value"])
        self.actor, self.settings = actor, settings
        self.loss = DiscreteSACLoss(
            policy,
            values,
            action_space="categorical",
            target_entropy=settings.target_entropy,
            alpha_init=settings.temperature,
            # Target networks: without them a critic would chase its own estimates.
            delay_qvalue=True,
            deactivate_vmap=True,
        )
        self.loss.make_value_estimator(gamma=settings.discount)
        self._targets = SoftUpdate(self.loss, eps=settings.retention)
        networks = self.loss.actor_network_params, self.loss.qvalue_network_params
        self._rates = settings.actor_rate, settings.critic_rate, settings.temperature_rate
        self.optimizer = adam([*(list(x.values(True, True)) for x in networks), [self.loss.log_alpha]], self._rates)

    def update(self, batch: dict[str, Tensor], factor: float = 1.0) -> dict[str, float]:
        """One step of actor, critics and temperature; the losses by name, `alpha` and `entropy`.

        Args:
            batch: `observation` and `next_observation` [*batch, *observation], `action` [*batch] int64, `reward`
                [*batch], `done` [*batch] bool.
            factor: on all learning rates.
        """
        found = self.loss(transitions(batch))
        loss = found["loss_actor"] + found["loss_qvalue"] + found["loss_alpha"]
        descend(loss, self.optimizer, [rate * factor for rate in self._rates])
        self._targets.step()
        return {name: float(found[name].detach()) for name in ("loss_actor", "loss_qvalue", "alpha", "entropy")}

    @torch.no_grad()
    def act(self, observation: Tensor, source: torch.Generator) -> Tensor:
        """[*batch], int64, actions drawn from the policy."""
        logits = self.logits(observation)
        # The argmax of logits with Gumbel noise is a draw from their softmax; Categorical takes no generator.
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
        seen = TensorDict({"observation": observation}, [])
        values: Tensor = self.loss._vmap_qnetworkN0(seen, self.loss.qvalue_network_params).get("action_value")
        # The smaller one, since a maximum over actions favours values that are too high by chance.
        return values.amin(0)

    def actor_tensors(self) -> dict[str, Tensor]:
        """The actor's weights by name."""
        flat = self.loss.actor_network_params.flatten_keys(".")
        return {name.removeprefix("module.0.module."): x.detach().clone() for name, x in flat.items()}

    def tensors(self) -> dict[str, Tensor]:
        """Copies of everything that the next update depends on."""
        return state_tensors(self.loss, self.optimizer)

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Restores `tensors`."""
        load_state(self.loss, self.optimizer, tensors)
