"""Policies, transitions, updates and states of actor-critics on TorchRL's losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from gainnet.agents.named_tensors import add_prefix, load_optimizer, optimizer_tensors, strip_prefix
from gainnet.agents.torch_rl import (
    ProbabilisticTensorDictModule,
    ProbabilisticTensorDictSequential,
    TensorDict,
    TensorDictModule,
)

LARGEST_NORM = 1.0


def stochastic_policy(
    network: nn.Module, parameters: Sequence[str], distribution: type[Any], return_log_prob: bool
) -> ProbabilisticTensorDictSequential:
    """A policy that draws `action` from a distribution whose parameters a network computes from `observation`.

    Args:
        network: [*batch, *observation] to the parameters.
        parameters: their names, as the distribution takes them.
        distribution: of the action.
        return_log_prob: whether the loss needs the log-probability of the action.
    """
    return ProbabilisticTensorDictSequential(
        TensorDictModule(network, in_keys=["observation"], out_keys=[*parameters]),
        ProbabilisticTensorDictModule(
            in_keys=[*parameters], out_keys=["action"], distribution_class=distribution, return_log_prob=return_log_prob
        ),
    )


def adam(groups: Sequence[Sequence[Tensor]], rates: Sequence[float]) -> Optimizer:
    """Adam with a learning rate for each group of parameters of shapes [...]."""
    return Adam([{"params": list(group), "lr": rate} for group, rate in zip(groups, rates, strict=True)])


def transitions(batch: Mapping[str, Tensor]) -> TensorDict:
    """Transitions as TorchRL's losses read them.

    Args:
        batch: `observation` and `next_observation` [*batch, ...], `action` [*batch, ...], `reward` [*batch], `done`
            [*batch] bool.
    """
    done = batch["done"].unsqueeze(-1)
    # An episode that is over has ended, not been cut off: nothing is bootstrapped behind it.
    following = {"reward": batch["reward"].unsqueeze(-1), "done": done, "terminated": done}
    following["observation"] = batch["next_observation"]
    size = batch["done"].shape
    present = {"observation": batch["observation"], "action": batch["action"]}
    return TensorDict({**present, "next": TensorDict(following, size)}, size)


def descend(loss: Tensor, optimizer: Optimizer, rates: Sequence[float]) -> None:
    """One step of an optimizer whose groups have learning rates of their own; gradients are clipped per group.

    Args:
        loss: [], what falls.
        optimizer: over all groups.
        rates: [num_groups].
    """
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
        # Per group, so that large gradients of the critics do not shrink the step of the actor.
        nn.utils.clip_grad_norm_(group["params"], LARGEST_NORM)
    optimizer.step()


def state_tensors(loss: Any, optimizer: Optimizer) -> dict[str, Tensor]:
    """Copies of networks, target networks and optimizer.

    Args:
        loss: a loss module of TorchRL, which holds all networks.
        optimizer: of its parameters.
    """
    # The state also holds TorchRL's own records, which are no tensors and never change.
    networks = {name: x for name, x in loss.state_dict().items() if isinstance(x, Tensor)}
    return add_prefix("loss", networks) | optimizer_tensors(optimizer)


def load_state(loss: Any, optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Restores `state_tensors`."""
    loss.load_state_dict({**loss.state_dict(), **strip_prefix("loss", tensors)})
    load_optimizer(optimizer, tensors)
