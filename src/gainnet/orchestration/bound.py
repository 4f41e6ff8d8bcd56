"""How good an association can be where clients share spectrum: a MILP of one round, and Lagrangian bounds."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_matrix
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.orchestration.association import LoadTable
from gainnet.orchestration.gain import GainFunction
from gainnet.orchestration.graph import State, graph_of
from gainnet.orchestration.regime import Contention
from gainnet.orchestration.world import World

_NUM_FIRST_CUTS = 12
_STEP = 0.05


@final
@dataclass(frozen=True)
class RoundSolution:
    """Solution of the MILP of one round.

    Args:
        model: [num_clients], int64, the best association found.
        gain: its total gain.
        bound: no association gains more.
        duration_s: wall time.
    """

    model: Tensor
    gain: float
    bound: float
    duration_s: float


@final
@dataclass(frozen=True)
class Columns:
    """Worth of a client for a model, per range of loads of the edge in which nobody's bandwidth changes.

    Args:
        regime: weights and the gain function.
        worth: [num_ranges, num_clients, num_models], $\\omega_{nm} x_{nm}$ in each range of loads.
        least: [num_ranges], smallest number of clients of the range.
        most: [num_ranges], largest.
        edge_of_model: [num_models], int64.
    """

    regime: Contention
    worth: Tensor
    least: Tensor
    most: Tensor
    edge_of_model: Tensor

    @staticmethod
    def of(table: LoadTable) -> Columns:
        """Of one scenario.

        Raises:
            ConfigError: clients do not share spectrum, or there is a batch of scenarios.
        """
        regime = table.graph.regime
        if not isinstance(regime, Contention) or table.worth.dim() != 3:
            raise ConfigError("bound: give one scenario, without a batch, in which clients share spectrum")
        num_loads = len(table.worth)
        # Shares change only while B_e / k is below a client's own band, so many loads have the same columns.
        starts = [1] + [k for k in range(2, num_loads) if not torch.equal(table.worth[k], table.worth[k - 1])]
        ends = [start - 1 for start in starts[1:]] + [num_loads - 1]
        return Columns(regime, table.worth[starts], torch.tensor(starts), torch.tensor(ends), table.graph.edge_of_model)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Numbers of ranges, clients, models and edges."""
        ranges, clients, models = self.worth.shape
        return ranges, clients, models, int(self.edge_of_model.max()) + 1


def milp_round(table: LoadTable, time_limit_s: float, gap: float) -> RoundSolution:
    r"""The best association of one round as a mixed-integer linear program (HiGHS), refined by tangent cuts.

    $\max \sum_m w_m t_m$,  $t_m \le f(v) + f'(v) (V_m - v)$ for every cut v,
    $V_m = \sum_{n,g} \omega_{nm} x_{nm}(g) y_{nmg}$,  $\sum_{m,g} y_{nmg} = 1$,
    $\underline{k}_g z_{eg} \le \sum_{n, m \in e} y_{nmg} \le \overline{k}_g z_{eg}$,  $\sum_g z_{eg} \le 1$,
    $y, z \in \{0, 1\}$, with g a range of loads in which nobody's bandwidth changes. Cuts lie above the concave f, so
    the program bounds every association; a cut is added where the last solution lies.

    Args:
        table: worths of one scenario in one round.
        time_limit_s: of all programs together > 0.
        gap: relative distance between bound and gain that is close enough.

    Raises:
        ConfigError: the table is not of one scenario in which clients share.
    """
    start_s = time.perf_counter()
    columns = Columns.of(table)
    # A model gets at most the sum of everybody's best: tangents beyond it would never bind.
    most = columns.worth.amax(0).sum(0)
    # Squared spacing: f bends most near 0, where tangents are needed closest.
    points = [torch.linspace(0, 1, _NUM_FIRST_CUTS, dtype=torch.float64) ** 2 * most[m] for m in range(len(most))]
    first = torch.zeros(columns.shape[1], dtype=torch.long)
    best = RoundSolution(first, float(table.total(first)), np.inf, 0.0)
    while True:
        # The time limit is of all programs together, so each gets what is left of it.
        left_s = time_limit_s - (time.perf_counter() - start_s)
        model, bound = _solve(columns, points, max(left_s, 0.01), gap / 2) if left_s > 0 else (None, np.inf)
        if model is not None and float(table.total(model)) > best.gain:
            best = RoundSolution(model, float(table.total(model)), best.bound, 0.0)
        spent_s = time.perf_counter() - start_s
        # Every program with fewer cuts is a relaxation, so each one's dual bound holds, and the least is kept.
        best = RoundSolution(best.model, best.gain, min(best.bound, bound), spent_s)
        if model is None or best.bound <= best.gain * (1 + gap) or spent_s >= time_limit_s:
            return best
        # A cut at the last solution makes the program exact there (Kelley 1960).
        points = [torch.cat([p, v[None]]) for p, v in zip(points, _reached(columns, table, model), strict=True)]


