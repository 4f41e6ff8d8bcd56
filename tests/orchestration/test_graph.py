"""Graph, gains and regimes: against definitions written out for one pair at a time."""

from __future__ import annotations

import math
from dataclasses import replace

import networkx
import pytest
import torch
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.orchestration.gain import CORRELATIONS, GAIN_FUNCTIONS, Correlation, GainFunction, relative_entropy
from gainnet.orchestration.graph import State, consumed, graph_of, sharing_of
from gainnet.orchestration.networkx_export import to_networkx
from gainnet.orchestration.regime import Contention, Independent, Regime
from gainnet.orchestration.resources import Pool
from gainnet.orchestration.scenario import load_scenario
from gainnet.orchestration.task import Sensing, Task
from gainnet.orchestration.workload import consumption, steady_workload, workload_up_to
from gainnet.orchestration.world import draw_world

STREET = load_scenario("street")
WORLD = draw_world(STREET, Random.of([1, 2]))
REGIMES: list[Regime] = [
    Independent.of(STREET),
    replace(Contention.of(STREET), edge_bandwidth_hz=torch.full((4,), 4e7)),
]


def some_state(cr: int, regime: Regime) -> State:
    source = torch.Generator().manual_seed(0)
    model = torch.randint(4, (2, 50), generator=source)
    samples = 100 * torch.rand(2, 50, generator=source, dtype=torch.float64)
    return consumed(WORLD, regime, cr, State(model, samples, torch.ones(2, 50, dtype=torch.float64)))


@pytest.mark.parametrize("regime", REGIMES, ids=["independent", "contention"])
def test_an_edge_is_what_its_pair_alone_can_reach(regime: Regime) -> None:
    state = some_state(2, regime)
    graph = graph_of(WORLD, regime, 2, state)
    active = state.samples[1] > 0
    counts = torch.bincount(state.model[1][active], minlength=4)
    for n in range(0, 50, 7):
        before = int(state.model[1, n])
        own = WORLD.bandwidth_hz[1, n]

        def pool(load: int, own: Tensor = own, n: int = n) -> Pool:
            shared = own if isinstance(regime, Independent) else torch.minimum(own, torch.tensor(4e7 / load))
            return Pool(shared, WORLD.cycles_per_s[1, n], torch.tensor(9.0))

        def task(m: int, n: int = n) -> Task:
            numbers = torch.tensor([STREET.models[m].num_bits, STREET.models[m].cycles_per_sample])
            return Task(numbers[0], numbers[1], WORLD.cn0_down_hz[1, 2, n, m], WORLD.cn0_up_hz[1, 2, n, m])

        now = pool(int(counts[before])) if bool(active[n]) else replace(pool(1), bandwidth_hz=own)
        spent = consumption(now, task(before), state.samples[1, n])
        for m in range(4):
            numbers = torch.tensor([2.5e5, 6e7], dtype=torch.float64)
            sensing = Sensing(*numbers, 1.0 * WORLD.num_wireless[1, 2, n, m], 2.0 * WORLD.num_visual[1, 2, n, m])
            load = int(counts[m]) + (m != before or not bool(active[n]))
            ceiling = steady_workload(pool(load), sensing, task(m))
            expected = workload_up_to(now, spent, sensing, ceiling)
            assert float(graph.workload.samples[1, n, m]) == pytest.approx(float(expected.samples), rel=1e-6)
            assert int(graph.workload.reason[1, n, m]) == int(expected.reason)


def test_what_is_left_can_always_be_consumed() -> None:
    for regime in REGIMES:
        graph = graph_of(WORLD, regime, 3, some_state(3, regime))
        assert bool((graph.spent.reason == 0).all())


def test_a_common_choice_is_worth_what_the_edge_can_carry() -> None:
    """With everybody on one model the workload is that of the column with all clients."""
    graph = graph_of(WORLD, REGIMES[1], 1, some_state(1, REGIMES[1]))
    everybody = torch.full((2, 50), 2)
    column = graph.workload_at(torch.full_like(graph.correlation, 50, dtype=torch.long)).samples[..., 2]
    torch.testing.assert_close(graph.workload_of(everybody).samples, column)
    assert float(column.sum()) < float(graph.workload.samples[..., 2].sum())


def test_loads_are_counted() -> None:
    model = torch.tensor([[0, 1, 2, 2, 1], [0, 0, 0, 0, 0]])
    active = torch.tensor([[True] * 4 + [False], [True] * 5])
    found = sharing_of(model, torch.tensor([0, 1, 1]), active)
    assert found[:, 0].tolist() == [[1, 3, 3], [5, 0, 0]]


@pytest.mark.parametrize("name", sorted(CORRELATIONS))
def test_correlation_is_one_for_equals_and_less_for_others(name: str) -> None:
    correlation = Correlation(CORRELATIONS[name], 0.05)
    sensed = torch.tensor([[3.0, 0, 0], [2, 1, 0], [1, 1, 1], [0, 0, 3]])
    found = correlation(sensed, torch.tensor([1.0, 0, 0]))
    assert float(found[0]) == pytest.approx(1.0, abs=1e-6)
    assert bool((found.diff() < 0).all())
    assert float(found.min()) >= 0.0
    with pytest.raises(ConfigError, match="smoothing"):
        Correlation(CORRELATIONS[name], 1.0)


def test_relative_entropy_by_hand() -> None:
    p, q = (0.95 * 0.5 + 0.025, 0.95 * 0.5 + 0.025), (0.95 + 0.025, 0.025)
    expected = math.exp(-sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)))
    found = Correlation(relative_entropy, 0.05)(torch.tensor([4.0, 4.0]), torch.tensor([2.0, 0.0]))
    assert float(found) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", sorted(GAIN_FUNCTIONS))
def test_gains_begin_at_zero_and_saturate(name: str) -> None:
    values = GainFunction(GAIN_FUNCTIONS[name], 20.0)(torch.arange(0, 200, 10, dtype=torch.float64))
    assert float(values[0]) == 0.0
    assert bool((values.diff() > 0).all())
    assert bool((values.diff().diff() < 0).all())
    with pytest.raises(ConfigError, match="scale_samples"):
        GainFunction(GAIN_FUNCTIONS[name], 0.0)


def test_totals_by_hand() -> None:
    worth, samples, model = torch.tensor([0.5, 1.0, 1.0]), torch.tensor([2.0, 4.0, 8.0]), torch.tensor([0, 0, 1])
    own = Independent(GainFunction(torch.log1p, 1.0)).total(worth, samples, model)
    assert float(own) == pytest.approx(0.5 * math.log(3) + math.log(5) + math.log(9))
    together = Contention(GainFunction(torch.log1p, 1.0), torch.ones(2), torch.tensor([1.0, 2.0])).total(
        worth, samples, model
    )
    assert float(together) == pytest.approx(math.log(6) + 2 * math.log(9))


def test_networkx_gets_every_usable_edge() -> None:
    world = draw_world(STREET, Random.of(1))
    graph = graph_of(world, REGIMES[0], 0, State.empty(world))
    found = to_networkx(graph)
    assert networkx.is_bipartite(found)
    assert found.number_of_nodes() == 54
    reachable = graph.tasks.least_exchange_s(graph.wide_pool) < 9.0
    assert found.number_of_edges() == int(reachable.sum()) < 200
    n, m = reachable.nonzero()[5].tolist()
    assert found.edges[("client", n), ("model", m)]["gain"] == float(graph.gain[n, m])
    with pytest.raises(ConfigError, match="batch"):
        to_networkx(graph_of(WORLD, REGIMES[0], 0, State.empty(WORLD)))
