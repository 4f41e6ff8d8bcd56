"""Features of every pair of client and model for the learned policy: numbers without units or sizes of the scenario."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from gainnet.orchestration.congestion import ShareTable
from gainnet.orchestration.graph import Graph
from gainnet.orchestration.regime import Contention
from gainnet.orchestration.resources import Pool
from gainnet.orchestration.workload import Reason, consumption

NAMES = (
    "immediate",
    "behind",
    "correlation",
    "samples",
    "most",
    "exchange",
    "training",
    "next_spectrum",
    "next_cycles",
    "spectrum",
    "cycles",
    "wireless_need",
    "visual_need",
    "wireless_most",
    "visual_most",
    "last",
    "rounds_left",
    "feasible",
    "crowd",
    "band",
)
"""Every feature; the first is what a decision adds at once, the second how far that is behind the client's best."""

_LONG_HORIZON = 5.0


@final
@dataclass(frozen=True)
class Observation:
    """Observation of a graph by a policy.

    Args:
        graph: what it is of.
        table: worths at shares of bandwidth where clients share, else `None`.
        features: [*batch, num_clients, num_models, len(NAMES)], float32.
    """

    graph: Graph
    table: ShareTable | None
    features: Tensor

    @staticmethod
    def of(graph: Graph) -> Observation:
        """The observation of a graph.

        >>> from gainnet.core.randomness import Random
        >>> from gainnet.orchestration import Independent, State, draw_world, graph_of, load_scenario
        >>> street = load_scenario("street")
        >>> world = draw_world(street, Random.of(1))
        >>> Observation.of(graph_of(world, Independent.of(street), 0, State.empty(world))).features.shape
        torch.Size([50, 4, 20])
        """
        if not isinstance(graph.regime, Contention):
            one = torch.ones_like(graph.gain)
            return Observation(graph, None, _features(graph, graph.gain, graph.workload.samples, 0 * one, one))
        table = ShareTable.of(graph)
        crowd = table.settled()
        samples = graph.workload_with(crowd.band_hz).samples
        band = crowd.band_hz / graph.own_hz.unsqueeze(-1)
        return Observation(graph, table, _features(graph, _scaled(graph, crowd.marginal), samples, crowd.share, band))

    def rewards(self, model: Tensor) -> Tensor:
        """[*batch, num_clients], what each client's decision adds to the total: its difference reward.

        Independent clients add their own gain. Under contention it is the total less that without the client (Wolpert
        and Tumer 2001), times clients per weight of the models, up to the interpolation of the table.

        Args:
            model: [*batch, num_clients], int64, what everybody serves.
        """
        if self.table is None:
            return self.graph.gain.gather(-1, model.unsqueeze(-1)).squeeze(-1)
        # The crowd that decides for sure: marginals are then differences to a client's absence.
        certain = torch.nn.functional.one_hot(model, self.graph.num_models).to(self.table.worth.dtype)
        added = _scaled(self.graph, self.table.crowd(certain).marginal)
        return added.gather(-1, model.unsqueeze(-1)).squeeze(-1)


def _scaled(graph: Graph, marginal: Tensor) -> Tensor:
    """Marginal gains are small where many share; per client and model they are of the order of 1 (assumed scale)."""
    assert isinstance(graph.regime, Contention)
    return marginal * (marginal.shape[-2] / float(graph.regime.weight.sum()))


def _features(graph: Graph, immediate: Tensor, samples: Tensor, crowd: Tensor, band: Tensor) -> Tensor:
    pool, sensing = graph.wide_pool, graph.sensing
    rest = pool.cycles_per_s.expand_as(band), pool.duration_s.expand_as(band)
    # The next CR as it would be with the crowd's share of the band.
    later = Pool(band * graph.own_hz.unsqueeze(-1), *rest)
    # More could not be trained there, whatever is sensed.
    kept = torch.minimum(samples, graph.tasks.most_samples(later))
    spent = consumption(later, graph.tasks, kept)
    own_hz_s = graph.own_hz.unsqueeze(-1) * pool.duration_s
    most_wireless = pool.spectrum_hz_s / sensing.spectrum_hz_s_per_sample
    most_visual = pool.cycles / sensing.cycles_per_sample
    scale = graph.regime.function.scale_samples
    columns = (
        immediate,
        immediate - immediate.amax(-1, keepdim=True),
        graph.correlation,
        samples / (samples + scale),
        graph.most.samples / (graph.most.samples + scale),
        (graph.tasks.least_exchange_s(later) / pool.duration_s).clamp_max(2.0),
        kept * graph.tasks.cycles_per_sample / pool.cycles,
        (later.spectrum_hz_s - spent.exchange.area_hz_s) / own_hz_s,
        1 - spent.cycles / pool.cycles,
        (pool.spectrum_hz_s - graph.spent.exchange.area_hz_s.unsqueeze(-1)) / own_hz_s,
        1 - graph.spent.cycles.unsqueeze(-1) / pool.cycles,
        (sensing.most_wireless_per_s * pool.duration_s / most_wireless).clamp_max(2.0),
        (sensing.most_visual_per_s * pool.duration_s / most_visual).clamp_max(2.0),
        most_wireless / (most_wireless + scale),
        most_visual / (most_visual + scale),
        torch.full_like(immediate, float(graph.rounds_left == 1)),
        torch.full_like(immediate, min(1.0, graph.rounds_left / _LONG_HORIZON)),
        (graph.workload.reason == int(Reason.FEASIBLE)).double(),
        crowd,
        band,
    )
    return torch.stack([x.expand_as(immediate) for x in columns], -1).float()
