"""The graph of a round: clients and models as vertices, what a client could do for a model as edges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from gainnet.orchestration.regime import Independent, Regime
from gainnet.orchestration.resources import Pool, each, of_model, squeeze, unsqueeze
from gainnet.orchestration.scenario import Ceiling, HandOver
from gainnet.orchestration.task import Sensing, Task
from gainnet.orchestration.workload import CEILINGS, Consumption, Workload, consumption, workload_up_to
from gainnet.orchestration.world import World


@final
@dataclass(frozen=True)
class State:
    """Samples that the rounds before leave to be consumed.

    Args:
        model: [*batch, num_clients], int64, model $m'$ that each client serves; any where nothing was sensed.
        samples: [*batch, num_clients], $x'$ that were sensed for it.
        worth: [*batch, num_clients], data correlation when they were sensed.
        interrupted: [*batch, num_clients], bool, who begins the CR on another edge; `None` where that costs nothing.
    """

    model: Tensor
    samples: Tensor
    worth: Tensor
    interrupted: Tensor | None = None

    @staticmethod
    def empty(world: World) -> State:
        """Before the first round: nothing was sensed."""
        zero = torch.zeros_like(world.bandwidth_hz)
        return State(zero.long(), zero, zero)


@final
@dataclass(frozen=True)
class Graph:
    """Everything a policy may know when it decides in one CR (vertex and edge features of GainNet, section III-B).

        client n --- bandwidth, compute ---- edge: task, targets, correlation, workload, gain ---- model m

    Args:
        regime: whether clients share spectrum.
        ceiling: what bounds the samples of a round, a name of `CEILINGS`.
        next_s: [*batch, num_clients, num_models], what a hand-over to the model's edge leaves of the next CR.
        moves: [*batch, num_clients, num_models], whether serving the model would be a hand-over.
        rounds_left: decisions left, this one included.
        own_hz: [*batch, num_clients], bandwidth of the clients' radios.
        pool: resources of this CR, [*batch, num_clients].
        exchange_s: [*batch, num_clients, num_models], least time of a model's download and upload in this CR.
        spent: what this CR consumes, [*batch, num_clients].
        tasks: models in this CR's gains, [*batch, num_clients, num_models].
        sensing: samples for each model, [*batch, num_clients, num_models].
        num_targets: [*batch, num_clients, num_models], targets of the model's domains in either sensing range.
        correlation: [*batch, num_clients, num_models], $\\omega$, 0 without targets.
        edge_of_model: [num_models], int64.
        num_sharing: [*batch, num_clients, num_models], clients on the model's edge if this client joins and no other
            moves.
        workload: most samples for each model at that sharing, at most the ceiling.
        most: the ceiling itself, whatever this CR has left for sensing.
        gain: [*batch, num_clients, num_models], $\\omega f(x)$ of that workload.
    """

    regime: Regime
    ceiling: Ceiling
    next_s: Tensor
    moves: Tensor
    rounds_left: int
    own_hz: Tensor
    pool: Pool
    exchange_s: Tensor
    spent: Consumption
    tasks: Task
    sensing: Sensing
    num_targets: Tensor
    correlation: Tensor
    edge_of_model: Tensor
    num_sharing: Tensor
    workload: Workload
    most: Workload
    gain: Tensor

    @property
    def num_models(self) -> int:
        return len(self.edge_of_model)

    @property
    def wide_pool(self) -> Pool:
        """[*batch, num_clients, 1], resources of this CR, to meet the models."""
        return unsqueeze(self.pool)

    def workload_of(self, model: Tensor) -> Workload:
        """[*batch, num_clients], what clients sense when everybody serves the model given, spectrum shared by all.

        Args:
            model: [*batch, num_clients], int64.
        """
        index = model.unsqueeze(-1)
        # Nobody's bandwidth depends on the others.
        if isinstance(self.regime, Independent):
            return squeeze(of_model(self.workload, index))
        everybody = torch.ones_like(model, dtype=torch.bool)
        sharing = sharing_of(model, self.edge_of_model, everybody)
        own_hz = self.own_hz.unsqueeze(-1)
        expected, band = (self.regime.bandwidth_hz(own_hz, k).gather(-1, index) for k in (self.num_sharing, sharing))
        # Nobody's bandwidth differs from what the graph was solved for, so its workloads hold.
        if torch.equal(expected, band):
            return squeeze(of_model(self.workload, index))
        sensing, tasks = of_model(self.sensing, index), of_model(self.tasks, index)
        return squeeze(self._workload(band, self.next_s.gather(-1, index), sensing, tasks))

    def workload_at(self, num_sharing: Tensor) -> Workload:
        """[*batch, num_clients, num_models], most samples if that many clients were on each model's edge."""
        return self.workload_with(self.regime.bandwidth_hz(self.own_hz.unsqueeze(-1), num_sharing))

    def workload_with(self, band_hz: Tensor) -> Workload:
        """[..., *batch, num_clients, num_models], most samples if clients had that bandwidth in the next CR."""
        band_hz = band_hz.expand(torch.broadcast_shapes(band_hz.shape, self.correlation.shape))
        return self._workload(band_hz, self.next_s, self.sensing, self.tasks)

    def _workload(self, band_hz: Tensor, next_s: Tensor, sensing: Sensing, tasks: Task) -> Workload:
        """Samples that can be sensed in this CR, at most what the ceiling allows on the bandwidth of the next."""
        following = Pool(band_hz, self.wide_pool.cycles_per_s.expand_as(band_hz), next_s.expand_as(band_hz))
        most = CEILINGS[self.ceiling](following, sensing, tasks)
        return workload_up_to(self.wide_pool, unsqueeze(self.spent), sensing, most)


