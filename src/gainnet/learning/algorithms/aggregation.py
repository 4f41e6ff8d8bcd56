"""Aggregation of trained values at the edge: in the open, or as sums that hide every summand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, final

import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.algorithm import State, as_type, average
from gainnet.learning.algorithms.merging import merge_products
from gainnet.learning.clients import Client
from gainnet.learning.exchange import Exchange

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

    def gather(
        self, exchange: Exchange, kind: str, start: State, finished: Finished, deadline_s: float, random: Random
    ) -> Merged:
        """Carries what has to be carried, and merges it.

        Args:
            exchange: the round on the air.
            kind: of payload.
            start: the state that the round began with.
            finished: what clients have trained.
            deadline_s: priced time after which nothing counts.
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
class ProductMean:
    """The weighted mean of LoRA of any ranks; see `merge_products`.

    Args:
        rank: of the result.
    """

    rank: int

    def __call__(self, start: State, arrived: Arrived, random: Random) -> Merged:
        """As `Rule`."""
        if not arrived:
            return Merged(start)
        states, weights = [values for _, values in arrived], [client.weight for client, _ in arrived]
        return Merged(merge_products(states, weights, self.rank), names_of(arrived))


@final
@dataclass(frozen=True)
class Open:
    """The edge sees what every client sends, and merges by a rule.

    Args:
        rule: how.
    """

    rule: Rule = field(default_factory=WeightedMean)

    def gather(
        self, exchange: Exchange, kind: str, start: State, finished: Finished, deadline_s: float, random: Random
    ) -> Merged:
        """As `Aggregation.gather`."""
        arrived = collect_all(exchange, kind, finished, deadline_s)
        # Values come in the type of the air and are averaged in that of the state.
        like = next(iter(start.values())).dtype
        return self.rule(start, [(client, as_type(values, like)) for client, values in arrived], random)


def collect_all(exchange: Exchange, kind: str, finished: Finished, deadline_s: float) -> list[tuple[Client, State]]:
    """Values that clients send back, first come first served, by name; late and lost ones are left out.

    Args:
        exchange: carries it.
        kind: of payload.
        finished: what is sent.
        deadline_s: priced time after which nothing counts.
    """
    arrived: list[tuple[Client, State]] = []
    for _, client, values in in_order(finished):
        received, stop_s = exchange.send_up(kind, client.name, values)
        if received is not None and stop_s <= deadline_s:
            arrived.append((client, received))
    # By name: sums of floating-point numbers must not depend on who was faster.
    return sorted(arrived, key=lambda pair: pair[0].name)


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
