"""Policies: each does what it says, and none does better than trying everything."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.orchestration.association import (
    BestResponse,
    Greedy,
    LargestCorrelation,
    LoadTable,
    Matching,
    SequentialGreedy,
)
from gainnet.orchestration.graph import Graph, State, graph_of
from gainnet.orchestration.regime import Contention, Independent
from gainnet.orchestration.registry import policies
from gainnet.orchestration.rollout import play
from gainnet.orchestration.scenario import load_scenario, scenario_of
from gainnet.orchestration.world import draw_world

STREET = load_scenario("street")
SMALL = scenario_of(STREET.model_dump() | {"clients": STREET.clients.model_dump() | {"num_clients": 4}})
WORLD, RANDOM = draw_world(SMALL, Random.of(range(6))), Random.of(range(6))
TIGHT = replace(Contention.of(SMALL), edge_bandwidth_hz=torch.full((4,), 6e6, dtype=torch.float64))
POLICIES = policies(50.0)


def contended() -> Graph:
    return graph_of(WORLD, TIGHT, 0, State.empty(WORLD))


def total(graph: Graph, model: Tensor) -> Tensor:
    """Gain of what everybody senses, from the graph itself and not from a table."""
    worth = graph.correlation.gather(-1, model.unsqueeze(-1)).squeeze(-1)
    return graph.regime.total(worth, graph.workload_of(model).samples, model)


def best_of_all(graph: Graph) -> Tensor:
    table = LoadTable.of(graph)  # which `test_the_table_is_what_the_graph_says` compares with the graph itself
    tried = [torch.tensor(choice).expand(6, 4) for choice in itertools.product(range(4), repeat=4)]
    return torch.stack([table.total(model) for model in tried]).amax(0)


READ_ALONE = ("best_response", "ml_c", "ml_cc", "ml_scc", "largest_correlation", "sequential_greedy", "lagrangian")
"""Policies whose choices are looked at in other tests here."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in READ_ALONE else n for n in sorted(POLICIES)]
)
def test_a_policy_plays_and_a_scenario_alone_is_the_scenario_of_a_batch(name: str) -> None:
    batch = play(WORLD, TIGHT, POLICIES[name], RANDOM)
    assert batch.model.shape == (6, 5, 4)
    assert bool(((batch.model >= 0) & (batch.model < 4)).all())
    alone = play(draw_world(SMALL, Random.of(3)), TIGHT, POLICIES[name], Random.of(3))
    assert torch.equal(batch.model[3], alone.model)
    torch.testing.assert_close(batch.gain[3], alone.gain)
    assert bool((batch.trained <= batch.sensed).all())


def test_the_table_is_what_the_graph_says() -> None:
    graph = contended()
    table = LoadTable.of(graph)
    for seed in range(10):
        model = torch.randint(4, (6, 4), generator=torch.Generator().manual_seed(seed))
        torch.testing.assert_close(table.total(model), total(graph, model))
    assert table.total(torch.full((6, 4), -1)).tolist() == [0.0] * 6


def test_best_response_ends_where_nobody_gains_by_moving() -> None:
    graph = contended()
    model = BestResponse()(graph, RANDOM).model
    value = total(graph, model)
    for client, choice in itertools.product(range(4), range(4)):
        moved = model.clone()
        moved[:, client] = choice
        assert bool((total(graph, moved) <= value * (1 + 1e-9)).all())


def test_more_thought_is_worth_more_and_nothing_beats_trying_everything() -> None:
    graph, best = contended(), best_of_all(contended())
    greedy, in_turn, settled = (
        float((total(graph, policy(graph, RANDOM).model) / best).mean())
        for policy in (Greedy(), SequentialGreedy(), BestResponse())
    )
    assert max(greedy, in_turn, settled) <= 1 + 1e-9
    assert settled > 0.98
    assert settled >= max(greedy, in_turn)


def test_independent_clients_need_no_thought() -> None:
    """Where nobody shares, greedy is the best of one round, and the more elaborate policies find the same gain."""
    graph = graph_of(WORLD, Independent.of(SMALL), 0, State.empty(WORLD))
    best = best_of_all(graph)
    for policy in (Greedy(), SequentialGreedy(), BestResponse()):
        torch.testing.assert_close(total(graph, policy(graph, RANDOM).model), best)


def test_the_matching_is_the_best_of_all_matchings() -> None:
    graph = graph_of(WORLD, Independent.of(SMALL), 0, State.empty(WORLD))
    found = Matching()(graph, RANDOM).model
    value = graph.gain.gather(-1, found.unsqueeze(-1)).sum((-1, -2))
    allowed = [c for c in itertools.product(range(4), repeat=4) if max(map(c.count, c)) <= 1]
    every = torch.stack(
        [graph.gain.gather(-1, torch.tensor(c).expand(6, 4).unsqueeze(-1)).sum((-1, -2)) for c in allowed]
    )
    torch.testing.assert_close(value, every.amax(0))


def test_baselines_read_what_their_names_say() -> None:
    graph = graph_of(WORLD, Independent.of(SMALL), 0, State.empty(WORLD))
    baselines = policies(50.0)
    exchange_s = graph.tasks.least_exchange_s(graph.wide_pool)
    assert torch.equal(baselines["ml_c"](graph, RANDOM).model, exchange_s.argmin(-1))
    training_s = 50.0 * graph.tasks.cycles_per_sample / graph.pool.cycles_per_s.unsqueeze(-1)
    assert torch.equal(baselines["ml_cc"](graph, RANDOM).model, (exchange_s + training_s).argmin(-1))
    blind = graph.num_targets == 0
    chosen = baselines["ml_scc"](graph, RANDOM).model.unsqueeze(-1)
    assert not bool((blind.gather(-1, chosen).squeeze(-1) & ~blind.all(-1)).any())
    most = baselines["mp_tsc"](graph, RANDOM).model.unsqueeze(-1)
    product = graph.num_targets * graph.sensing.per_s(graph.wide_pool)
    torch.testing.assert_close(product.gather(-1, most).squeeze(-1), product.amax(-1))
    assert torch.equal(LargestCorrelation()(graph, RANDOM).model, graph.correlation.argmax(-1))
