"""Bounds under contention: the MILP finds what trying everything finds, and bounds lie above it."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
from small_street import STREET, small
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.orchestration.association import BestResponse, LoadTable
from gainnet.orchestration.bound import Columns, horizon_bound, lagrangian_round, milp_round
from gainnet.orchestration.graph import State, graph_of
from gainnet.orchestration.optimum import exhaustive_optimum
from gainnet.orchestration.regime import Contention, Independent
from gainnet.orchestration.scenario import Scenario
from gainnet.orchestration.world import draw_world


def tight(scenario: Scenario, bandwidth_hz: float) -> Contention:
    num_models = len(scenario.models)
    bands = torch.full((num_models,), bandwidth_hz, dtype=torch.float64)
    return replace(Contention.of(scenario), edge_bandwidth_hz=bands, weight=torch.arange(1.0, num_models + 1).double())


def table_of(scenario: Scenario, bandwidth_hz: float, random_seed: int) -> LoadTable:
    world = draw_world(scenario, Random.of(random_seed))
    return LoadTable.of(graph_of(world, tight(scenario, bandwidth_hz), 0, State.empty(world)))


def best_of_all(table: LoadTable) -> float:
    num_clients, num_models = table.worth.shape[1:]
    tried: Tensor = torch.stack(
        [table.total(torch.tensor(c)) for c in itertools.product(range(num_models), repeat=num_clients)]
    )
    return float(tried.max())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bandwidth_hz", "random_seed"),
    [(3e6, 3), *(pytest.param(*x, marks=pytest.mark.slow) for x in ((6e6, 0), (6e6, 1), (2e7, 2)))],
)
def test_the_program_finds_the_best_of_all(bandwidth_hz: float, random_seed: int) -> None:
    table = table_of(small(5, 3, 2), bandwidth_hz, random_seed)
    best, found = best_of_all(table), milp_round(table, time_limit_s=20.0, gap=1e-6)
    assert found.gain == pytest.approx(float(table.total(found.model)), rel=1e-12)
    assert found.gain == pytest.approx(best, rel=1e-5)
    assert found.bound >= best * (1 - 1e-6)
    assert found.bound == pytest.approx(best, rel=1e-4)
    relaxed = lagrangian_round(Columns.of(table), num_steps=150)
    assert best * (1 - 1e-9) <= relaxed <= best * 1.35


@pytest.mark.slow
def test_every_multiplier_bounds() -> None:
    table = table_of(small(4, 3, 2), 6e6, 4)
    bounds = [lagrangian_round(Columns.of(table), num_steps) for num_steps in (1, 20, 200)]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[-1] >= best_of_all(table) * (1 - 1e-9)


def test_loads_are_merged_where_nothing_changes() -> None:
    """A client has at most 8 MHz: with 80 MHz, up to ten on an edge see no difference."""
    columns = Columns.of(table_of(small(14, 4, 1), 8e7, 0))
    assert int(columns.least[0]) == 1
    assert int(columns.most[0]) >= 10
    assert (columns.most[:-1] + 1).tolist() == columns.least[1:].tolist()
    assert int(columns.most[-1]) == 14


@pytest.mark.slow
def test_the_horizon_is_bounded() -> None:
    scenario = small(3, 2, 2)
    regime = tight(scenario, 4e6)
    world = draw_world(scenario, Random.of(0))
    best = float(exhaustive_optimum(world, regime).gain)
    assert best * (1 - 1e-9) <= horizon_bound(world, regime, 40) <= best * 2


@pytest.mark.slow
def test_a_program_out_of_time_still_bounds() -> None:
    table = table_of(small(20, 4, 1), 1.6e7, 5)
    found = milp_round(table, time_limit_s=0.2, gap=1e-6)
    assert found.gain == pytest.approx(float(table.total(found.model)))
    other = BestResponse(num_starts=0)(table.graph, Random.of(0)).model
    assert found.bound >= float(table.total(other)) * (1 - 1e-9)
    assert found.bound >= found.gain


def test_only_one_sharing_scenario_has_a_program() -> None:
    world = draw_world(STREET, Random.of([1, 2]))
    with pytest.raises(ConfigError, match="one scenario"):
        Columns.of(LoadTable.of(graph_of(world, Independent.of(STREET), 0, State.empty(world))))
