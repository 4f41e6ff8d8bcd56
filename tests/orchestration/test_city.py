"""Decisions of a city from candidates within reach, against a table of all pairs."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.orchestration.association import Greedy
from gainnet.orchestration.city import City
from gainnet.orchestration.city_world import draw_city, pair_cn0_hz, scenario_of_city
from gainnet.orchestration.graph import State
from gainnet.orchestration.learned import load_policy
from gainnet.orchestration.offer import Offer
from gainnet.orchestration.reach import Reach
from gainnet.orchestration.reception import edges_m
from gainnet.orchestration.resources import unsqueeze
from gainnet.orchestration.scenario import load_scenario
from gainnet.orchestration.workload import consumption, workload_up_to

REACH_M = 400.0


def city_of(num_clients: int, num_edges: int) -> City:
    """The second round: every client consumes what it sensed in the first."""
    scenario = scenario_of_city(load_scenario("street"), num_clients, num_edges, 250.0)
    first = draw_city(scenario, REACH_M, Random.of(1))
    graph, served = first.graph(first.candidate.shape[-1])
    slot = Greedy()(graph, Random.of(0)).model.unsqueeze(-1)
    samples, worth = (x.gather(-1, slot).squeeze(-1) for x in (graph.workload.samples, graph.correlation))
    return replace(first, state=State(served.gather(-1, slot).squeeze(-1).clamp_min(0), samples, worth))


def gains_of_all_pairs(city: City) -> Tensor:
    """[num_clients, num_models], by the functions that graphs of small worlds use; no link beyond the reach."""
    num_models = len(city.scenario.models)
    everywhere = torch.where(city.candidate < 0, num_models, city.candidate)

    def table(x: Tensor) -> Tensor:
        return torch.zeros(len(x), num_models + 1, dtype=x.dtype).scatter(-1, everywhere, x)[:, :-1]

    cn0_hz = table(city.cn0_down_hz), table(city.cn0_up_hz)
    offer = Offer(city.scenario, unsqueeze(city.pool), *cn0_hz, city.num_wireless, city.num_visual)
    served = city.state.model.unsqueeze(-1)
    spent = consumption(offer.pool, offer.tasks, torch.zeros_like(offer.correlation).scatter(
        -1, served, city.state.samples.unsqueeze(-1)))  # fmt: skip
    mine = type(spent.exchange)(*(getattr(spent.exchange, f).gather(-1, served) for f in spent.exchange.__match_args__))
    consumed = type(spent)(mine, spent.cycles.gather(-1, served), spent.reason.gather(-1, served))
    samples = workload_up_to(offer.pool, consumed, offer.sensing, offer.ceiling).samples
    return offer.correlation * city.regime.function(samples)


@pytest.mark.parametrize(("num_clients", "num_edges"), [(400, 12), pytest.param(5000, 50, marks=pytest.mark.slow)])
def test_candidates_decide_as_the_table_of_all_pairs(num_clients: int, num_edges: int) -> None:
    city = city_of(num_clients, num_edges)
    gains = gains_of_all_pairs(city)
    assert torch.equal(city.greedy(), gains.argmax(-1))
    graph, served = city.graph(city.candidate.shape[-1])
    mine = gains.gather(-1, served.clamp_min(0)).masked_fill(served < 0, 0.0)
    torch.testing.assert_close(graph.gain, mine, rtol=1e-10, atol=1e-12)
    assert bool((city.state.samples > 0).any())
    assert float((gains.amax(-1) > 0).double().mean()) > 0.3


@pytest.mark.slow
def test_a_hundred_thousand_clients_have_linear_memory() -> None:
    city = draw_city(scenario_of_city(load_scenario("street"), 100_000, 1000, 250.0), REACH_M, Random.of(1))
    assert city.candidate.shape[-1] <= 12
    assert city.greedy().shape == (100_000,)


def test_a_policy_sees_candidates_as_models() -> None:
    city = city_of(200, 9)
    graph, served = city.graph(4)
    assert served.shape == (200, 4)
    chosen = load_policy("independent")(graph, Random.of(0)).model
    model = served.gather(-1, chosen.unsqueeze(-1)).squeeze(-1)
    assert float((model == city.greedy()).double().mean()) > 0.3


def test_a_pair_does_not_depend_on_the_others() -> None:
    scenario = scenario_of_city(load_scenario("street"), 60, 9, 250.0)
    client_m = torch.rand(60, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64) * 750
    every = torch.arange(9).expand(60, 9)
    few = torch.where(every % 3 == 1, every, -1)
    for some, all_of_them in zip(
        pair_cn0_hz(scenario, client_m, few, Random.of(5)), pair_cn0_hz(scenario, client_m, every, Random.of(5)),
        strict=True,
    ):  # fmt: skip
        assert torch.equal(some[:, 1::3], all_of_them[:, 1::3])
        assert not bool(some[:, 0].any())


@pytest.mark.parametrize("num_edges", [1, 7, 40])
def test_the_grid_finds_every_edge_within_reach(num_edges: int) -> None:
    source = torch.Generator().manual_seed(num_edges)
    edge_m = torch.rand(num_edges, 2, generator=source, dtype=torch.float64) * 3000
    place_m = torch.rand(500, 2, generator=source, dtype=torch.float64) * 6000 - 1500
    place_m[:num_edges] = edge_m + torch.tensor([REACH_M, 0.0])
    found = Reach.of(edge_m, REACH_M).edges_at(place_m)
    near = (edge_m - place_m.unsqueeze(1)).norm(dim=-1) <= REACH_M
    assert [row[row >= 0].tolist() for row in found] == [row.nonzero().flatten().tolist() for row in near]


def test_edges_fill_a_square() -> None:
    scenario = scenario_of_city(load_scenario("street"), 10, 10, 250.0)
    assert scenario.side_m == 1000.0
    assert edges_m(scenario)[-1].tolist() == [375.0, 625.0]


def test_no_reach_is_refused() -> None:
    with pytest.raises(ConfigError, match="reach_m: 0"):
        Reach.of(torch.zeros(1, 2), 0.0)