def _reached(columns: Columns, table: LoadTable, model: Tensor) -> Tensor:
    """[num_models], the argument of every model's gain."""
    load = torch.bincount(columns.edge_of_model[model], minlength=columns.shape[3])[columns.edge_of_model[model]]
    worth = table.worth[load, torch.arange(len(model)), model]
    return torch.zeros(columns.shape[2], dtype=worth.dtype).scatter_add(0, model, worth)


def _solve(columns: Columns, points: list[Tensor], time_limit_s: float, gap: float) -> tuple[Tensor | None, float]:
    """Association and bound of one program; variables are y (range, client, model), z (edge, range), t (model)."""
    ranges, clients, models, edges = columns.shape
    num_y, num_z = ranges * clients * models, edges * ranges
    rows = Rows(num_y + num_z + models)
    # Numbers of the variables in the vector of the program.
    y = np.arange(num_y).reshape(ranges, clients, models)
    z = num_y + np.arange(num_z).reshape(edges, ranges)
    for n in range(clients):
        # Every client serves exactly one model, in one range of loads.
        rows.add(y[:, n].ravel(), 1.0, low=1.0, high=1.0)
    for e in range(edges):
        # An edge is in at most one range of loads.
        rows.add(z[e], 1.0, high=1.0)
        hosted = y[:, :, columns.edge_of_model.numpy() == e]
        for g in range(ranges):
            # least z <= clients <= most z: with z = 0 nobody may use the range's columns.
            for limit, sign in ((columns.least[g], -1.0), (columns.most[g], 1.0)):
                members = hosted[g].ravel()
                # Both sides in the form sum <= 0, the lower one with its sign turned.
                numbers = np.append(np.full(len(members), sign), -sign * float(limit))
                rows.add(np.append(members, z[e, g]), numbers, high=0.0)
    for m in range(models):
        for value, slope in zip(*tangents(columns.regime.function, points[m]), strict=True):
            worth = columns.worth[:, :, m].numpy().ravel()
            # t_m - slope * V_m <= value: t_m lies under every tangent of the concave f.
            places = np.append(y[:, :, m].ravel(), num_y + num_z + m)
            rows.add(places, np.append(-slope * worth, 1.0), high=value)
    # HiGHS minimises.
    cost = np.concatenate([np.zeros(num_y + num_z), -columns.regime.weight.numpy()])
    found = milp(
        cost,
        constraints=rows.constraint(),
        integrality=np.concatenate([np.ones(num_y + num_z), np.zeros(models)]),
        bounds=Bounds(np.concatenate([np.zeros(num_y + num_z), np.full(models, -np.inf)]),
                      np.concatenate([np.ones(num_y + num_z), np.full(models, np.inf)])),
        options={"time_limit": time_limit_s, "mip_rel_gap": gap},
    )  # fmt: skip
    bound = np.inf if found.mip_dual_bound is None else -float(found.mip_dual_bound)
    if found.x is None:
        return None, bound
    return torch.from_numpy(found.x[:num_y].reshape(ranges, clients, models).sum(0).argmax(-1)), bound


class Rows:
    """Linear constraints that grow by rows, as a sparse matrix."""

    def __init__(self, num_columns: int) -> None:
        self.num_columns = num_columns
        self.rows: list[tuple[np.ndarray, np.ndarray, float, float]] = []

    def add(self, places: np.ndarray, numbers: np.ndarray | float, high: float, low: float = -np.inf) -> None:
        """One row, low <= sum of numbers [num_places] times the variables at places [num_places], int64, <= high."""
        self.rows.append((places, np.broadcast_to(numbers, places.shape), low, high))

    def constraint(self) -> LinearConstraint:
        """All of them, for `scipy.optimize.milp`."""
        places, numbers, low, high = zip(*self.rows, strict=True)
        row = np.repeat(np.arange(len(places)), [len(some) for some in places])
        entries = np.concatenate(numbers), (row, np.concatenate(places))
        return LinearConstraint(
            coo_matrix(entries, shape=(len(places), self.num_columns)), np.array(low), np.array(high)
        )


