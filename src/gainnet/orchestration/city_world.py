"""A city with the dice drawn for the pairs that can hear each other alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.orchestration.city import City
from gainnet.orchestration.graph import State
from gainnet.orchestration.places import mobility_of
from gainnet.orchestration.reach import Reach
from gainnet.orchestration.reception import cn0_of_gain_hz, edges_m
from gainnet.orchestration.regime import Independent
from gainnet.orchestration.resources import Pool
from gainnet.orchestration.scenario import Scenario, scenario_of
from gainnet.orchestration.world import uniform_between
from gainnet.radio import pathloss

_STEP = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def scenario_of_city(scenario: Scenario, num_clients: int, num_edges: int, spacing_m: float) -> Scenario:
    """The scenario on a square grid of edges, each with one of its models in turn; targets grow with the clients.

    Args:
        scenario: where models, sensors and radio come from.
        num_clients: connected vehicles, >= 1.
        num_edges: filled row by row, >= 1.
        spacing_m: between neighbouring edges > 0.

    Raises:
        ConfigError: a number is out of range.

    >>> from gainnet.orchestration.scenario import load_scenario
    >>> len(scenario_of_city(load_scenario("street"), 100, 6, 250.0).models)
    6
    """
    fields = scenario.model_dump()
    columns = math.ceil(math.sqrt(num_edges))
    side_m = spacing_m * columns
    places = [((e % columns + 0.5) * spacing_m, (e // columns + 0.5) * spacing_m) for e in range(num_edges)]
    edges = [fields["edges"][0] | {"position_m": place} for place in places]
    models = [fields["models"][m % len(scenario.models)] | {"edge": m} for m in range(len(edges))]
    growth = num_clients / scenario.clients.num_clients
    numbers: dict[str, dict[str, int]] = {"clients": {"num_clients": num_clients}}
    numbers["targets"] = {"num_targets": max(1, round(growth * scenario.targets.num_targets))}
    if "num_blocks" in fields["mobility"]:
        numbers["mobility"] = {"num_blocks": max(1, round(fields["mobility"]["num_blocks"] * side_m / scenario.side_m))}
    changed = {name: fields[name] | some for name, some in numbers.items()}
    return scenario_of({**fields, **changed, "side_m": side_m, "edges": edges, "models": models})


def draw_city(scenario: Scenario, reach_m: float, random: Random) -> City:
    """A moment of a city before its first round: nothing is consumed.

    Shadowing, sight and fading of a pair follow from the numbers of its client and its edge, so that a pair is the
    same whatever others are drawn.

    Args:
        scenario: model m is on edge m, as `scenario_of_city` has it.
        reach_m: distance > 0 beyond which nothing of an edge is received.
        random: one stream.

    >>> from gainnet.orchestration.scenario import load_scenario
    >>> city = draw_city(scenario_of_city(load_scenario("street"), 100, 6, 250.0), 300.0, Random.of(1))
    >>> int((city.greedy() >= 0).sum())
    100
    """
    num_clients, num_targets = scenario.clients.num_clients, scenario.targets.num_targets
    start_s, mobility = torch.zeros(1, dtype=torch.float64), mobility_of(scenario)
    client_m = mobility.positions(num_clients, start_s, random.child("clients"))[0]
    target_m = mobility.positions(num_targets, start_s, random.child("targets"))[0]
    domain = (random.uniform((num_targets,), "domains") * scenario.num_domains).long()
    candidate = Reach.of(edges_m(scenario), reach_m).edges_at(client_m)
    wireless, visual = (
        _in_range(client_m, target_m, domain, scenario.num_domains, range_m)
        for range_m in (scenario.sensing.wireless_range_m, scenario.sensing.visual_range_m)
    )
    bandwidth_hz = uniform_between(scenario.clients.bandwidth_hz, num_clients, random.child("bandwidth"))
    cycles_per_s = uniform_between(scenario.clients.cycles_per_s, num_clients, random.child("compute"))
    pool = Pool(bandwidth_hz, cycles_per_s, torch.full_like(bandwidth_hz, scenario.rounds.duration_s))
    nothing = torch.zeros_like(bandwidth_hz)
    down, up = pair_cn0_hz(scenario, client_m, candidate, random)
    state = State(candidate.amax(-1).clamp_min(0), nothing, nothing)
    return City(scenario, Independent.of(scenario), pool, candidate, down, up, wireless, visual, state)


def pair_cn0_hz(scenario: Scenario, client_m: Tensor, candidate: Tensor, random: Random) -> tuple[Tensor, Tensor]:
    """Received power over noise density down and up, [num_clients, num_slots] each; 0 where there is no candidate.

    Args:
        scenario: heights, carrier, powers and noise.
        client_m: [num_clients, 2], positions.
        candidate: [num_clients, num_slots], int64, edges, -1 for none.
        random: one stream.
    """
    radio, edge = scenario.radio, candidate.clamp_min(0)
    distance_m = (client_m.unsqueeze(-2) - edges_m(scenario)[edge]).norm(dim=-1)
    dice = PairDice.of(random, torch.arange(len(client_m)).unsqueeze(-1) * len(scenario.edges) + edge)
    in_sight = dice.uniform() < pathloss.line_of_sight_probability(distance_m)
    spread_db = torch.where(in_sight, pathloss.LOS_SHADOWING_DB, pathloss.NLOS_SHADOWING_DB)
    shadowing_db = spread_db * torch.special.ndtri(dice.uniform())
    loss_db = pathloss.path_loss_db(distance_m, in_sight, radio.carrier_ghz, radio.edge_height_m, radio.client_height_m)
    # The mean of k exponential gains, as of Rayleigh blocks.
    fading = torch.stack([-dice.uniform().log() for _ in range(radio.fading_blocks)]).mean(0)
    gain = torch.where(candidate < 0, 0.0, fading * 10 ** (-(loss_db + shadowing_db) / 10))
    return cn0_of_gain_hz(scenario, gain)


@final
@dataclass(frozen=True)
class PairDice:
    """Uniform numbers of pairs, which depend on the number of the pair and on how many were drawn of it before alone.

    Args:
        draws: one array [n] per draw.
        shape: of what is drawn.
    """

    draws: Iterator[NDArray[np.float64]]
    shape: torch.Size

    @staticmethod
    def of(random: Random, number: Tensor) -> PairDice:
        """The dice of pairs numbered by int64 >= 0 [...]."""
        (generator,) = random.generators("pairs")
        return PairDice(_uniforms(int(generator.integers(2**62)), number.reshape(-1).numpy()), number.shape)

    def uniform(self) -> Tensor:
        """[...], in (0, 1)."""
        return torch.from_numpy(next(self.draws)).reshape(self.shape)


def _uniforms(key: int, number: NDArray[np.int64]) -> Iterator[NDArray[np.float64]]:
    """SplitMix64 (Steele et al. 2014) of (key, number, draw): no state, so that all pairs are drawn at once."""
    word = _mixed(number.astype(np.uint64) + np.uint64(key))
    while True:
        word = word + _STEP
        # 53 bits, in the middle of their interval: neither 0 nor 1.
        yield ((_mixed(word) >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def _mixed(word: NDArray[np.uint64]) -> NDArray[np.uint64]:
    word = (word ^ (word >> np.uint64(30))) * _MIX[0]
    word = (word ^ (word >> np.uint64(27))) * _MIX[1]
    mixed: NDArray[np.uint64] = word ^ (word >> np.uint64(31))
    return mixed


def _in_range(client_m: Tensor, target_m: Tensor, domain: Tensor, num_domains: int, range_m: float) -> Tensor:
    """[num_clients, num_domains], targets of each domain within range."""
    from scipy.spatial import cKDTree

    found = torch.zeros(len(client_m), num_domains, dtype=torch.float64)
    for number in range(num_domains):
        own = target_m[domain == number].numpy()
        if len(own):
            near = cKDTree(own).query_ball_point(client_m.numpy(), range_m, return_length=True)
            found[:, number] = torch.from_numpy(near).double()
    return found
