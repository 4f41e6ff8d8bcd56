"""Looking ahead is exact where nothing moves, and prices bound what any association gains."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
from small_street import small

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.orchestration.association import CrowdGreedy, Greedy, LoadTable
from gainnet.orchestration.graph import State, graph_of
from gainnet.orchestration.lagrangian import Lagrangian, Prices
from gainnet.orchestration.lookahead import LookAhead
from gainnet.orchestration.optimum import independent_optimum
from gainnet.orchestration.regime import Contention, Independent
from gainnet.orchestration.rollout import play
from gainnet.orchestration.scenario import load_scenario, scenario_of
from gainnet.orchestration.trained import pooled, trained_gain
from gainnet.orchestration.world import World, draw_world

RANDOM = Random.of([0, 1, 2])


def coupled(num_clients: int, num_rounds: int) -> World:
    fields = load_scenario("coupled").model_dump()
    fields["clients"]["num_clients"] = num_clients
    fields["rounds"]["num_rounds"] = num_rounds
    return draw_world(scenario_of(fields), RANDOM)


def standing(world: World) -> World:
    """The world in which every CR is the first one."""

    def first(x: torch.Tensor) -> torch.Tensor:
        return x[:, :1].expand_as(x)

    return replace(
        world, cn0_down_hz=first(world.cn0_down_hz), cn0_up_hz=first(world.cn0_up_hz),
        num_wireless=first(world.num_wireless), num_visual=first(world.num_visual),
    )  # fmt: skip


def test_where_nothing_moves_it_finds_the_optimum() -> None:
    world = standing(coupled(8, 4))
    regime = Independent.of(world.scenario)
    best = independent_optimum(world, regime).gain
    found = play(world, regime, LookAhead(4), RANDOM).gain.sum(-1)
    torch.testing.assert_close(found, best)
    assert bool((play(world, regime, Greedy(), RANDOM).gain.sum(-1) < 0.99 * best).any())


@pytest.mark.slow
def test_one_round_ahead_is_greedy_and_more_pay_where_rounds_are_coupled() -> None:
    world = coupled(12, 4)
    regime = Independent.of(world.scenario)
    together = pooled(world.scenario, regime)
    for kind, rule in ((regime, Greedy()), (together, CrowdGreedy())):
        one = play(world, kind, LookAhead(1), RANDOM)
        assert torch.equal(one.model, play(world, kind, rule, RANDOM).model)
        ahead = play(world, kind, LookAhead(3), RANDOM)
        assert float(trained_gain(world, together, ahead).sum()) > 0
        assert float(ahead.gain.sum()) > float(one.gain.sum())
    with pytest.raises(ConfigError, match="depth"):
        LookAhead(0)


def test_prices_bound_every_association_and_lead_to_a_good_one() -> None:
    world = draw_world(small(3, 3, 1), RANDOM)
    band = torch.full((3,), 5e6, dtype=torch.float64)
    regime = replace(Contention.of(world.scenario), edge_bandwidth_hz=band)
    graph = graph_of(world, regime, 0, State.empty(world))
    table = LoadTable.of(graph)
    tried = [table.total(torch.tensor(one).expand(3, 3)) for one in itertools.product(range(3), repeat=3)]
    best = torch.stack(tried).amax(0)
    bound = Prices.of(regime, graph.edge_of_model, table.worth[1:]).bound().detach()
    assert bool((bound >= best).all())
    found = table.total(Lagrangian()(graph, RANDOM).model)
    assert bool((found >= 0.8 * best).all())
    own = Independent.of(world.scenario)
    alone = graph_of(world, own, 0, State.empty(world))
    assert torch.equal(Lagrangian()(alone, RANDOM).model, Greedy()(alone, RANDOM).model)
    with pytest.raises(ConfigError, match="num_steps"):
        Lagrangian(0)
