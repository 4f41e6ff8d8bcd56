"""The graph of a round: clients and models as vertices, what a client could do for a model as edges."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from gainnet.orchestration.gain import CORRELATIONS, Correlation
from gainnet.orchestration.regime import Regime
from gainnet.orchestration.resources import Pool, of_model, squeeze, unsqueeze
from gainnet.orchestration.scenario import Ceiling
from gainnet.orchestration.workload import CEILINGS, Consumption, Sensing, Task, Workload, consumption, workload_up_to
from gainnet.orchestration.world import World


@final
@dataclass(frozen=True)
class State:
    """Samples that the rounds before leave to be consumed.

    Args:
        model: [*batch, num_clients], int64, model $m'$ that each client serves; any where nothing was sensed.
        samples: [*batch, num_clients], $x'$ that were sensed for it.
        worth: [*batch, num_clients], data correlation when they were sensed.
    """

    model: Tensor
    samples: Tensor
    worth: Tensor

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
        rounds_left: decisions left, this one included.
        own_hz: [*batch, num_clients], bandwidth of the clients' radios.
        pool: resources of this CR, [*batch, num_clients].
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
    rounds_left: int
    own_hz: Tensor
    pool: Pool
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
        everybody = torch.ones_like(model, dtype=torch.bool)
        sharing = sharing_of(model, self.edge_of_model, everybody)
        own_hz = self.own_hz.unsqueeze(-1)
        expected, band = (self.regime.bandwidth_hz(own_hz, k).gather(-1, index) for k in (self.num_sharing, sharing))
        # Nobody's bandwidth differs from what the graph was solved for, so its workloads hold.
        if torch.equal(expected, band):
            return squeeze(of_model(self.workload, index))
        sensing, tasks = of_model(self.sensing, index), of_model(self.tasks, index)
        return squeeze(self._workload(band, sensing, tasks))

    def workload_at(self, num_sharing: Tensor) -> Workload:
        """[*batch, num_clients, num_models], most samples if that many clients were on each model's edge."""
        return self.workload_with(self.regime.bandwidth_hz(self.own_hz.unsqueeze(-1), num_sharing))

    def workload_with(self, band_hz: Tensor) -> Workload:
        """[..., *batch, num_clients, num_models], most samples if clients had that bandwidth in the next CR."""
        band_hz = band_hz.expand(torch.broadcast_shapes(band_hz.shape, self.correlation.shape))
        return self._workload(band_hz, self.sensing, self.tasks)

    def _workload(self, band_hz: Tensor, sensing: Sensing, tasks: Task) -> Workload:
        """Samples that can be sensed in this CR, at most what the ceiling allows on the bandwidth of the next."""
        most = _most(self.ceiling, self.pool, band_hz, sensing, tasks)
        return workload_up_to(self.wide_pool, unsqueeze(self.spent), sensing, most)


def graph_of(world: World, regime: Regime, cr: int, state: State) -> Graph:
    """The graph of one CR.

    Args:
        world: drawn scenarios.
        regime: whether clients share spectrum.
        cr: number of the CR, from 0.
        state: what is to be consumed; `consumed` has cut it to what fits.
    """
    models = world.scenario.models
    edge_of_model = torch.tensor([model.edge for model in models])
    tasks, sensing = tasks_of(world, cr), sensing_of(world, cr)
    # Who has nothing to consume takes no spectrum of an edge.
    active = state.samples > 0
    counts = sharing_of(state.model, edge_of_model, active)
    pool = _present_pool(world, regime, state, counts)
    spent = consumption(pool, _of_client(tasks, state.model), state.samples)
    # A client that is on the edge already does not count twice when it stays.
    there = (edge_of_model == edge_of_model[state.model].unsqueeze(-1)) & active.unsqueeze(-1)
    joined = counts + (~there).long()
    next_band = regime.bandwidth_hz(world.bandwidth_hz.unsqueeze(-1), joined)
    ceiling = world.scenario.rounds.ceiling
    most = _most(ceiling, pool, next_band, sensing, tasks)
    workload = workload_up_to(unsqueeze(pool), unsqueeze(spent), sensing, most)
    # A target in range of both sensors is one target.
    num_targets = torch.maximum(*(_targets_of(world, cr, kind) for kind in ("num_wireless", "num_visual")))
    correlation = correlation_of(world, cr)
    gain = correlation * regime.function(workload.samples)
    return Graph(
        regime, ceiling, world.scenario.rounds.num_rounds - cr, world.bandwidth_hz, pool, spent, tasks, sensing,
        num_targets, correlation, edge_of_model, joined, workload, most, gain,
    )  # fmt: skip