def tangents(function: GainFunction, points: Tensor) -> tuple[list[float], list[float]]:
    """Value at 0 and slope of the tangents of a gain function at points [num_points]."""
    # Autograd instead of a derivative per gain function: any concave f that torch can compute will do.
    v = points.detach().clone().requires_grad_()
    value = function(v)
    (slope,) = torch.autograd.grad(value.sum(), v)
    return (value - slope * v).tolist(), slope.tolist()


def lagrangian_round(columns: Columns, num_steps: int) -> float:
    r"""A bound on the gain of one round, without integers.

    Relaxing $V_m \le \sum \omega x y$ with multipliers $w_m f'(v_m)$, and the loads with $\lambda_{eg}$, leaves one
    maximum per client, per model and per edge:

    $\sum_m w_m (f(v_m) - v_m f'(v_m)) + \sum_n \max_{m,g} (w_m f'(v_m) \omega_{nm} x_{nm}(g) - \lambda_{e(m)g}) +
    \sum_e \max(0, \max_g \max(\underline{k}_g \lambda_{eg}, \overline{k}_g \lambda_{eg}))$

    It bounds for every $v \ge 0$ and $\lambda$; subgradient steps (Adam) look for the smallest, with $v$ in logarithms
    and $\lambda$ in units of what a client typically adds, so that one step length suits both.

    Args:
        columns: of one scenario in one round.
        num_steps: subgradient steps >= 1.
    """
    ranges, _, models, edges = columns.shape
    # Order of what a model gets, so that log v starts near 0.
    scale = float(columns.worth.amax(0).amax(-1).sum() / models) + 1e-12
    v = torch.zeros(models, dtype=torch.float64, requires_grad=True)
    price = torch.zeros(edges, ranges, dtype=torch.float64, requires_grad=True)
    # Order of what one client adds, the unit of prices.
    unit = float(columns.regime.weight.sum() * columns.regime.function(torch.tensor(scale))) / columns.shape[1] + 1e-12
    steps = torch.optim.Adam([v, price], lr=_STEP)
    best = torch.inf
    for step in range(num_steps):
        for group in steps.param_groups:
            # Steps that fall to zero, as a subgradient method needs to converge.
            group["lr"] = _STEP * (1 - step / num_steps)
        bound = _relaxed(columns, scale * v.exp(), unit * price)
        # Every point gives a valid bound; subgradient steps do not fall monotonically.
        best = min(best, float(bound.detach()))
        steps.zero_grad()
        bound.backward()
        steps.step()
    return best


def _relaxed(columns: Columns, v: Tensor, price: Tensor) -> Tensor:
    regime = columns.regime
    value = regime.function(v)
    (slope,) = torch.autograd.grad(value.sum(), v, create_graph=True)
    # What a client pays to join an edge in a range of loads; the multiplier of the load constraints.
    paid = price[columns.edge_of_model].T.unsqueeze(-2)
    # With multipliers fixed every client chooses by itself: the relaxation separates.
    clients = (regime.weight * slope * columns.worth - paid).amax((0, 2)).sum()
    # And so does every edge: it takes the range, and the end of it, that earns most, or none.
    edges = torch.maximum(columns.least * price, columns.most * price).amax(-1).clamp_min(0.0).sum()
    return (regime.weight * (value - slope * v)).sum() + clients + edges


def horizon_bound(world: World, regime: Contention, num_steps: int) -> float:
    """A bound on the total gain of all rounds of one world: the sum of the rounds' Lagrangian bounds.

    Every round is bounded as if nothing had to be consumed in it, which can only leave more for sensing; so no
    coupling between rounds is seen, and no policy, clairvoyant or not, gains more.

    Args:
        world: one drawn scenario, without batch.
        regime: how clients share.
        num_steps: subgradient steps per round.
    """
    return sum(round_bounds(world, regime, num_steps))


def round_bounds(world: World, regime: Contention, num_steps: int) -> list[float]:
    """[num_rounds], the Lagrangian bound of every round, as if nothing had to be consumed in it."""
    graphs = (graph_of(world, regime, cr, State.empty(world)) for cr in range(world.scenario.rounds.num_rounds))
    return [lagrangian_round(Columns.of(LoadTable.of(graph)), num_steps) for graph in graphs]
