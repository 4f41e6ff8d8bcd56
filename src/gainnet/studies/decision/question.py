"""Question of decision: a population of requests, and who answers them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Final, final

from pydantic import Field

from gainnet.core.randomness import Random
from gainnet.generation.decision import State, Wanted, load_table
from gainnet.network import profile
from gainnet.protocols import pricing
from gainnet.radio import CHANNELS, Air
from gainnet.studies.decision.configurations import of_table
from gainnet.studies.settings import Count, NonEmpty, Positive, Seeds, SnrDb
from gainnet.studies.study import Case

DECISION: Final = "decision"
FIXED: Final = "best_fixed"
GREEDY: Final = "greedy"
CVPO: Final = "meg_cvpo"
POLICIES: Final = (DECISION, FIXED, GREEDY, CVPO)
EVERY: Final = "configuration"
"""Every configuration of the table for every request, of which the best run is the limit of all policies."""
METHODS: Final = (*POLICIES, EVERY)
MOST_REQUESTS: Final = 200
"""Captions that no training has drawn."""

Share = Annotated[float, Field(ge=0.0, le=1.0)]


@final
@dataclass(frozen=True)
class DecisionConfig:
    """Settings of the study decision: what a request is drawn from.

    Args:
        random_seeds: each draws its own requests.
        num_requests: of a random seed; all together at most 200.
        devices: hardware of the device, one of them.
        edges: hardware of the edge.
        priced_as: models whose FLOPs are priced.
        fadings: of the air.
        snrs_db: lowest and highest mean Es/N0, uniform between.
        bandwidths_hz: lowest and highest, uniform in their logarithm.
        idle_share: of requests that find the edge idle; others wait.
        mean_queue_s: mean of the exponential wait of others.
        psnrs_db: bounds of quality, one of them.
        latencies_s: bounds of latency.
        energies_j: bounds of the device's energy.
        model: name of the model.
        num_planned: requests of another random seed on which, by the tables, a fixed configuration is chosen.
    """

    random_seeds: Seeds
    num_requests: Annotated[int, Field(ge=1, le=MOST_REQUESTS)]
    devices: NonEmpty[str]
    edges: NonEmpty[str]
    priced_as: NonEmpty[str]
    fadings: NonEmpty[str]
    snrs_db: tuple[SnrDb, SnrDb]
    bandwidths_hz: tuple[Positive, Positive]
    idle_share: Share
    mean_queue_s: Positive
    psnrs_db: NonEmpty[Positive]
    latencies_s: NonEmpty[Positive]
    energies_j: NonEmpty[Positive]
    model: str = "scenes"
    num_planned: Count = 2000


@final
@dataclass(frozen=True)
class Asked:
    """A request of the population.

    Args:
        device: name of its hardware, the class that a fixed configuration is chosen for.
        wanted: goal and bounds.
        state: of air and nodes.
    """

    device: str
    wanted: Wanted
    state: State


def population(config: DecisionConfig, random_seed: int, num_requests: int) -> tuple[Asked, ...]:
    """Requests of a random seed.

    Args:
        config: what they are drawn from.
        random_seed: of the draws.
        num_requests: how many; more only add to the first ones.
    """
    return tuple(_drawn(config, Random.of(random_seed).child("decision", k)) for k in range(num_requests))


def _drawn(config: DecisionConfig, random: Random) -> Asked:
    rng = random.generators("request")[0]

    def one(values: tuple[str, ...]) -> str:
        return values[int(rng.integers(len(values)))]

    def number(values: tuple[float, ...]) -> float:
        return values[int(rng.integers(len(values)))]

    device, edge, priced_as, fading = (
        one(values) for values in (config.devices, config.edges, config.priced_as, config.fadings)
    )
    (least, most), ratio = config.bandwidths_hz, config.bandwidths_hz[1] / config.bandwidths_hz[0]
    bandwidth_hz = min(most, least * ratio ** rng.uniform())
    air = Air(CHANNELS[fading](), float(rng.uniform(*config.snrs_db)), bandwidth_hz)
    is_idle, wait_s = rng.uniform() < config.idle_share, float(rng.exponential(config.mean_queue_s))
    state = State(air, profile(device), profile(edge), 0.0 if is_idle else wait_s, pricing(priced_as))
    bounds = number(config.latencies_s), number(config.energies_j), number(config.psnrs_db)
    return Asked(device, Wanted("latency", *bounds), state)


def cases(config: DecisionConfig) -> Iterator[Case]:
    """Requests outermost; every policy and every configuration answers each."""
    configurations = of_table(load_table())
    for random_seed in config.random_seeds:
        for request in range(config.num_requests):
            for method in POLICIES:
                yield Case(method, {"request": request, "configuration": None}, random_seed)
            for each in configurations:
                yield Case(EVERY, {"request": request, "configuration": each.name}, random_seed)
