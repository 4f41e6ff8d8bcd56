"""Proximal policy optimisation for one continuous action, on TorchRL's loss."""

from __future__ import annotations

import math
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
class PpoSettings:
    r"""The numbers of the algorithm.

    Args:
        discount: $\gamma$ in [0, 1]; 1 suits a finite horizon.
        trace: $\lambda$ of the generalised advantage in [0, 1].
        clip: largest change of the probability ratio > 0.
        rate: learning rate > 0 of actor and critic.
        deviation: first standard deviation of the action > 0.
        num_epochs: times that a batch is gone through, >= 1.
        num_minibatches: parts of a batch, >= 1.

    Raises:
        ConfigError: a number is out of range.
    """

    discount: float = 1.0
    trace: float = 0.6
    clip: float = 0.2
    rate: float = 2e-3
    deviation: float = 0.2
    num_epochs: int = 3
    num_minibatches: int = 4

    def __post_init__(self) -> None:
        ranges = {"discount": SHARE, "trace": SHARE, "clip": POSITIVE, "rate": POSITIVE, "deviation": POSITIVE}
        check_ranges("ppo", self, {**ranges, "num_epochs": Interval(1), "num_minibatches": Interval(1)})


class _Gaussian(nn.Module):
    """Mean of a network and a standard deviation of its own."""

    def __init__(self, network: nn.Module, deviation: float) -> None:
        super().__init__()
        self.network = network
        self.log_deviation = nn.Parameter(torch.tensor(math.log(deviation)))

    def forward(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        mean: Tensor = self.network(observation)
        return mean, self.log_deviation.exp().expand_as(mean)


@final
class Ppo:
    r"""Proximal policy optimisation (Schulman et al. 2017) on TorchRL's `ClipPPOLoss`.

        actions of the policy as it is --> advantages $\hat A$ --> some epochs of
        $\max \mathrm{E} \min(r \hat A, \mathrm{clip}(r, 1 \pm \epsilon) \hat A), \quad r = \pi(a|s) / \pi_{old}(a|s)$

    Actions are normal around the mean that the actor gives. Advantages are generalised (Schulman et al. 2016), without
    the luck of the next state: a second critic gives the value W of what is known after the action and before chance
    (the post-decision state of approximate dynamic programming, Powell 2011, section 4.6), and
    $\hat A_t = \sum_k (\gamma \lambda)^k (r_{t+k} + \gamma W_{t+k} - V_{t+k})$.

    Args:
        actor: [*batch, num_features] to [*batch, num_actions], mean of the action.
        critic: [*batch, num_features] to [*batch, 1], value $V$ of a state.
        after_critic: the same shapes, value $W$ of a state after its action.
        settings: numbers of the algorithm.
    """

    def __init__(self, actor: nn.Module, critic: nn.Module, after_critic: nn.Module, settings: PpoSettings) -> None:
        self.settings = settings
        self._gaussian = _Gaussian(actor, settings.deviation)
        policy = stochastic_policy(self._gaussian, ("loc", "scale"), _IndependentNormal, return_log_prob=True)
        values = TensorDictModule(critic, in_keys=["observation"], out_keys=["state_value"])
        self._critic, self._after_critic = critic, after_critic
        self.loss = ClipPPOLoss(
            policy,
            values,
            clip_epsilon=settings.clip,
            # The deviation is learned from the advantages alone; a bonus would keep it from falling in the end.
            entropy_bonus=False,
            critic_coeff=1.0,
            loss_critic_type="l2",
            normalize_advantage=True,
        )
        self._parameters = [*self._gaussian.parameters(), *critic.parameters(), *after_critic.parameters()]
        self.optimizer = adam([self._parameters], [settings.rate])

    @torch.no_grad()
    def act(self, observation: Tensor, source: torch.Generator) -> tuple[Tensor, Tensor]:
        """Actions [*batch, num_actions] drawn from the policy and their log-probabilities [*batch]."""
        mean, deviation = self._gaussian(observation)
        action = mean + deviation * torch.randn(mean.shape, generator=source)
        log_prob: Tensor = _IndependentNormal(mean, deviation).log_prob(action)  # type: ignore[no-untyped-call]
        return action, log_prob

    def update(self, episodes: dict[str, Tensor], source: torch.Generator, factor: float = 1.0) -> dict[str, float]:
        """Some epochs over whole episodes; the losses by name and `deviation`.

        Args:
            episodes: [num_episodes, num_steps, ...]: `observation`, `after` (what was known after the
                action; the last one's value is 0), `action`, `log_prob`, `reward`.
            source: of the order of mini-batches.
            factor: on the learning rate.
        """
        rows = self._rows(episodes)
        size, rate = len(rows["log_prob"]), self.settings.rate * factor
        found: dict[str, float] = {}
        for _ in range(self.settings.num_epochs):
            for part in torch.randperm(size, generator=source).chunk(self.settings.num_minibatches):
                found = self._step({name: x[part] for name, x in rows.items()}, rate)
        return found | {"deviation": float(self._gaussian.log_deviation.detach().exp())}

    def _step(self, rows: dict[str, Tensor], rate: float) -> dict[str, float]:
        names = {"action_log_prob": "log_prob", "value_target": "target"}
        names |= {name: name for name in ("observation", "action", "advantage")}
        found = self.loss(TensorDict({new: rows[name] for new, name in names.items()}, [len(rows["log_prob"])]))
        # Behind the last action nothing comes, so that its value W is 0 and not learned.
        missed = (self._after_critic(rows["after"]) - rows["after_target"]) * rows["continues"]
        loss = found["loss_objective"] + found["loss_critic"] + missed.square().mean()
        descend(loss, self.optimizer, [rate])
        return {name: float(found[name].detach()) for name in ("loss_objective", "loss_critic")}

    @torch.no_grad()
    def _rows(self, episodes: dict[str, Tensor]) -> dict[str, Tensor]:
        """Steps one by one with advantage and targets of both values."""
        value, after = self._critic(episodes["observation"]), self._after_critic(episodes["after"])
        done = torch.zeros_like(value, dtype=torch.bool)
        done[:, -1] = True
        discount, trace = self.settings.discount, self.settings.trace
        reward = episodes["reward"].unsqueeze(-1)
        advantage, target = generalized_advantage_estimate(discount, trace, value, after, reward, done, done)
        # W of a state after its action is V of the state that chance makes of it, so the same targets serve, one later.
        following = torch.cat([target[:, 1:], torch.zeros_like(target[:, :1])], 1)
        added = {"advantage": advantage, "target": target, "after_target": following, "continues": (~done).float()}
        return {name: x.flatten(0, 1) for name, x in (episodes | added).items()}

    def actor_tensors(self) -> dict[str, Tensor]:
        """Weights of the actor's mean by name."""
        return {name: x.detach().clone() for name, x in self._gaussian.network.state_dict().items()}

    def tensors(self) -> dict[str, Tensor]:
        """Copies of everything that the next update depends on."""
        weights = {str(index): x for index, x in enumerate(self._parameters)}
        return add_prefix("weight", weights) | optimizer_tensors(self.optimizer)

    @torch.no_grad()
    def load(self, tensors: dict[str, Tensor]) -> None:
        """Restores `tensors`."""
        for index, weight in enumerate(self._parameters):
            weight.copy_(tensors[f"weight.{index}"])
        load_optimizer(self.optimizer, tensors)


class _IndependentNormal(torch.distributions.Independent):  # type: ignore[type-arg]
    """Normal actions of independent entries; TorchRL builds it from `loc` and `scale`."""

    def __init__(self, loc: Tensor, scale: Tensor) -> None:
        super().__init__(torch.distributions.Normal(loc, scale), 1)
