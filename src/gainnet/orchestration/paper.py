"""State and action of GainNet's own learner: resource pools and gains of all, and the index of a model."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from gainnet.orchestration.graph import Graph

PAPER_NAMES = ("spectrum", "cycles", "free_spectrum", "free_cycles", "gains")
"""Features of a client; the last one is as many values as there are models."""


def paper_state(graph: Graph) -> Tensor:
    """[*batch, num_clients, 4 + num_models], float32: all vertex and edge features (GainNet, section III-B).

    A client's vertex has its resource pool, against the mean of all clients, and what of it this CR does not consume;
    its edges have the gain of every model.

    >>> from gainnet.core.randomness import Random
    >>> from gainnet.orchestration import Independent, State, draw_world, graph_of, load_scenario
    >>> street = load_scenario("street")
    >>> paper_state(graph_of(draw_world(street, Random.of(1)), Independent.of(street), 0, State.empty(
    ...     draw_world(street, Random.of(1))))).shape
    torch.Size([50, 8])
    """
    pool, spent = graph.pool, graph.spent
    vertices = [
        graph.own_hz / graph.own_hz.mean(-1, keepdim=True),
        pool.cycles_per_s / pool.cycles_per_s.mean(-1, keepdim=True),
        1 - spent.exchange.area_hz_s / pool.spectrum_hz_s,
        1 - spent.cycles / pool.cycles,
    ]
    return torch.cat([torch.stack(vertices, -1), graph.gain], -1).float()


@final
class IndexNetwork(nn.Module):
    """A number for every model by its index, from a client's own state and the mean over all clients.

    Args:
        num_models: models, in the order of training; any number of clients.
        width: of the hidden layers.

    >>> IndexNetwork(4, 8)(torch.ones(5, 8)).shape
    torch.Size([5, 4])
    """

    def __init__(self, num_models: int, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(len(PAPER_NAMES) - 1 + num_models, width)
        self.own = nn.Linear(width, width)
        self.mean = nn.Linear(width, width, bias=False)
        self.last = nn.Linear(width, num_models)

    def forward(self, state: Tensor) -> Tensor:
        """[*batch, num_clients, num_models] of states [*batch, num_clients, 4 + num_models]."""
        h = torch.relu(self.first(state))
        h = torch.relu(self.own(h) + self.mean(h.mean(-2, keepdim=True)))
        scores: Tensor = self.last(h)
        return scores


@final
class TeamValue(nn.Module):
    """One value of all clients together, from features of pairs of client and model.

    Args:
        num_features: per pair.
        width: of the hidden layers.

    >>> TeamValue(3, 8)(torch.ones(2, 5, 4, 3)).shape
    torch.Size([2, 1])
    """

    def __init__(self, num_features: int, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(num_features, width)
        self.own = nn.Linear(2 * width, width)
        self.last = nn.Linear(width, 1)

    def forward(self, features: Tensor) -> Tensor:
        """[*batch, 1] of features [*batch, num_clients, num_models, num_features]."""
        h = torch.relu(self.first(features))
        # What a client's best model offers, and what its models offer on average; then the mean over clients.
        h = torch.cat([h.mean(-2), h.amax(-2)], -1)
        value: Tensor = self.last(torch.relu(self.own(h)).mean(-2))
        return value
