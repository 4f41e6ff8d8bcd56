"""Marginal gains of clients that share spectrum, with the others as a crowd (a mean field)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.orchestration.graph import Graph
from gainnet.orchestration.regime import Contention

NUM_SHARES = 12
NUM_SWEEPS = 12
_STEP = 1.5


@final
@dataclass(frozen=True)
class Crowd:
    """Marginal gains of clients while the others are spread over models with probabilities.

    Args:
        marginal: [*batch, num_clients, num_models], what the total grows by when the client serves the model, its cost
            to those on the same edge included.
        share: [*batch, num_clients, num_models], probabilities of the crowd.
        band_hz: [*batch, num_clients, num_models], bandwidth that the client would have.
    """

    marginal: Tensor
    share: Tensor
    band_hz: Tensor


@final
@dataclass(frozen=True)
class ShareTable:
    """Worth of every client for every model at some shares of the bandwidth of its radio, interpolated in between.

    A dozen thousand clients need no more columns than a dozen, unlike a table over loads.

    Args:
        graph: where it comes from.
        least: [*batch, 1, 1], smallest share of the table, at most 1: all clients on the narrowest edge.
        worth: [NUM_SHARES, *batch, num_clients, num_models], $\\omega_{nm} x_{nm}$; the last one is the whole band.
    """

    graph: Graph
    least: Tensor
    worth: Tensor

    @staticmethod
    def of(graph: Graph) -> ShareTable:
        """The table of a graph.

        Raises:
            ConfigError: clients share nothing.
        """
        regime = contention_of(graph)
        num_clients = graph.own_hz.shape[-1]
        narrowest = regime.edge_bandwidth_hz.min() / num_clients
        # The smallest share anybody can meet: all clients on the narrowest edge, against the widest radio.
        least = (narrowest / graph.own_hz.amax(-1)).clamp(1e-6, 1.0)[..., None, None]
        if bool((least == 1).all()):
            # Nobody is ever narrowed: one column serves for all.
            alone = graph.correlation * graph.workload_with(graph.own_hz.unsqueeze(-1)).samples
            return ShareTable(graph, least, alone.expand(NUM_SHARES, *alone.shape))
        # Shares in even steps of their logarithm, as worth follows the logarithm of bandwidth.
        places = 1 - torch.linspace(0, 1, NUM_SHARES, dtype=torch.float64)
        bands = torch.stack([graph.own_hz.unsqueeze(-1) * least**place for place in places])
        return ShareTable(graph, least, graph.correlation * graph.workload_with(bands).samples)

    def at(self, load: Tensor) -> Tensor:
        """[*batch, num_clients, num_models], worth with that many clients (not necessarily whole) on a model's edge.

        Args:
            load: [*batch, num_clients, num_models] or broadcast to it, >= 0.
        """
        own = self.graph.own_hz.unsqueeze(-1)
        share = (contention_of(self.graph).edge_bandwidth_hz / load.clamp_min(1.0) / own).clamp_max(1.0)
        # least = 1: nobody ever shares, and the logarithm would divide by zero.
        place = torch.where(self.least < 1, 1 - share.log() / self.least.log(), 1.0).clamp(0.0, 1.0)
        place = (place * (NUM_SHARES - 1)).expand_as(self.worth[0])
        below = place.floor().clamp_max(NUM_SHARES - 2).long()
        low, high = (self.worth.gather(0, k.unsqueeze(0)).squeeze(0) for k in (below, below + 1))
        return low + (place - below) * (high - low)

    def crowd(self, share: Tensor) -> Crowd:
        r"""Marginal gain of each client, $w_m (f(V_m^{-n} + \omega x) - f(V_m^{-n}))$ less its edge's losses.

        With probabilities of 0 and 1 that is the exact difference to a client's absence, up to interpolation.

        Args:
            share: [*batch, num_clients, num_models], probabilities of the crowd.
        """
        regime = contention_of(self.graph)
        load = self._load(share)
        others = load - _of_edge(share, self.graph.edge_of_model)
        # Worth of everybody if one client left, as it is, and if one joined.
        fewer, now, more = (self.at(load + step) for step in (-1.0, 0.0, 1.0))
        total, less, without = ((share * x).sum(-2, keepdim=True) for x in (now, more, fewer))
        mine = self.at(others + 1)
        # What the model gets from all others; the client's own expectation is taken out.
        rest = total - share * now
        direct = regime.weight * (regime.function(rest + mine) - regime.function(rest))
        joining = regime.weight * (regime.function(total) - regime.function(less))
        leaving = regime.weight * (regime.function(without) - regime.function(total))
        here = _of_edge(share, self.graph.edge_of_model)
        # Where the client is not yet, the others lose by its joining; where it is, they would gain by its leaving.
        cost = (1 - here) * self._edge_sum(joining) + here * self._edge_sum(leaving)
        band = regime.bandwidth_hz(self.graph.own_hz.unsqueeze(-1), others + 1)
        return Crowd(direct - cost, share, band)

    def settled(self, later: Tensor | float = 0.0) -> Crowd:
        """The crowd after some sweeps in which all clients at once lean to where they add most (mirror ascent).

        Args:
            later: [*batch, num_clients, num_models], what a choice brings in later rounds beside its marginal gain.
        """
        score = torch.zeros_like(self.worth[0])
        for sweep in range(NUM_SWEEPS):
            marginal = self.crowd(score.softmax(-1)).marginal + later
            # Mirror ascent on probabilities: scores add up, softmax makes them a distribution; steps grow as it
            # settles.
            score = score + _STEP * (1 + sweep / NUM_SWEEPS) * marginal / unit_of(marginal)
            # Softmax does not change by a constant, but large scores would overflow.
            score = score - score.amax(-1, keepdim=True)
        return self.crowd(score.softmax(-1))

    def _load(self, share: Tensor) -> Tensor:
        """[*batch, 1, num_models], expected clients on each model's edge."""
        return self._edge_sum(share.sum(-2, keepdim=True))

    def _edge_sum(self, x: Tensor) -> Tensor:
        return _of_edge(x, self.graph.edge_of_model)


def contention_of(graph: Graph) -> Contention:
    """The regime of a graph in which clients share; raises `ConfigError` when they do not."""
    if not isinstance(graph.regime, Contention):
        raise ConfigError("congestion: clients share nothing here; give a graph under contention")
    return graph.regime


def unit_of(marginal: Tensor) -> Tensor:
    """[*batch, 1, 1], how much a client's choice typically matters: the mean distance of its best from its mean."""
    apart = marginal.amax(-1) - marginal.mean(-1)
    return apart.mean(-1).clamp_min(1e-12)[..., None, None]


def _of_edge(x: Tensor, edge_of_model: Tensor) -> Tensor:
    """[..., num_models], sums over all models of the same edge."""
    return x @ (edge_of_model.unsqueeze(-1) == edge_of_model).to(x.dtype)
