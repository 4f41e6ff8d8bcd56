"""A scenario with the dice drawn: where everybody is in every round, what they see and how well they are received."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import final

import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.orchestration.offer import Offer
from gainnet.orchestration.places import places_of, sensed
from gainnet.orchestration.reception import nearest_edge, of_snr_hz, reception_hz
from gainnet.orchestration.resources import Pool, unsqueeze
from gainnet.orchestration.scenario import Scenario


@final
@dataclass(frozen=True)
class World:
    """One or more drawn scenarios; CR r of `num_rounds` + 1, the last of which only consumes.

    Args:
        scenario: the numbers it was drawn from.
        client_m: [*batch, num_crs, num_clients, 2], positions, constant during a CR (assumed); NaN while one is away.
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
    def serving(self) -> Tensor:
        """[*batch, num_crs, num_clients], int64, the nearest edge; -1 while a client is away."""
        nearest = nearest_edge(self.scenario, self.client_m.nan_to_num(0.0))
        return torch.where(self.client_m.isnan().any(-1), -1, nearest)

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
    num_clients = scenario.clients.num_clients
    times_s = torch.arange(scenario.rounds.num_rounds + 1, dtype=torch.float64) * scenario.rounds.duration_s
    places = places_of(scenario, times_s, random)
    num_targets = places.target_m.shape[-2]
    domain = (random.uniform((num_targets,), "domains") * scenario.num_domains).long()
    seen = torch.nn.functional.one_hot(domain, scenario.num_domains).double()
    wireless, visual = (x.double() @ seen.unsqueeze(-3) for x in sensed(scenario, places))
    bandwidth_hz = uniform_between(scenario.clients.bandwidth_hz, num_clients, random.child("bandwidth"))
    cycles_per_s = uniform_between(scenario.clients.cycles_per_s, num_clients, random.child("compute"))
    if places.snr_db is None:
        # Everybody can stand in the way; where clients are targets of others they are among those already.
        vehicle_m = places.target_m if places.num_own else torch.cat([places.client_m, places.target_m], -2)
        down, up = reception_hz(scenario, places.client_m, vehicle_m, bandwidth_hz, random)
    else:
        down, up = of_snr_hz(scenario, places.snr_db, bandwidth_hz)
    return World(
        scenario, places.client_m, places.target_m, domain, bandwidth_hz, cycles_per_s, down, up, wireless, visual
    )


def uniform_between(limits: tuple[float, float], num: int, random: Random) -> Tensor:
    """[num], uniform between two values."""
    return limits[0] + (limits[1] - limits[0]) * random.uniform((num,)).double()
