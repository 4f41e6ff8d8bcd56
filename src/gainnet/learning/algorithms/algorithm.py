"""The contract of federated algorithms: a start, and a round from one state to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from gainnet.core.randomness import Random
from gainnet.core.report import Report
from gainnet.learning.clients import Client

State = Mapping[str, Tensor]
"""Everything that the next round depends on, by name; a checkpoint is exactly this."""


class Algorithm(Protocol):
    """A federated algorithm.

    state --round(clients)--> state, report
    """

    def init(self, random: Random) -> State:
        """The state before the first round."""

    def round(self, state: State, clients: Sequence[Client], random: Random) -> tuple[State, Report]:
        """The next state, and what the round cost.

        Args:
            state: is not changed.
            clients: their order changes nothing.
            random: streams of this round, of one item.
        """

    def model_of(self, state: State) -> Any:
        """The whole model that a state describes, for inference; valid until the next call."""


def average(states: Sequence[State], weights: Sequence[float]) -> dict[str, Tensor]:
    r"""The weighted mean of states, $\sum_i w_i s_i / \sum_i w_i$ (McMahan et al. 2017), summed in float64.

    Args:
        states: with equal names and shapes.
        weights: one per state, positive.

    >>> average([{"a": torch.tensor([0.0])}, {"a": torch.tensor([4.0])}], [3, 1])
    {'a': tensor([1.])}
    """
    # In float64, so that a mean of equal values is that value.
    total = sum(weights)
    return {
        name: sum((w / total) * state[name].double() for state, w in zip(states, weights, strict=True)).to(x.dtype)  # type: ignore[union-attr]
        for name, x in states[0].items()
    }


def values_of(model: nn.Module, names: Sequence[str] | None = None) -> dict[str, Tensor]:
    """Copies of parameters by name, all or those named."""
    named = dict(model.named_parameters())
    return {name: named[name].detach().clone() for name in (names if names is not None else named)}


@torch.no_grad()
def load_values(model: nn.Module, values: State) -> None:
    """Copies values into the parameters of those names."""
    named = dict(model.named_parameters())
    for name, value in values.items():
        named[name].copy_(value)


def as_type(tensors: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """The tensors in another floating-point type.

    >>> as_type({"a": torch.ones(1)}, torch.float16)["a"].dtype
    torch.float16
    """
    return {name: x.to(dtype) for name, x in tensors.items()}
