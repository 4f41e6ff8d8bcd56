"""What a client adds to the total under contention: against the total with and without it, one client at a time."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.orchestration.association import BestResponse, LoadTable, SequentialGreedy
from gainnet.orchestration.congestion import ShareTable, unit_of
from gainnet.orchestration.graph import Graph, State, graph_of
from gainnet.orchestration.regime import Contention, Independent
from gainnet.orchestration.scenario import load_scenario, scenario_of
from gainnet.orchestration.world import draw_world

CONTENTION = load_scenario("contention")
RANDOM = Random.of([1, 2, 3])
WORLD = draw_world(CONTENTION, RANDOM)


def graph(edge_bandwidth_hz: float = 3e7) -> Graph:
    bands = torch.full((4,), edge_bandwidth_hz, dtype=torch.float64)
    regime = replace(Contention.of(CONTENTION), edge_bandwidth_hz=bands)
    return graph_of(WORLD, regime, 0, State.empty(WORLD))


def certain(model: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.one_hot(model, 4).double()


def test_the_table_is_the_workload_at_every_load() -> None:
    contended = graph()
    shares, loads = ShareTable.of(contended), LoadTable.of(contended)
    for load in (1, 3, 7, 12, 20, 50):
        found, exact = shares.at(torch.tensor(float(load))), loads.worth[load]
        assert float((found - exact).abs().max()) < 0.1 * float(exact.max())
        assert float((found - exact).abs().mean()) < 0.02 * float(exact.mean())
    torch.testing.assert_close(shares.at(torch.tensor(1.0)), loads.worth[1])


def test_a_marginal_is_the_total_with_the_client_less_that_without() -> None:
    contended = graph()
    loads = LoadTable.of(contended)
    model = contended.gain.argmax(-1)
    found = ShareTable.of(contended).crowd(certain(model)).marginal
    scale = float(unit_of(found).mean())
    for client in (0, 29):
        without = model.clone()
        without[:, client] = -1
        rest = loads.total(without)
        for choice in range(4):
            there = model.clone()
            there[:, client] = choice
            torch.testing.assert_close(
                found[:, client, choice], loads.total(there) - rest, atol=0.35 * scale, rtol=0.15
            )


def test_with_plenty_of_spectrum_nobody_costs_anybody_anything() -> None:
    """Then a client adds the plain increase of its model's gain, in closed form."""
    plenty = graph(1e12)
    model = plenty.gain.argmax(-1)
    found = ShareTable.of(plenty).crowd(certain(model)).marginal
    worth = plenty.correlation * plenty.workload.samples
    total = (certain(model) * worth).sum(-2, keepdim=True)
    rest = total - certain(model) * worth
    function = plenty.regime.function
    torch.testing.assert_close(found, function(rest + worth) - function(rest))


@pytest.mark.slow
def test_leaning_to_where_one_adds_most_ends_near_best_response() -> None:
    contended = graph()
    loads = LoadTable.of(contended)
    settled = loads.total(ShareTable.of(contended).settled().marginal.argmax(-1))
    in_turn, best = (
        loads.total(policy(contended, RANDOM).model) for policy in (SequentialGreedy(), BestResponse(num_starts=0))
    )
    assert bool((settled > in_turn).all())
    assert bool((settled > 0.99 * best).all())


def test_independent_clients_are_no_crowd() -> None:
    street = scenario_of(load_scenario("street").model_dump())
    world = draw_world(street, RANDOM)
    with pytest.raises(ConfigError, match="congestion"):
        ShareTable.of(graph_of(world, Independent.of(street), 0, State.empty(world)))
