"""Training and answering on the same pools: oracles of the bound, cells that fit, policies below the bound."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.orchestration import World, draw_world, load_scenario, violations
from gainnet.orchestration.episode import resize
from gainnet.orchestration.joint import (
    JOINT_POLICIES,
    Measured,
    Online,
    Site,
    demand_of,
    serve,
    together,
    with_requests,
)
from gainnet.orchestration.joint.bound import Frontier
from gainnet.orchestration.joint.cells import Columns, cells_of
from gainnet.orchestration.joint.policies import most_served
from gainnet.orchestration.rounds import zeros_schedule
from gainnet.orchestration.scenario import Scenario, scenario_of
from gainnet.orchestration.workload import Workload, consumption, steady_workload


def crowd(num_clients: int, num_models: int, num_rounds: int, per_s: float, edge_hz: float = 8e6) -> Scenario:
    fields = resize(load_scenario("contention"), "contention", None, num_rounds).model_dump()
    fields["clients"]["num_clients"] = num_clients
    fields["models"] = fields["models"][:num_models]
    for edge in fields["edges"]:
        edge["bandwidth_hz"] = edge_hz
    return with_requests(scenario_of(fields), per_s)


def drawn(scenario: Scenario, random_seed: int) -> tuple[World, Site]:
    random = Random.of(random_seed)
    return draw_world(scenario, random), Site.of(scenario, demand_of(scenario, random))


def test_alone_at_an_edge_a_client_has_its_steady_workload() -> None:
    world, site = drawn(crowd(1, 1, 1, 0.01, 1e9), 4)
    offer = world.offers[0]
    most = float(steady_workload(offer.pool, offer.sensing, offer.tasks).samples)
    found = Frontier.of(world.offers[:1], site).at(0.0)
    assert most > 0
    assert found is not None
    assert found.samples[0] == pytest.approx(most, rel=1e-5)
    assert found.gain == pytest.approx(np.log1p(most * float(offer.correlation) / site.scale_samples), rel=1e-6)


@pytest.mark.parametrize("share", [pytest.param(0.3, marks=pytest.mark.slow), 1.0])
def test_beside_requests_a_client_has_what_they_leave(share: float) -> None:
    """One client and one class: the share is served with as little as possible, and a bisection finds the samples."""
    world, site = drawn(crowd(1, 1, 1, 4.0, 3e6), 4)
    offer = world.offers[0]
    room = (site.pools - site.load_of(np.array([share])))[:, 0] * site.duration_s
    low, high = 0.0, float(steady_workload(offer.pool, offer.sensing, offer.tasks).samples)
    for _ in range(60):
        middle = (low + high) / 2
        taken = [float(x.sum()) for x in cells_of(offer, site, torch.full((1, 1), middle, dtype=torch.float64))]
        low, high = (middle, high) if taken[0] <= room[0] and taken[1] <= room[1] else (low, middle)
    found = Frontier.of(world.offers[:1], site).at(share)
    assert found is not None
    assert found.share[0] == pytest.approx(1.0, abs=1e-4)
    assert found.samples[0] == pytest.approx(low, rel=1e-4)


def test_nobody_serves_more_than_edges_can() -> None:
    world, site = drawn(crowd(2, 2, 1, 200.0), 2)
    most = most_served(Columns.of(world.offers[0], site), site)
    frontier = Frontier.of(world.offers[:1], site)
    assert 0 < most < 1
    assert frontier.at(0.999 * most) is not None
    assert frontier.at(1.01 * most) is None
    # A class alone on its edge: what its spectrum or its computing holds.
    demand = site.demand
    left = site.pools - site.load_of(np.zeros(2))
    needed = demand.per_s * np.stack([demand.spectrum_hz_s, demand.cycles])
    fits = (left[:, site.edge_of_class] / needed).min(0)
    assert most == pytest.approx(float(np.minimum(fits, 1.0) @ demand.per_s) / site.offered_per_s)


@pytest.mark.slow
@pytest.mark.parametrize(
    "policy", ["online", *(pytest.param(name, marks=pytest.mark.slow) for name in ("priority", "static_split"))]
)
def test_cells_fit_and_nobody_beats_the_bound(policy: str) -> None:
    world, site = drawn(crowd(5, 3, 2, 16.0), 7)
    frontier = Frontier.of(world.offers[:2], site)
    for share in (0.0, 0.8):
        found = serve(world, site, JOINT_POLICIES[policy](), share)
        best = frontier.at(min(found.served_share, 1.0) * (1 - 1e-9))
        assert best is not None
        assert found.gain <= best.gain * (1 + 1e-5)
        for allocation in found.allocations:
            filled = allocation.filled(site)
            assert filled.min() >= 0
            assert filled.max() <= 1 + 1e-6
            assert ((allocation.samples > 0) == (allocation.model >= 0)).all()


@pytest.mark.slow
def test_every_round_of_a_client_can_be_executed() -> None:
    world, site = drawn(crowd(6, 4, 1, 4.0, 3e7), 7)
    offer, allocation = world.offers[0], serve(world, site, Online(), 0.5).allocations[0]
    samples = torch.zeros(6, 4, dtype=torch.float64)
    active = allocation.model >= 0
    samples[np.arange(6)[active], allocation.model[active]] = torch.from_numpy(allocation.samples[active])
    spent = consumption(offer.pool, offer.tasks, samples)
    free = ((offer.pool.cycles - spent.cycles) / offer.sensing.cycles_per_sample).clamp_min(0)
    visual = torch.minimum(torch.minimum(free, offer.sensing.most_visual_per_s * offer.pool.duration_s), samples)
    schedule = zeros_schedule(offer.pool, spent, Workload(samples - visual, visual, spent.reason), offer.sensing)
    assert active.any()
    assert not spent.reason[samples > 0].any()
    assert violations(schedule) == []


@pytest.mark.slow
def test_the_debt_of_requests_is_paid() -> None:
    world, site = drawn(crowd(8, 4, 4, 16.0), 3)
    for share in (0.5, 0.9):
        assert serve(world, site, Online(), share).served_share >= share - 0.02


def test_computing_holds_the_deadline() -> None:
    """Requests that come at random to the computing of their class are late by as much as was promised, on average."""
    _, site = drawn(crowd(2, 1, 1, 5.0), 1)
    demand, source = site.demand, np.random.default_rng(1)
    rate = demand.cycles_per_s(np.ones(1))[0] / demand.cycles[0]
    gap_s, work_s = source.exponential(1 / demand.per_s[0], 40_000), source.exponential(1 / rate, 40_000)
    waited_s, total_s = 0.0, 0.0
    for gap, work in zip(gap_s.tolist(), work_s.tolist(), strict=True):
        waited_s = max(0.0, waited_s - gap)
        total_s += waited_s + work
        waited_s += work
    assert total_s / 40_000 == pytest.approx(float(demand.slack_s[0]), rel=0.05)


def test_requests_have_the_shares_of_the_scenario_and_the_cost_of_a_server() -> None:
    usual = with_requests(load_scenario("street"), 6.0)
    assert [one.per_s for one in usual.requests] == pytest.approx([1.5] * 4)
    fields = usual.model_dump()
    fields["requests"] = fields["requests"][:2]
    fields["requests"][0]["per_s"] = 4.5
    own = with_requests(scenario_of(fields), 8.0, Measured(1.0, 0.5, 600.0))
    assert [one.per_s for one in own.requests] == pytest.approx([6.0, 2.0])
    assert [one.cycles for one in own.requests] == pytest.approx([1.5e9] * 2)
    weight = Site.of(own, demand_of(own, Random.of(1))).weight
    assert weight.tolist() == pytest.approx([3.0, 1.0, 0.0, 0.0])


@pytest.mark.slow
def test_a_world_that_is_asked_says_what_it_does() -> None:
    world, _ = drawn(crowd(4, 4, 1, 1.0), 1)
    found = together(world, 6.0, Random.of(1), Measured(2.0, 0.3, 512.0))
    told = found.to_json()
    assert told["is_measured"]
    assert told["classes"][0]["spectrum_hz_s"] == 512.0
    assert {row["policy"] for row in told["policies"]} == set(JOINT_POLICIES)
    assert all(row["gain_of_bound"] <= 1 + 1e-5 for row in told["policies"])
    boards = found.boards()
    assert np.array(boards[0]["training"]).shape == (2, 4, 6)
    assert max(np.array(boards[0]["training"]).max(), np.array(boards[0]["requests"]).max()) <= 100


def test_what_cannot_be_is_named() -> None:
    street = load_scenario("street")
    with pytest.raises(ConfigError, match="requests_per_s"):
        with_requests(street, 0.0)
    with pytest.raises(ConfigError, match="requests: the scenario has none"):
        Site.of(street, demand_of(street, Random.of(1)))
    late = with_requests(street, 5.0).model_dump()
    late["requests"][2]["deadline_s"] = 1e-3
    with pytest.raises(ConfigError, match=r"requests\.2\.deadline_s"):
        demand_of(scenario_of(late), Random.of(1))
    lacking = street.model_dump() | {"requests": [late["requests"][0]]}
    with pytest.raises(ConfigError, match=r"edges\.0\.cycles_per_s"):
        scenario_of(lacking)
    heavy = with_requests(street, 5.0).model_dump()
    heavy["requests"][1]["cycles"] = 1e13
    asked = scenario_of(heavy)
    with pytest.raises(ConfigError, match=r"edges\.1\.cycles_per_s.*deadlines"):
        Site.of(asked, demand_of(asked, Random.of(1)))
    other = asked.model_copy(update={"gain": replace_function(asked)})
    with pytest.raises(ConfigError, match=r"gain\.function"):
        Site.of(other, demand_of(asked, Random.of(1)))


def replace_function(scenario: Scenario) -> object:
    return scenario.gain.model_copy(update={"function": "saturating"})
