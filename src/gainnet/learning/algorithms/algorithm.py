"""The contract of federated algorithms: a start, and a round from one state to the next; and its second half.

Aggregation of trained values at the edge is in the open, or as sums that hide every summand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, final

import torch
from torch import Tensor, nn

from gainnet.core.randomness import Random
from gainnet.core.report import Report
from gainnet.core.types import NodeId
from gainnet.learning.clients import Client
from gainnet.learning.exchange import Uplink

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


_OF_THE_EDGE = ("edge_optimizer.", "server/", "control/")
"""Beginnings of names in a state that are no weights: the past of optimizers, and control variates."""


def weights_in(state: State) -> dict[str, Tensor]:
    """The weights of a state, without what an edge or a client remembers beside them.

    >>> list(weights_in({"head.weight": torch.ones(1), "server/first/head.weight": torch.ones(1)}))
    ['head.weight']
    """
    return {name: x for name, x in state.items() if not name.startswith(_OF_THE_EDGE)}


def values_of(model: nn.Module, names: Sequence[str] | None = None) -> dict[str, Tensor]:
    """Copies of parameters by name, all or those named; on the processor, wherever the model is."""
    named = dict(model.named_parameters())
    return {name: named[name].detach().to("cpu", copy=True) for name in (named if names is None else names)}


def trained_values(model: nn.Module) -> dict[str, Tensor]:
    """As `values_of`, of all parameters that are not locked."""
    return values_of(model, [name for name, p in model.named_parameters() if p.requires_grad])


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


Finished = Sequence[tuple[float, Client, State]]
"""(priced time when its training ended, who, what it has): on the clients, before anything is sent."""

Arrived = Sequence[tuple[Client, State]]
"""(who, what the edge has received of it), by name."""


@final
@dataclass(frozen=True)
class Merged:
    """Result of an aggregation.

    Args:
        state: what the next round begins with.
        included: clients whose values went into it, by name.
    """

    state: State
    included: tuple[NodeId, ...] = ()


class Rule(Protocol):
    """One state of those that have arrived."""

    def __call__(self, start: State, arrived: Arrived, random: Random) -> Merged:
        """The next state.

        Args:
            start: the state that the round began with; it stays where nothing has arrived.
            arrived: in the types of `start`.
            random: of the round.
        """


class Aggregation(Protocol):
    """The second half of a round: from what clients have trained to the next state.

    devices ==values==> edge: next state
    """

    def gather(self, uplink: Uplink, start: State, finished: Finished, random: Random) -> Merged:
        """Carries what has to be carried, and merges it.

        Args:
            uplink: the way to the edge in this round.
            start: the state that the round began with.
            finished: what clients have trained.
            random: of the round.
        """


@final
@dataclass(frozen=True)
class WeightedMean:
    """The mean of the values, weighted by how much text a client has (McMahan et al. 2017): the rule of FedAvg."""

    def __call__(self, start: State, arrived: Arrived, random: Random) -> Merged:
        """As `Rule`."""
        if not arrived:
            return Merged(start)
        merged = average([values for _, values in arrived], [client.weight for client, _ in arrived])
        return Merged(merged, names_of(arrived))


@final
@dataclass(frozen=True)
class Open:
    """The edge sees what every client sends, and merges by a rule.

    Args:
        rule: how.
    """

    rule: Rule = field(default_factory=WeightedMean)

    def gather(self, uplink: Uplink, start: State, finished: Finished, random: Random) -> Merged:
        """As `Aggregation.gather`."""
        # First come first served: what is sent later waits longer, and late and lost values are left out.
        received = [(client, uplink.receive(client.name, values)) for _, client, values in in_order(finished)]
        # Values come in the type of the air and are averaged in that of the state.
        like = next(iter(start.values())).dtype
        arrived = [(client, as_type(values, like)) for client, values in received if values is not None]
        # By name: sums of floating-point numbers must not depend on who was faster.
        return self.rule(start, sorted(arrived, key=lambda pair: pair[0].name), random)


def in_order(finished: Finished) -> Finished:
    """First come first served, by name where two come at once."""
    return sorted(finished, key=lambda entry: (entry[0], entry[1].name))


def names_of(arrived: Arrived) -> tuple[NodeId, ...]:
    """Names of the clients that something has arrived of."""
    return tuple(client.name for client, _ in arrived)


def update_of(start: State, values: State) -> Tensor:
    """[num_values] float64, what a client has changed, in the order of the names.

    >>> update_of({"b": torch.ones(1), "a": torch.zeros(2)}, {"b": torch.ones(1), "a": torch.ones(2)}).tolist()
    [1.0, 1.0, 0.0]
    """
    return torch.cat([(values[name].double() - start[name].double()).reshape(-1) for name in sorted(start)])


def with_update(start: State, update: Tensor) -> dict[str, Tensor]:
    """The state that an update of [num_values] makes of another one, in its types; the inverse of `update_of`."""
    names = sorted(start)
    parts = update.double().split([start[name].numel() for name in names])
    return {
        n: (start[n].double() + part.reshape(start[n].shape)).to(start[n].dtype)
        for n, part in zip(names, parts, strict=True)
    }