def graph_of(world: World, regime: Regime, cr: int, state: State) -> Graph:
    """The graph of one CR.

    Args:
        world: drawn scenarios.
        regime: whether clients share spectrum.
        cr: number of the CR, from 0.
        state: what is to be consumed; `consumed` has cut it to what fits.
    """
    offer, ceiling = world.offers[cr], world.scenario.rounds.ceiling
    # Who has nothing to consume takes no spectrum of an edge.
    active = state.samples > 0
    counts = sharing_of(state.model, world.edge_of_model, active)
    pool = _present_pool(world, regime, state, counts)
    own = isinstance(regime, Independent)
    exchange_s = offer.exchange_s if own else offer.tasks.least_exchange_s(unsqueeze(pool))
    served = state.model.unsqueeze(-1)
    task = each(offer.tasks, lambda x: x.gather(-1, served).squeeze(-1))
    least_s = exchange_s.gather(-1, served).squeeze(-1)
    spent = consumption(pool, task, state.samples, least_s)
    # A client that is on the edge already does not count twice when it stays.
    there = (world.edge_of_model == world.edge_of_model[state.model].unsqueeze(-1)) & active.unsqueeze(-1)
    joined = counts + (~there).long()
    moves = ~there & active.unsqueeze(-1)
    next_s = _next_s(world, moves)
    most = _ceiling(world, regime, cr, next_s, joined)
    wide = offer.pool if pool is world.pool else unsqueeze(pool)
    workload = workload_up_to(wide, unsqueeze(spent), offer.sensing, most)
    gain = offer.correlation * regime.function(workload.samples)
    if hands_over(world) and (cost := hand_over_of(world).cost) > 0:
        gain = gain - cost * moves
    return Graph(
        regime, ceiling, next_s, moves, world.scenario.rounds.num_rounds - cr, world.bandwidth_hz, pool, exchange_s,
        spent, offer.tasks, offer.sensing, offer.num_targets, offer.correlation, world.edge_of_model, joined, workload,
        most, gain,
    )  # fmt: skip


def _ceiling(world: World, regime: Regime, cr: int, next_s: Tensor, num_sharing: Tensor) -> Workload:
    """Most samples that each model can take in the next CR with that many clients on its edge."""
    offer = world.offers[cr]
    if isinstance(regime, Independent) and not hands_over(world):
        return offer.ceiling
    band_hz = regime.bandwidth_hz(world.bandwidth_hz.unsqueeze(-1), num_sharing)
    following = Pool(band_hz, offer.pool.cycles_per_s.expand_as(band_hz), next_s)
    return CEILINGS[world.scenario.rounds.ceiling](following, offer.sensing, offer.tasks)


