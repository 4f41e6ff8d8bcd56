"""Proximal policy optimisation of many agents with one team reward and a critic that sees all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from gainnet.agents.actor_critic import adam, descend, stochastic_policy
from gainnet.agents.named_tensors import add_prefix, load_optimizer, optimizer_tensors
from gainnet.agents.torch_rl import ClipPPOLoss, TensorDict, TensorDictModule, generalized_advantage_estimate
from gainnet.core.ranges import POSITIVE, SHARE, Interval, check_ranges


@final
@dataclass(frozen=True)
class MappoSettings:
    r"""The numbers of the algorithm.

    Args:
        discount: $\gamma$ in [0, 1]; 1 suits a finite horizon.
        trace: $\lambda$ of the generalised advantage in [0, 1].
        clip: largest change of the probability ratio > 0.
        rate: learning rate > 0 of actor and critic.
        entropy: weight >= 0 of the entropy in the objective.
        num_epochs: times that a batch is gone through, >= 1.
        num_minibatches: parts of a batch, >= 1.

    Raises:
        ConfigError: a number is out of range.
    """

    discount: float = 1.0
    trace: float = 0.9
    clip: float = 0.2
    rate: float = 1e-3
    entropy: float = 0.003
    num_epochs: int = 4
    num_minibatches: int = 4

    def __post_init__(self) -> None:
        ranges = {"discount": SHARE, "trace": SHARE, "clip": POSITIVE, "rate": POSITIVE, "entropy": Interval(0)}
        check_ranges("mappo", self, {**ranges, "num_epochs": Interval(1), "num_minibatches": Interval(1)})


@final
class Mappo:
    r"""Multi-agent PPO (Yu et al. 2022) with discrete actions, on TorchRL's `ClipPPOLoss`.

        observations of all --actor, shared--> actions      all --critic--> one value V, one advantage for all
        $\max \mathrm{E} \min(r_n \hat A, \mathrm{clip}(r_n, 1 \pm \epsilon) \hat A)$ over agents n,
        $r_n = \pi(a_n|o) / \pi_{old}(a_n|o)$

    Args:
        actor: [*batch, num_agents, ...] to logits [*batch, num_agents, num_actions].
        critic: the same observations to [*batch, 1], the value of the team.
        settings: numbers of the algorithm.
    """

    def __init__(self, actor: nn.Module, critic: nn.Module, settings: MappoSettings) -> None:
        self.settings, self._actor, self._critic = settings, actor, critic
        policy = stochastic_policy(actor, ("logits",), torch.distributions.Categorical, return_log_prob=True)
        self.loss = ClipPPOLoss(
            policy,
            TensorDictModule(critic, in_keys=["observation"], out_keys=["state_value"]),
            clip_epsilon=settings.clip,
            entropy_bonus=settings.entropy > 0,
            entropy_coeff=settings.entropy,
            critic_coeff=1.0,
            loss_critic_type="l2",
            normalize_advantage=True,
        )
        self._parameters = [*actor.parameters(), *critic.parameters()]
        self.optimizer = adam([list(actor.parameters()), list(critic.parameters())], [settings.rate] * 2)

    @torch.no_grad()
    def act(self, observation: Tensor, source: torch.Generator) -> tuple[Tensor, Tensor]:
        """Actions drawn from the policy, int64, and their log-probabilities, [*batch, num_agents] each."""
        logits = self._actor(observation).log_softmax(-1)
        # The argmax of logits with Gumbel noise is a draw from their softmax; Categorical takes no generator.
        noise = -torch.empty_like(logits).exponential_(generator=source).log()
        action = (logits + noise).argmax(-1)
        return action, logits.gather(-1, action.unsqueeze(-1)).squeeze(-1)

    def update(self, episodes: dict[str, Tensor], source: torch.Generator, factor: float = 1.0) -> dict[str, float]:
        """Some epochs over whole episodes; the losses by name.

        Args:
            episodes: [num_episodes, num_steps, ...]: `observation`, `action` and `log_prob` [..., num_agents], `reward`
                of the team.
            source: of the order of mini-batches.
            factor: on the learning rate.
        """
        rows = self._rows(episodes)
        size, rate = len(rows["log_prob"]), self.settings.rate * factor
        found: dict[str, float] = {}
        for _ in range(self.settings.num_epochs):
            for part in torch.randperm(size, generator=source).chunk(self.settings.num_minibatches):
                found = self._step({name: x[part] for name, x in rows.items()}, rate)
        return found

    def _step(self, rows: dict[str, Tensor], rate: float) -> dict[str, float]:
        names = {"action_log_prob": "log_prob", "value_target": "target"}
        names |= {name: name for name in ("observation", "action", "advantage")}
        found = self.loss(TensorDict({new: rows[name] for new, name in names.items()}, [len(rows["log_prob"])]))
        loss = found["loss_objective"] + found["loss_critic"] + found.get("loss_entropy", torch.zeros(()))
        descend(loss, self.optimizer, [rate, rate])
        return {name: float(found[name].detach()) for name in ("loss_objective", "loss_critic")}

    @torch.no_grad()
    def _rows(self, episodes: dict[str, Tensor]) -> dict[str, Tensor]:
        """Steps one by one, with the advantage that all agents share and the target of the value."""
        value, reward = self._critic(episodes["observation"]), episodes["reward"].unsqueeze(-1)
        done = torch.zeros_like(value, dtype=torch.bool)
        done[:, -1] = True
        following = torch.cat([value[:, 1:], torch.zeros_like(value[:, :1])], 1)
        discount, trace = self.settings.discount, self.settings.trace
        advantage, target = generalized_advantage_estimate(discount, trace, value, following, reward, done, done)
        # [num_episodes, num_steps, 1, 1]: the same for all agents of a step.
        added = {"advantage": advantage.unsqueeze(-1), "target": target}
        kept = {name: episodes[name] for name in ("observation", "action", "log_prob")}
        return {name: x.flatten(0, 1) for name, x in (kept | added).items()}

    def actor_tensors(self) -> dict[str, Tensor]:
        """Weights of the actor by name."""
        return {name: x.detach().clone() for name, x in self._actor.state_dict().items()}

    def tensors(self) -> dict[str, Tensor]:
        """Copies of everything that the next update depends on."""
        weights = {str(index): x.detach().clone() for index, x in enumerate(self._parameters)}
        return add_prefix("weight", weights) | optimizer_tensors(self.optimizer)

    @torch.no_grad()
    def load(self, tensors: dict[str, Tensor]) -> None:
        """Restores `tensors`."""
        for index, weight in enumerate(self._parameters):
            weight.copy_(tensors[f"weight.{index}"])
        load_optimizer(self.optimizer, tensors)
