"""A joint policy played through the CRs of a world."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import final

from gainnet.orchestration.joint.allocation import Allocation
from gainnet.orchestration.joint.policies import JointPolicy, Past
from gainnet.orchestration.joint.site import Site
from gainnet.orchestration.world import World


@final
@dataclass(frozen=True)
class Served:
    """Decisions of a policy, and their outcome.

    Args:
        allocations: of every CR.
        gain: mean gain of a CR.
        served_share: requests that are served per request offered.
        decision_s: mean time of a decision in s, measured.
    """

    allocations: tuple[Allocation, ...]
    gain: float
    served_share: float
    decision_s: float


def serve(world: World, site: Site, policy: JointPolicy, share: float) -> Served:
    """A policy in every CR of a world; the last CR of it, which senses nothing, is left out.

    Args:
        world: one drawn scenario, without batch.
        site: its edges and their demand.
        policy: who decides.
        share: $\\sigma$ of the offered requests that is to be served.

    >>> from gainnet.core.randomness import Random
    >>> from gainnet.orchestration import draw_world, load_scenario
    >>> from gainnet.orchestration.joint import Online, Site, demand_of, with_requests
    >>> from gainnet.orchestration.episode import resize
    >>> asked = with_requests(resize(load_scenario("contention"), "contention", 6, 2), 8.0)
    >>> site = Site.of(asked, demand_of(asked, Random.of(1)))
    >>> round(serve(draw_world(asked, Random.of(1)), site, Online(), 0.5).served_share, 1)
    0.6
    """
    past, allocations, times_s = Past(share), [], []
    for cr in range(world.scenario.rounds.num_rounds):
        start_s = time.perf_counter()
        allocation, past = policy(world.offers[cr], site, past)
        times_s.append(time.perf_counter() - start_s)
        allocations.append(allocation)
    num = len(allocations)
    gain = sum(site.gain(one.worth) for one in allocations) / num
    served = sum(one.served_per_s(site) for one in allocations) / num
    return Served(tuple(allocations), gain, served / site.offered_per_s, sum(times_s) / num)