def consumed(world: World, regime: Regime, cr: int, state: State) -> State:
    """The part of what was sensed that a CR can consume, now that its gains are known; the rest is dropped."""
    edge_of_model = torch.tensor([model.edge for model in world.scenario.models])
    counts = sharing_of(state.model, edge_of_model, state.samples > 0)
    pool = _present_pool(world, regime, state, counts)
    most = _of_client(tasks_of(world, cr), state.model).most_samples(pool)
    return State(state.model, torch.minimum(state.samples, most), state.worth)


def tasks_of(world: World, cr: int) -> Task:
    """Every model as every client meets it in a CR, [*batch, num_clients, num_models]."""
    models = world.scenario.models
    edges = torch.tensor([model.edge for model in models])
    down, up = (x[..., cr, :, :][..., edges] for x in (world.cn0_down_hz, world.cn0_up_hz))
    bits = torch.tensor([model.num_bits for model in models], dtype=torch.float64)
    cycles = torch.tensor([model.cycles_per_sample for model in models], dtype=torch.float64)
    return Task(bits.expand_as(down), cycles.expand_as(down), down, up)


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
    band = regime.bandwidth_hz(world.bandwidth_hz.unsqueeze(-1), num_sharing)
    shared = band.gather(-1, state.model.unsqueeze(-1)).squeeze(-1)
    return Pool(torch.where(state.samples > 0, shared, world.bandwidth_hz), world.cycles_per_s, world.pool.duration_s)


def _most(ceiling: Ceiling, pool: Pool, band_hz: Tensor, sensing: Sensing, tasks: Task) -> Workload:
    now = unsqueeze(pool)
    following = Pool(band_hz, now.cycles_per_s.expand_as(band_hz), now.duration_s.expand_as(band_hz))
    return CEILINGS[ceiling](following, sensing, tasks)


def _of_client(tasks: Task, model: Tensor) -> Task:
    """[*batch, num_clients], the model that each client serves."""
    return squeeze(of_model(tasks, model.unsqueeze(-1)))


def sensing_of(world: World, cr: int) -> Sensing:
    """Costs of samples for every model to every client in a CR, [*batch, num_clients, num_models]."""
    numbers = world.scenario.sensing
    most = math.inf if numbers.most_samples_per_target is None else numbers.most_samples_per_target
    # A target has only so many samples that differ in a CR, however fast it is sensed.
    most_per_s = most / world.scenario.rounds.duration_s
    wireless = min(numbers.wireless_samples_per_target_s, most_per_s) * _targets_of(world, cr, "num_wireless")
    visual = min(numbers.visual_samples_per_target_s, most_per_s) * _targets_of(world, cr, "num_visual")
    spectrum, cycles = (torch.full_like(wireless, x) for x in (numbers.wireless_spectrum_hz_s, numbers.visual_cycles))
    return Sensing(spectrum, cycles, wireless, visual)


def _targets_of(world: World, cr: int, kind: str) -> Tensor:
    """[*batch, num_clients, num_models], targets of any domain that the model has."""
    counts: Tensor = getattr(world, kind)[..., cr, :, :]
    return counts @ (_domains(world) > 0).double().T


def correlation_of(world: World, cr: int) -> Tensor:
    """[*batch, num_clients, num_models], how related what a client senses is to each model; 0 without targets."""
    numbers = world.scenario.gain
    sensed = torch.maximum(world.num_wireless[..., cr, :, :], world.num_visual[..., cr, :, :]).unsqueeze(-2)
    related = Correlation(CORRELATIONS[numbers.correlation], numbers.smoothing)(sensed, _domains(world))
    return torch.where(sensed.sum(-1) > 0, related, 0.0)


def _domains(world: World) -> Tensor:
    return torch.tensor([model.domains for model in world.scenario.models], dtype=torch.float64)