def hand_over_of(world: World) -> HandOver:
    """The cost of a change of the edge; nothing where the scenario does not say."""
    return world.scenario.handover or HandOver()


def hands_over(world: World) -> bool:
    """Whether whoever serves a model of another edge changes its edge, at a cost."""
    return world.scenario.handover is not None and world.scenario.radio.association == "own"


def interrupted_in(world: World, cr: int, moved: Tensor) -> Tensor | None:
    """[*batch, num_clients], bool, who begins a CR on another edge; `None` where that costs nothing.

    Args:
        world: drawn scenarios.
        cr: number of the CR.
        moved: [*batch, num_clients], bool, who chose a model on another edge.
    """
    if world.scenario.handover is None or world.scenario.radio.association == "cell_free":
        return None
    if world.scenario.radio.association == "own":
        return moved
    before, now = world.serving[..., cr - 1, :], world.serving[..., cr, :]
    # Whoever arrives is not handed over.
    return (before != now) & (before >= 0) & (now >= 0)


def _next_s(world: World, moves: Tensor) -> Tensor:
    duration_s = world.pool.duration_s.unsqueeze(-1).expand(moves.shape)
    if not hands_over(world):
        return duration_s
    return torch.where(moves, _without(duration_s, hand_over_of(world)), duration_s)


def _without(duration_s: Tensor, hand_over: HandOver) -> Tensor:
    # A pool has some time at least; in a nanosecond nothing fits.
    return (duration_s - hand_over.interruption_s).clamp_min(1e-9)


def consumed(world: World, regime: Regime, cr: int, state: State) -> State:
    """The part of what was sensed that a CR can consume, now that its gains are known; the rest is dropped."""
    served = state.model.unsqueeze(-1)
    if isinstance(regime, Independent) and state.interrupted is None:
        most = world.offers[cr].most_samples.gather(-1, served).squeeze(-1)
    else:
        counts = sharing_of(state.model, world.edge_of_model, state.samples > 0)
        pool = _present_pool(world, regime, state, counts)
        most = squeeze(of_model(world.offers[cr].tasks, served)).most_samples(pool)
    return State(state.model, torch.minimum(state.samples, most), state.worth, state.interrupted)


def sharing_of(model: Tensor, edge_of_model: Tensor, active: Tensor) -> Tensor:
    """[*batch, num_clients, num_models], how many active clients are on the edge of each model.

    Args:
        model: [*batch, num_clients], int64.
        edge_of_model: [num_models], int64.
        active: [*batch, num_clients], who takes spectrum of an edge.

    >>> sharing_of(torch.tensor([0, 1, 2]), torch.tensor([0, 0, 1]), torch.tensor([True, True, False]))[0]
    tensor([2, 2, 0])
    """
    edge = edge_of_model[model]
    counts = torch.zeros(*model.shape[:-1], int(edge_of_model.max()) + 1, dtype=torch.long)
    counts.scatter_add_(-1, edge, active.long())
    return counts[..., edge_of_model].unsqueeze(-2).expand(*model.shape, len(edge_of_model))


def _present_pool(world: World, regime: Regime, state: State, num_sharing: Tensor) -> Pool:
    """[*batch, num_clients], what clients have while they consume; one that has nothing to consume shares no edge."""
    duration_s = world.pool.duration_s
    if state.interrupted is not None:
        duration_s = torch.where(state.interrupted, _without(duration_s, hand_over_of(world)), duration_s)
    elif isinstance(regime, Independent):
        return world.pool
    band = regime.bandwidth_hz(world.bandwidth_hz.unsqueeze(-1), num_sharing)
    shared = band.gather(-1, state.model.unsqueeze(-1)).squeeze(-1)
    return Pool(torch.where(state.samples > 0, shared, world.bandwidth_hz), world.cycles_per_s, duration_s)
