"""A policy that looks some rounds ahead as if nothing moved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from gainnet.core.errors import check_range
from gainnet.core.randomness import Random
from gainnet.orchestration.association import Association
from gainnet.orchestration.congestion import ShareTable
from gainnet.orchestration.graph import Graph
from gainnet.orchestration.regime import Contention
from gainnet.orchestration.resources import Pool, each, unsqueeze
from gainnet.orchestration.workload import CEILINGS, Workload, consumption, workload_up_to


@final
@dataclass(frozen=True)
class LookAhead:
    """The first model of the best sequence of models, were all CRs received and sensed as this one.

        now: m0, x0 samples --> consumed while m1 is sensed --> consumed while m2 is sensed ...

    Where samples of a model add up, a client's samples of later rounds have the price of its samples now: what the
    model gains by one more of them when the others have settled as a crowd, its cost to them included.

    Args:
        depth: rounds that are looked at, this one included, >= 1; with 1 it is `CrowdGreedy`.

    Raises:
        ConfigError: the depth is below 1.
    """

    depth: int = 3

    def __post_init__(self) -> None:
        check_range(self.depth >= 1, "depth", self.depth, "1 or more rounds")

    def __call__(self, graph: Graph, random: Random) -> Association:
        # Nothing is sensed after the last decision.
        depth = min(self.depth, graph.rounds_left)
        if not isinstance(graph.regime, Contention):
            later = Outlook.of(graph).later(graph.workload.samples, depth - 1) if depth > 1 else 0.0
            return Association((graph.gain + later).argmax(-1))
        table = ShareTable.of(graph)
        crowd = table.settled()
        if depth == 1:
            return Association(crowd.marginal.argmax(-1))
        samples = graph.workload_with(crowd.band_hz).samples
        outlook = Outlook.shared(graph, crowd.band_hz, crowd.marginal / samples.clamp_min(1e-9))
        later = outlook.later(samples, depth - 1)
        # The crowd settles again, now that everybody knows what follows a choice.
        return Association((table.settled(later).marginal + later).argmax(-1))


@final
@dataclass(frozen=True)
class Outlook:
    """Value of later rounds for a client, were they as the present one.

    Args:
        graph: the present round.
        pool: [*batch, num_clients, num_models], resources while a model is consumed.
        ceiling: [*batch, num_clients, num_models], most samples of a round.
        worth: samples [*batch, num_clients, num_states, num_models] to what they gain.
    """

    graph: Graph
    pool: Pool
    ceiling: Workload
    worth: Callable[[Tensor], Tensor]

    @staticmethod
    def of(graph: Graph) -> Outlook:
        """Of clients with their own spectrum."""
        correlation, function = graph.correlation.unsqueeze(-2), graph.regime.function
        pool = each(graph.wide_pool, lambda x: x.expand_as(graph.correlation))
        return Outlook(graph, pool, graph.most, lambda samples: correlation * function(samples))

    @staticmethod
    def shared(graph: Graph, band_hz: Tensor, price: Tensor) -> Outlook:
        """Of clients among others.

        Args:
            graph: the present round.
            band_hz: [*batch, num_clients, num_models], bandwidth that a client would have.
            price: [*batch, num_clients, num_models], gain of one more sample.
        """
        rest = graph.wide_pool
        pool = Pool(band_hz, rest.cycles_per_s.expand_as(band_hz), rest.duration_s.expand_as(band_hz))
        ceiling = CEILINGS[graph.ceiling](pool, graph.sensing, graph.tasks)
        return Outlook(graph, pool, ceiling, lambda samples: price.unsqueeze(-2) * samples)

    def later(self, samples: Tensor, num_rounds: int) -> Tensor:
        """[*batch, num_clients, num_states], most that the next rounds gain.

        Args:
            samples: [*batch, num_clients, num_states], sensed so far, num_states a power of the number of models; the
                model of a state is the last digit of its number.
            num_rounds: rounds that follow, >= 1.
        """
        # Every state by its own model: columns of the models, repeated.
        model = torch.arange(samples.shape[-1]) % self.graph.num_models
        pool, tasks = each(self.pool, lambda x: x[..., model]), each(self.graph.tasks, lambda x: x[..., model])
        left = torch.minimum(samples, tasks.most_samples(pool))
        spent = unsqueeze(consumption(pool, tasks, left))
        sensing = each(self.graph.sensing, lambda x: x.unsqueeze(-2))
        ceiling = each(self.ceiling, lambda x: x.unsqueeze(-2))
        sensed = workload_up_to(unsqueeze(pool), spent, sensing, ceiling).samples
        value = self.worth(sensed)
        if num_rounds > 1:
            value = value + self.later(sensed.flatten(-2), num_rounds - 1).reshape(value.shape)
        return value.amax(-1)
