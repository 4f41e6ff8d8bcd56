"""The largest trained gain: clients are coupled by their models alone, so prices of samples decouple them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from scipy.optimize import Bounds, milp
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.orchestration.association import LoadTable
from gainnet.orchestration.bound import Columns, Rows, lagrangian_round, tangents
from gainnet.orchestration.graph import State, graph_of
from gainnet.orchestration.optimum import branches, check_sequences, digits
from gainnet.orchestration.regime import Contention, Independent
from gainnet.orchestration.trained import pooled
from gainnet.orchestration.world import World

NUM_STEPS = 200
"""Frank-Wolfe steps of a bound."""
_MOST_SWEEPS = 20
_NUM_FIRST_CUTS = 8
_MOST_VARIABLES = 20_000


@final
@dataclass(frozen=True)
class TrainedOptimum:
    """The best sequences of associations that were found, and how good any could be.

    Args:
        model: [num_rounds, num_clients], int64.
        gain: their trained gain.
        bound: no sequences have more.
    """

    model: Tensor
    gain: float
    bound: float


@final
@dataclass(frozen=True)
class Sequences:
    """Everything that every client could do over all rounds, in one world of clients with their own spectrum.

    Args:
        regime: weights and the gain function; samples of a model add up.
        worth: [num_clients, num_sequences, num_rounds], correlation times samples that the next CR consumes.
        model: [num_sequences, num_rounds], int64.
    """

    regime: Contention
    worth: Tensor
    model: Tensor

    @staticmethod
    def of(world: World, regime: Independent) -> Sequences:
        """All of a world without batch; raises `ConfigError` where they are more than 65,536 per client."""
        check_sequences(world)
        if world.batch:
            raise ConfigError("optimum: the trained gain couples clients; give one world, without a batch")
        num_rounds, num_models = world.scenario.rounds.num_rounds, len(world.scenario.models)
        columns = []
        for cr, (_, left) in enumerate(branches(world)):
            worth = (world.offers[cr].correlation.unsqueeze(-2) * left).flatten(-2)
            # A sequence shares what it did so far with all that go on differently.
            columns.append(worth.repeat_interleave(num_models ** (num_rounds - 1 - cr), -1))
        number = torch.arange(num_models**num_rounds)
        model = torch.stack(digits(number, num_models, num_rounds), -1)
        return Sequences(pooled(world.scenario, regime), torch.stack(columns, -1), model)

    def totals(self, chosen: Tensor) -> Tensor:
        """[num_rounds, num_models], worth that models get when client n follows sequence chosen [num_clients]."""
        mine = self.worth[torch.arange(len(chosen)), chosen]
        got = mine.new_zeros(len(self.regime.weight), mine.shape[-1])
        return got.scatter_add(0, self.model[chosen], mine).T

    def gain(self, totals: Tensor) -> float:
        """Gain of all rounds, of what models get [num_rounds, num_models]."""
        return float((self.regime.weight * self.regime.function(totals)).sum())

    def scores(self, totals: Tensor) -> Tensor:
        """[num_clients, num_sequences], worth at the prices of the last sample, $w_m f'(V_{rm})$.

        Args:
            totals: [num_rounds, num_models], $V$.
        """
        price = self.regime.weight * _slope(self.regime, totals)
        paid = price.gather(-1, self.model.T).T
        return (self.worth * paid).sum(-1)


def trained_optimum(
    world: World, regime: Independent, num_steps: int = NUM_STEPS, gap: float = 1e-3, time_limit_s: float = 60.0
) -> TrainedOptimum:
    r"""The largest trained gain of clients with their own spectrum, clairvoyant about mobility.

    $\max \sum_{r,m} w_m f(V_{rm})$,  $V_{rm} = \sum_n \sum_{s: s_r = m} c_{nsr} y_{ns}$,  $\sum_s y_{ns} = 1$,
    $y \in \{0, 1\}$ over the sequences s of models. Frank-Wolfe solves it with $y \ge 0$, where prices
    $w_m f'(V)$ let every client choose alone, and bounds it; clients in turn then improve on the rounded one. While
    both are further apart than `gap`, what no better solution can use is left out (reduced costs) and a MILP with
    tangent cuts decides among the rest.

    Args:
        world: one drawn scenario, without batch.
        regime: the gain function.
        num_steps: Frank-Wolfe steps >= 1.
        gap: relative distance between bound and gain that is close enough, >= 0.
        time_limit_s: of the programs > 0.

    Raises:
        ConfigError: there is a batch, or a client has more than 65,536 sequences.

    >>> from gainnet.core.randomness import Random
    >>> from gainnet.orchestration import Independent, draw_world, load_scenario
    >>> street = load_scenario("street")
    >>> found = trained_optimum(draw_world(street, Random.of(1)), Independent.of(street))
    >>> found.gain <= found.bound <= 1.002 * found.gain
    True
    """
    every = Sequences.of(world, regime)
    # Everybody as if alone: prices of models that have nothing yet.
    scores = priced = every.scores(torch.zeros(every.model.shape[-1], len(every.regime.weight), dtype=torch.float64))
    totals, bound = every.totals(scores.argmax(-1)), np.inf
    for step in range(num_steps):
        scores = every.scores(totals)
        chosen = scores.argmax(-1)
        # The tangent plane at the present point lies above the concave gain; its maximum bounds every solution.
        level = every.gain(totals) - float((every.regime.weight * _slope(every.regime, totals) * totals).sum())
        if (above := level + float(scores.amax(-1).sum())) < bound:
            bound, priced = above, scores
        totals = totals + 2 / (step + 3) * (every.totals(chosen) - totals)
    chosen = improve(every, chosen)
    gain = every.gain(every.totals(chosen))
    if bound > gain * (1 + gap):
        chosen, bound = _programs(every, chosen, bound, priced, gap, time_limit_s)
        gain = every.gain(every.totals(chosen))
    return TrainedOptimum(every.model[chosen].T, gain, max(bound, gain))


def improve(every: Sequences, chosen: Tensor) -> Tensor:
    """Clients in turn take the sequence that makes the total gain largest, until none changes.

    Args:
        every: what they can do.
        chosen: [num_clients], int64, where they start.

    Returns:
        [num_clients], int64.
    """
    totals, weight = every.totals(chosen), every.regime.weight
    for _ in range(_MOST_SWEEPS):
        before = chosen.clone()
        for n, worth in enumerate(every.worth):
            own = every.model[chosen[n]]
            rest = totals.clone()
            rest[torch.arange(len(rest)), own] -= worth[chosen[n]]
            # [num_sequences, num_rounds], what the served models get from all others.
            others = rest.gather(-1, every.model.T).T
            added = every.regime.function(others + worth) - every.regime.function(others)
            added = (weight[every.model] * added).sum(-1)
            best = int(added.argmax())
            # A margin against moves of equal worth, which would go on for ever by rounding.
            if added[best] > added[chosen[n]] * (1 + 1e-12):
                chosen[n] = best
                totals = every.totals(chosen)
        if torch.equal(before, chosen):
            break
    return chosen


def _programs(
    every: Sequences, chosen: Tensor, bound: float, priced: Tensor, gap: float, time_limit_s: float
) -> tuple[Tensor, float]:
    """The best choice and bound after MILPs over the sequences whose reduced cost a better solution could pay."""
    start_s, gain = time.perf_counter(), every.gain(every.totals(chosen))
    lost = priced.amax(-1, keepdim=True) - priced
    client, sequence = (lost <= bound - gain + 1e-9 * abs(bound)).nonzero(as_tuple=True)
    if len(client) > _MOST_VARIABLES:
        return chosen, bound
    most = torch.stack([every.totals(row) for row in (chosen, priced.argmax(-1))]).amax(0) * 1.5 + 1e-9
    spread = torch.linspace(0, 1, _NUM_FIRST_CUTS, dtype=torch.float64)
    points = most.unsqueeze(-1) * spread**2
    while (left_s := time_limit_s - (time.perf_counter() - start_s)) > 0 and bound > gain * (1 + gap):
        points = torch.cat([points, every.totals(chosen).unsqueeze(-1)], -1)
        found, limit = _program(every, client, sequence, points, left_s, gap / 2)
        # What was left out cannot be in a solution better than the best one known, which the bound therefore covers.
        bound = min(bound, max(limit, gain))
        if found is None:
            break
        points = torch.cat([points, every.totals(found).unsqueeze(-1)], -1)
        better = improve(every, found.clone())
        if every.gain(every.totals(better)) > gain:
            chosen, gain = better, every.gain(every.totals(better))
    return chosen, bound


def _program(
    every: Sequences, client: Tensor, sequence: Tensor, points: Tensor, time_limit_s: float, gap: float
) -> tuple[Tensor | None, float]:
    """Sequence of every client and bound; variables are y (client, sequence) and t (round, model)."""
    num_rounds, num_models = points.shape[:2]
    num_y, num_t = len(client), num_rounds * num_models
    rows, place = Rows(num_y + num_t), np.arange(num_y)
    for n in range(len(every.worth)):
        rows.add(place[client.numpy() == n], 1.0, low=1.0, high=1.0)
    worth, model = every.worth[client, sequence].numpy(), every.model[sequence].numpy()
    for r in range(num_rounds):
        for m in range(num_models):
            serves = model[:, r] == m
            members = np.append(place[serves], num_y + r * num_models + m)
            for value, slope in zip(*tangents(every.regime.function, points[r, m]), strict=True):
                # t_rm lies under every tangent of the concave f at what the model gets.
                rows.add(members, np.append(-slope * worth[serves, r], 1.0), high=value)
    cost = np.concatenate([np.zeros(num_y), -np.tile(every.regime.weight.numpy(), num_rounds)])
    found = milp(
        cost,
        constraints=rows.constraint(),
        integrality=np.concatenate([np.ones(num_y), np.zeros(num_t)]),
        bounds=Bounds(np.concatenate([np.zeros(num_y), np.full(num_t, -np.inf)]),
                      np.concatenate([np.ones(num_y), np.full(num_t, np.inf)])),
        options={"time_limit": time_limit_s, "mip_rel_gap": gap},
    )  # fmt: skip
    bound = np.inf if found.mip_dual_bound is None else -float(found.mip_dual_bound)
    if found.x is None:
        return None, bound
    chosen = torch.zeros(len(every.worth), dtype=torch.long)
    taken = torch.from_numpy(found.x[:num_y] > 0.5)
    return chosen.scatter(0, client[taken], sequence[taken]), bound


def _slope(regime: Contention, x: Tensor) -> Tensor:
    # Autograd instead of a derivative per gain function: any concave f that torch can compute will do.
    point = x.detach().clone().requires_grad_()
    (slope,) = torch.autograd.grad(regime.function(point).sum(), point)
    return slope


def trained_bounds(world: World, regime: Contention, num_steps: int) -> list[float]:
    """[num_rounds], bounds on the trained gain of every round where clients share the spectrum of edges.

    As `bound.round_bounds`, every round as if nothing had to be consumed in it, with what is sensed cut to what the
    next CR could train if the client were alone on the edge.

    Args:
        world: one drawn scenario, without batch.
        regime: how clients share.
        num_steps: subgradient steps per round >= 1.
    """
    found = []
    for cr in range(world.scenario.rounds.num_rounds):
        graph = graph_of(world, regime, cr, State.empty(world))
        samples = LoadTable.of(graph).samples.minimum(world.offers[cr + 1].most_samples)
        table = LoadTable(graph, graph.correlation * samples, samples)
        found.append(lagrangian_round(Columns.of(table), num_steps))
    return found
