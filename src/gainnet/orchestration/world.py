"""A scenario with the dice drawn: where everybody is in every round, what they see and how well they are received."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import final

import numpy as np
import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.network.mobility import Manhattan, Mobility, RandomWaypoint, Trace
from gainnet.orchestration.offer import Offer
from gainnet.orchestration.resources import Pool, unsqueeze
from gainnet.orchestration.scenario import ManhattanNumbers, Scenario, TraceNumbers
from gainnet.radio import pathloss

_NOISE_DBM_PER_HZ = -174.0


@final
@dataclass(frozen=True)
class World:
    """One or more drawn scenarios; CR r of `num_rounds` + 1, the last of which only consumes.

    Args:
        scenario: the numbers it was drawn from.
        client_m: [*batch, num_crs, num_clients, 2], positions, constant during a CR (assumed).
        target_m: [*batch, num_crs, num_targets, 2].
        domain_of_target: [*batch, num_targets], int64.
        bandwidth_hz: [*batch, num_clients].
        cycles_per_s: [*batch, num_clients].
        cn0_down_hz: [*batch, num_crs, num_clients, num_edges], received power over noise density.
        cn0_up_hz: [*batch, num_crs, num_clients, num_edges].
        num_wireless: [*batch, num_crs, num_clients, num_domains], targets in range of wireless sensing.
        num_visual: [*batch, num_crs, num_clients, num_domains], targets in sight.
    """

    scenario: Scenario
    client_m: Tensor
    target_m: Tensor
    domain_of_target: Tensor
    bandwidth_hz: Tensor
    cycles_per_s: Tensor
    cn0_down_hz: Tensor
    cn0_up_hz: Tensor
    num_wireless: Tensor
    num_visual: Tensor

    @property
    def batch(self) -> tuple[int, ...]:
        """Scenarios."""
        return tuple(self.bandwidth_hz.shape[:-1])

    @cached_property
    def pool(self) -> Pool:
        """Resources of every client, [*batch, num_clients], the same in every CR."""
        duration_s = torch.full_like(self.bandwidth_hz, self.scenario.rounds.duration_s)
        return Pool(self.bandwidth_hz, self.cycles_per_s, duration_s)

    @cached_property
    def edge_of_model(self) -> Tensor:
        """[num_models], int64."""
        return torch.tensor([model.edge for model in self.scenario.models])

    @cached_property
    def offers(self) -> tuple[Offer, ...]:
        """The offer of each CR."""
        drawn = self.cn0_down_hz, self.cn0_up_hz, self.num_wireless, self.num_visual
        columns = zip(*(x.unbind(-3) for x in drawn), strict=True)
        return tuple(Offer(self.scenario, unsqueeze(self.pool), *column) for column in columns)


def draw_world(scenario: Scenario, random: Random) -> World:
    """Scenarios drawn from the random streams, one per item.

    >>> from gainnet.orchestration.scenario import load_scenario
    >>> draw_world(load_scenario("street"), Random.of([1, 2])).cn0_up_hz.shape
    torch.Size([2, 6, 50, 4])
    """
    num_clients, num_targets = scenario.clients.num_clients, scenario.targets.num_targets
    times_s = torch.arange(scenario.rounds.num_rounds + 1, dtype=torch.float64) * scenario.rounds.duration_s
    client_m, target_m = _positions(scenario, times_s, random)
    domain = (random.uniform((num_targets,), "domains") * scenario.num_domains).long()
    down, up = _cn0_hz(scenario, client_m, random)
    seen = torch.nn.functional.one_hot(domain, scenario.num_domains).double()
    distance_m = torch.cdist(client_m, target_m)
    wireless, visual = (
        (distance_m <= range_m).double() @ seen.unsqueeze(-3)
        for range_m in (scenario.sensing.wireless_range_m, scenario.sensing.visual_range_m)
    )
    bandwidth_hz = uniform_between(scenario.clients.bandwidth_hz, num_clients, random.child("bandwidth"))
    cycles_per_s = uniform_between(scenario.clients.cycles_per_s, num_clients, random.child("compute"))
    return World(scenario, client_m, target_m, domain, bandwidth_hz, cycles_per_s, down, up, wireless, visual)


def mobility_of(scenario: Scenario) -> Mobility:
    """How vehicles of a scenario move."""
    numbers = scenario.mobility
    if isinstance(numbers, TraceNumbers):
        return Trace.read(Path(numbers.path))
    speeds = numbers.least_speed_m_per_s, numbers.most_speed_m_per_s
    if isinstance(numbers, ManhattanNumbers):
        return Manhattan(scenario.side_m, numbers.num_blocks, *speeds)
    return RandomWaypoint(scenario.side_m, *speeds)


def _positions(scenario: Scenario, times_s: Tensor, random: Random) -> tuple[Tensor, Tensor]:
    num_clients, num_targets = scenario.clients.num_clients, scenario.targets.num_targets
    mobility = mobility_of(scenario)
    if isinstance(mobility, Trace):
        together = mobility.positions(num_clients + num_targets, times_s, random)
        return together[..., :num_clients, :], together[..., num_clients:, :]
    # Streams of their own: more targets leave the clients where they are.
    clients = mobility.positions(num_clients, times_s, random.child("clients"))
    return clients, mobility.positions(num_targets, times_s, random.child("targets"))


def _cn0_hz(scenario: Scenario, client_m: Tensor, random: Random) -> tuple[Tensor, Tensor]:
    """[*batch, num_crs, num_clients, num_edges] down and up; both directions have the same gain."""
    radio = scenario.radio
    edge_m = torch.tensor([edge.position_m for edge in scenario.edges], dtype=torch.float64)
    distance_m = (client_m.unsqueeze(-2) - edge_m).norm(dim=-1)
    shape = tuple(distance_m.shape[-3:])
    moved_m = (client_m - client_m.roll(1, -3)).norm(dim=-1)

    def walk(name: str, correlation_m: float) -> Tensor:
        return pathloss.along_the_way(random.normal(shape, name).double(), moved_m, correlation_m)

    # A Gaussian process made uniform: line of sight comes and goes along the way, with the right probability
    # everywhere.
    in_sight = torch.special.ndtr(walk("sight", pathloss.SIGHT_M)) < pathloss.line_of_sight_probability(distance_m)
    shadowing_db = torch.where(
        in_sight,
        pathloss.LOS_SHADOWING_DB * walk("shadowing in sight", pathloss.LOS_SHADOWING_M),
        pathloss.NLOS_SHADOWING_DB * walk("shadowing", pathloss.NLOS_SHADOWING_M),
    )
    loss_db = pathloss.path_loss_db(distance_m, in_sight, radio.carrier_ghz, radio.edge_height_m, radio.client_height_m)
    # The mean of k independent exponential gains is a Gamma variable of shape k over k.
    draws = [g.standard_gamma(radio.fading_blocks, shape) / radio.fading_blocks for g in random.generators("fading")]
    fading = torch.from_numpy(np.stack(draws)).reshape(distance_m.shape)
    # Both directions see the same path at the same time.
    gain = fading * 10 ** (-(loss_db + shadowing_db) / 10)
    return cn0_of_gain_hz(scenario, gain)


def cn0_of_gain_hz(scenario: Scenario, gain: Tensor) -> tuple[Tensor, Tensor]:
    """Received power over noise density down and up, [...] each, of power gains [...]."""
    radio = scenario.radio
    down_dbhz = radio.edge_tx_power_dbm - _NOISE_DBM_PER_HZ - radio.client_noise_figure_db
    up_dbhz = scenario.clients.tx_power_dbm - _NOISE_DBM_PER_HZ - radio.edge_noise_figure_db
    return gain * 10 ** (down_dbhz / 10), gain * 10 ** (up_dbhz / 10)


def uniform_between(limits: tuple[float, float], num: int, random: Random) -> Tensor:
    """[num], uniform between two values."""
    return limits[0] + (limits[1] - limits[0]) * random.uniform((num,)).double()
