"""A policy of prices: models pay for samples and edges are paid for their spectrum, and every client chooses alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from gainnet.core.errors import check_range
from gainnet.core.randomness import Random
from gainnet.orchestration.association import Association, Greedy, LoadTable
from gainnet.orchestration.graph import Graph
from gainnet.orchestration.regime import Contention

_STEP = 0.15


@final
@dataclass(frozen=True)
class Lagrangian:
    r"""The choices of clients at the prices of the Lagrangian bound of a round, see `bound.lagrangian_round`.

    $\max_{m,k} (w_m f'(v_m) \omega_{nm} x_{nm}(k) - \lambda_{e(m)k})$ at the $v$, $\lambda$ that subgradient steps
    leave. Without shared spectrum and pooled samples nothing is relaxed, and it is `Greedy`.

    Args:
        num_steps: subgradient steps >= 1.

    Raises:
        ConfigError: there are no steps.
    """

    num_steps: int = 40

    def __post_init__(self) -> None:
        check_range(self.num_steps >= 1, "num_steps", self.num_steps, "1 or more")

    def __call__(self, graph: Graph, random: Random) -> Association:
        if not isinstance(graph.regime, Contention):
            return Greedy()(graph, random)
        # [num_loads, *batch, num_clients, num_models], from one client on; a load of which nobody notices is left out.
        worth = LoadTable.of(graph).worth[1:]
        if torch.isinf(graph.regime.edge_bandwidth_hz).all():
            worth = worth[:1]
        prices = Prices.of(graph.regime, graph.edge_of_model, worth)
        steps = torch.optim.Adam([prices.log_v, prices.toll], lr=_STEP)
        for step in range(self.num_steps):
            steps.param_groups[0]["lr"] = _STEP * (1 - step / self.num_steps)
            steps.zero_grad()
            prices.bound().sum().backward()
            steps.step()
        return Association(prices.offers().detach().amax(0).argmax(-1))


@final
@dataclass(frozen=True)
class Prices:
    """Multipliers of many scenarios at once.

    Args:
        regime: weights and the gain function.
        edge_of_model: [num_models], int64.
        worth: [num_loads, *batch, num_clients, num_models], correlation times samples with 1, 2, ... on the edge.
        log_v: [*batch, num_models], logarithm of what a model gets, in units of `scale`.
        toll: [num_loads, *batch, num_edges], price of a place on an edge with so many clients, in units of `unit`.
        scale: [*batch, 1], order of what a model gets.
        unit: [*batch, 1], order of what a client adds.
    """

    regime: Contention
    edge_of_model: Tensor
    worth: Tensor
    log_v: Tensor
    toll: Tensor
    scale: Tensor
    unit: Tensor

    @staticmethod
    def of(regime: Contention, edge_of_model: Tensor, worth: Tensor) -> Prices:
        """Prices before the first step: places are free. Arguments as the fields; `worth` [num_loads, *batch, ...]."""
        num_loads, *batch, num_clients, num_models = worth.shape
        scale = worth.amax(0).amax(-1).sum(-1, keepdim=True) / num_models + 1e-12
        unit = regime.weight.sum() * regime.function(scale) / num_clients + 1e-12
        log_v = torch.zeros(*batch, num_models, dtype=worth.dtype, requires_grad=True)
        num_edges = int(edge_of_model.max()) + 1
        toll = torch.zeros(num_loads, *batch, num_edges, dtype=worth.dtype, requires_grad=True)
        return Prices(regime, edge_of_model, worth, log_v, toll, scale, unit)

    def offers(self) -> Tensor:
        """[num_loads, *batch, num_clients, num_models], what a client is paid less what it pays."""
        _, slope = self._tangents()
        paid = (self.unit * self.toll)[..., self.edge_of_model].unsqueeze(-2)
        return (self.regime.weight * slope).unsqueeze(-2) * self.worth - paid

    def bound(self) -> Tensor:
        """[*batch], the Lagrangian bound of the round at these prices."""
        value, slope = self._tangents()
        models = (self.regime.weight * (value - slope * self.scale * self.log_v.exp())).sum(-1)
        clients = self.offers().amax(0).amax(-1).sum(-1)
        load = torch.arange(1, len(self.worth) + 1, dtype=self.worth.dtype)
        load = load.reshape(-1, *(1,) * (self.toll.dim() - 1))
        # An edge takes the load that earns most, or none.
        edges = (load * self.unit * self.toll).amax(0).clamp_min(0.0).sum(-1)
        return models + clients + edges

    def _tangents(self) -> tuple[Tensor, Tensor]:
        v = self.scale * self.log_v.exp()
        value = self.regime.function(v)
        (slope,) = torch.autograd.grad(value.sum(), v, create_graph=True)
        return value, slope
