"""Who serves which model: policies that look at the graph of one round."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, final

import numpy as np
import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.orchestration.congestion import ShareTable
from gainnet.orchestration.graph import Graph
from gainnet.orchestration.regime import Contention


@final
@dataclass(frozen=True)
class Association:
    """The decision of one round.

    Args:
        model: [*batch, num_clients], int64, model that each client serves.
    """

    model: Tensor


class Policy(Protocol):
    """A way to decide."""

    def __call__(self, graph: Graph, random: Random) -> Association:
        """The association of one round, from what is known in it."""


def communication_s(graph: Graph, num_samples: float) -> Tensor:
    """[*batch, num_clients, num_models], least time of download and upload; `inf` out of reach."""
    return graph.exchange_s


def computing_s(graph: Graph, num_samples: float) -> Tensor:
    """[*batch, num_clients, num_models], time to train with so many samples."""
    return num_samples * graph.tasks.cycles_per_sample / graph.wide_pool.cycles_per_s


def sensing_s(graph: Graph, num_samples: float) -> Tensor:
    """[*batch, num_clients, num_models], time to sense so many samples; `inf` without targets."""
    return num_samples / graph.sensing.per_s(graph.wide_pool)


@final
@dataclass(frozen=True)
class LeastLatency:
    """ML-C, ML-CC, ML-SCC: the model with the least latency (GainNet's baselines, section IV-B).

    Args:
        num_samples: samples that are timed > 0 (assumed, the paper gives none).
        stages: latencies that are added up.
    """

    num_samples: float
    stages: tuple[Callable[[Graph, float], Tensor], ...]

    def __call__(self, graph: Graph, random: Random) -> Association:
        latency_s = torch.stack([stage(graph, self.num_samples) for stage in self.stages]).sum(0)
        return Association(latency_s.argmin(-1))


@final
@dataclass(frozen=True)
class MostTargets:
    """MP-TSC: the largest product of the number of sensed targets and the sensing capacity in samples per second."""

    def __call__(self, graph: Graph, random: Random) -> Association:
        return Association((graph.num_targets * graph.sensing.per_s(graph.wide_pool)).argmax(-1))


@final
@dataclass(frozen=True)
class RandomChoice:
    """Any model with equal probability.

    >>> from gainnet.orchestration import Independent, State, draw_world, graph_of, load_scenario
    >>> street = load_scenario("street")
    >>> world = draw_world(street, Random.of(1))
    >>> graph = graph_of(world, Independent.of(street), 0, State.empty(world))
    >>> first, again = (RandomChoice()(graph, Random.of(7)).model for _ in range(2))
    >>> torch.equal(first, again)  # its draws are those of its stream
    True
    """

    def __call__(self, graph: Graph, random: Random) -> Association:
        # A uniform number can round up to 1, which would be one model too many.
        drawn = random.uniform(graph.own_hz.shape[-1:], "choice")
        return Association((drawn * graph.num_models).long().clamp_max(graph.num_models - 1))


@final
@dataclass(frozen=True)
class LargestCorrelation:
    """The model whose data are the most like what the client senses."""

    def __call__(self, graph: Graph, random: Random) -> Association:
        return Association(graph.correlation.argmax(-1))


@final
@dataclass(frozen=True)
class Greedy:
    """The model with the largest gain now, everybody at once and as if no other moved.

    >>> from gainnet.orchestration import Independent, State, draw_world, graph_of, load_scenario
    >>> street = load_scenario("street")
    >>> world = draw_world(street, Random.of(1))
    >>> graph = graph_of(world, Independent.of(street), 0, State.empty(world))
    >>> chosen = Greedy()(graph, Random.of(1))
    >>> chosen.model.shape[-1] == street.clients.num_clients
    True
    >>> torch.equal(graph.gain.gather(-1, chosen.model[..., None]).squeeze(-1), graph.gain.amax(-1))
    True
    """

    def __call__(self, graph: Graph, random: Random) -> Association:
        return Association(graph.gain.argmax(-1))


@final
@dataclass(frozen=True)
class CrowdGreedy:
    """The model to which a client adds most, its cost to others included, when the others are a crowd that has settled.

    Everybody at once, as `Greedy`, but after some sweeps over expected loads; without contention it is `Greedy`. It is
    the learned policy before any training.
    """

    def __call__(self, graph: Graph, random: Random) -> Association:
        if not isinstance(graph.regime, Contention):
            return Greedy()(graph, random)
        return Association(ShareTable.of(graph).settled().marginal.argmax(-1))


@final
@dataclass(frozen=True)
class SequentialGreedy:
    """One client after the other, in random order, takes the model that adds most to the total of those before it.

    Clients that have not chosen yet take no spectrum and add nothing.
    """

    def __call__(self, graph: Graph, random: Random) -> Association:
        table = LoadTable.of(graph)
        # One generator per item, so that a world of a batch decides as the world alone.
        order = np.stack([g.permutation(graph.own_hz.shape[-1]) for g in random.generators("order")])
        model = torch.full_like(graph.own_hz, -1, dtype=torch.long)
        return Association(table.turns(model, torch.from_numpy(order).reshape(model.shape)))


@final
@dataclass(frozen=True)
class BestResponse:
    """From several starts, clients in turn move wherever the total grows until none does; the best end is taken.

    Args:
        num_starts: random starts beside the greedy one, >= 0.
        max_rounds: rounds of turns per start; the total grows with every move, so it ends before in practice.
    """

    num_starts: int = 4
    max_rounds: int = 50

    def __call__(self, graph: Graph, random: Random) -> Association:
        table = LoadTable.of(graph)
        # The total is not concave: several starts, and the best end.
        starts = [graph.gain.argmax(-1)]
        starts += [RandomChoice()(graph, random.child("start", k)).model for k in range(self.num_starts)]
        order = torch.arange(graph.own_hz.shape[-1]).expand_as(starts[0])
        ends = [self._settled(table, start, order) for start in starts]
        totals = torch.stack([table.total(end) for end in ends])
        # The index of the best end of every item, broadcast over its clients.
        best = totals.argmax(0)[None, ..., None].expand(1, *starts[0].shape)
        return Association(torch.stack(ends).gather(0, best)[0])

    def _settled(self, table: LoadTable, model: Tensor, order: Tensor) -> Tensor:
        for _ in range(self.max_rounds):
            moved = table.turns(model, order)
            if torch.equal(moved, model):
                break
            model = moved
        return model


@final
@dataclass(frozen=True)
class Matching:
    """The one-to-one matching of clients to places at models with the largest sum of gains (Hungarian method).

    Every model has an equal number of places, $\\lceil N / M \\rceil$ (assumed).
    """

    def __call__(self, graph: Graph, random: Random) -> Association:
        from scipy.optimize import linear_sum_assignment

        num_clients, num_models = graph.gain.shape[-2:]
        num_places = -(-num_clients // num_models)
        rows = []
        for gain in graph.gain.reshape(-1, num_clients, num_models).numpy():
            _, place = linear_sum_assignment(np.repeat(gain, num_places, axis=1), maximize=True)
            # Column k of the repeated gains is a place at model k // num_places.
            rows.append(place // num_places)
        return Association(torch.from_numpy(np.stack(rows)).reshape(graph.gain.shape[:-1]))


@final
@dataclass(frozen=True)
class LoadTable:
    """Worth of every client for every model at every load of the model's edge: all that contention depends on.

    Args:
        graph: where it comes from.
        worth: [num_clients + 1, *batch, num_clients, num_models], $\\omega_{nm} x_{nm}(k)$ with k clients on the edge.
        samples: the same without correlation.
    """

    graph: Graph
    worth: Tensor
    samples: Tensor

    @staticmethod
    def of(graph: Graph) -> LoadTable:
        """The table of a graph; loads at which nobody's bandwidth changes are solved once."""
        num_clients = graph.own_hz.shape[-1]
        columns: list[Tensor] = []
        last: Tensor | None = None
        for load in range(num_clients + 1):
            # A load of 0 has the column of 1: nobody looks it up, and no band is divided by zero.
            sharing = torch.full_like(graph.correlation, max(load, 1), dtype=torch.long)
            band = graph.regime.bandwidth_hz(graph.own_hz.unsqueeze(-1), sharing)
            # While everybody's radio is the narrower one, loads change nothing: solved once.
            same = last is not None and torch.equal(band, last)
            columns.append(columns[-1] if same else graph.workload_at(sharing).samples)
            last = band
        samples = torch.stack(columns)
        return LoadTable(graph, graph.correlation * samples, samples)

    def total(self, model: Tensor) -> Tensor:
        """[*batch], gain of an association; clients with model -1 serve none.

        Args:
            model: [*batch, num_clients], int64, -1 or a model.
        """
        # A client that serves none is given model 0 and weight 0.
        chosen = model.clamp_min(0)
        active = model >= 0
        edge = self.graph.edge_of_model[chosen]
        counts = torch.zeros(*model.shape[:-1], int(self.graph.edge_of_model.max()) + 1, dtype=torch.long)
        load = counts.scatter_add(-1, edge, active.long()).gather(-1, edge)
        index = chosen[None, ..., None]
        column = load[None, ..., None].expand(1, *load.shape, self.samples.shape[-1])
        samples = self.samples.gather(0, column).gather(-1, index)[0, ..., 0]
        worth = self.graph.correlation.gather(-1, chosen.unsqueeze(-1)).squeeze(-1)
        return self.graph.regime.total(torch.where(active, worth, 0.0), torch.where(active, samples, 0.0), chosen)

    def turns(self, model: Tensor, order: Tensor) -> Tensor:
        """Every client in `order` [*batch, num_clients] moves once to where the total is largest; it stays in doubt."""
        for turn in range(order.shape[-1]):
            client = order[..., turn : turn + 1]
            tried = [model.scatter(-1, client, choice) for choice in range(self.graph.num_models)]
            totals = torch.stack([self.total(one) for one in tried], -1)
            best = totals.argmax(-1)
            here = model.gather(-1, client).squeeze(-1)
            value = totals.gather(-1, here.clamp_min(0).unsqueeze(-1)).squeeze(-1)
            # A margin against moves of equal worth, which would go on for ever by rounding.
            improves = (here < 0) | (totals.amax(-1) > value * (1 + 1e-12))
            model = model.scatter(-1, client, torch.where(improves, best, here).unsqueeze(-1))
        return model
