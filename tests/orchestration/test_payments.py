"""Payments: the exact optimum of every coalition, and no lie that pays."""

from __future__ import annotations

import itertools
from math import fsum

import pytest
import torch
from small_street import small

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.learning.safeguards.contributions import vcg
from gainnet.orchestration import Contention, Independent, LoadTable, State, draw_world, graph_of, load_scenario
from gainnet.orchestration.payments import coalition_gains, payments
from gainnet.orchestration.scenario import Scenario, scenario_of


def table_of(scenario: Scenario, random_seed: int) -> LoadTable:
    world, regime = draw_world(scenario, Random.of(random_seed)), Contention.of(scenario)
    return LoadTable.of(graph_of(world, regime, 0, State.empty(world)))


def crowded(num_clients: int, edges: tuple[int, ...]) -> Scenario:
    fields = load_scenario("contention").model_dump()
    fields["clients"]["num_clients"] = num_clients
    fields["models"] = [fields["models"][m] | {"edge": edge} for m, edge in enumerate(edges)]
    fields["edges"] = [edge | {"bandwidth_hz": 6e6} for edge in fields["edges"]]
    return scenario_of(fields)


@pytest.mark.parametrize("edges", [pytest.param((0, 1, 2), marks=pytest.mark.slow), (0, 0, 3)])
def test_coalitions_have_the_gain_of_their_best_association(edges: tuple[int, ...]) -> None:
    table = table_of(crowded(4, edges), 3)
    found = coalition_gains(table)
    for members in range(16):
        inside = [n for n in range(4) if members >> n & 1]
        best = 0.0
        for choice in itertools.product(range(3), repeat=len(inside)):
            model = torch.full((4,), -1)
            model[inside] = torch.tensor(choice, dtype=torch.long)
            best = max(best, float(table.total(model)))
        assert float(found[members]) == pytest.approx(best, abs=1e-12)


def test_payments_are_those_of_the_auction_of_learning() -> None:
    gains = coalition_gains(table_of(crowded(4, (0, 1, 2)), 5))
    costs = torch.tensor([0.05, 0.2, 0.4, 0.01], dtype=torch.float64)
    found = payments(gains, costs)
    names = {f"client {n}": float(cost) for n, cost in enumerate(costs)}
    auction = vcg(names, lambda members: float(gains[sum(1 << int(name[-1]) for name in members)]))
    assert found.payment.tolist() == pytest.approx(list(auction.payments.values()))
    paid = found.payment[found.takes_part]
    assert bool((paid >= costs[found.takes_part] - 1e-12).all())
    assert fsum(paid.tolist()) == pytest.approx(auction.budget)


def test_what_cannot_be_exact_is_refused() -> None:
    with pytest.raises(ConfigError, match="at most 12 clients"):
        coalition_gains(table_of(crowded(13, (0, 1)), 1))
    with pytest.raises(ConfigError, match="cost"):
        payments(torch.zeros(2), torch.tensor([-1.0]))
    world = draw_world(small(3, 2, 1), Random.of(1))
    alone = LoadTable.of(graph_of(world, Independent.of(world.scenario), 0, State.empty(world)))
    with pytest.raises(ConfigError, match="share nothing"):
        coalition_gains(alone)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("num_clients", "edges"), [(3, (0, 1)), (8, (0, 1, 2, 3)), (12, (0, 1, 2, 3)), (12, (0, 0, 1))]
)
def test_no_lie_of_ten_thousand_pays(num_clients: int, edges: tuple[int, ...]) -> None:
    gains = coalition_gains(table_of(crowded(num_clients, edges), 11))
    source = torch.Generator().manual_seed(num_clients)
    # Costs about as large as what a client adds, or everybody would take part or nobody.
    scale = float(gains[-1]) / num_clients
    worst = -torch.inf
    for _ in range(50):
        cost = 2 * scale * torch.rand(num_clients, generator=source, dtype=torch.float64)
        truth = payments(gains, cost).utility(cost)
        who = torch.randint(num_clients, (200,), generator=source)
        lies = 10 ** (4 * torch.rand(200, generator=source, dtype=torch.float64) - 3) * scale
        # Half of them are close to the truth, where a rounding error could pay.
        lies = torch.where(torch.arange(200) % 2 == 0, lies, cost[who] * (1 + 1e-3 * (lies - scale)).clamp_min(0.0))
        told = cost.expand(200, -1).scatter(1, who.unsqueeze(1), lies.unsqueeze(1))
        gained = payments(gains, told).utility(cost.expand(200, -1)).gather(1, who.unsqueeze(1)).squeeze(1) - truth[who]
        worst = max(worst, float(gained.max()))
    assert worst <= 1e-9
