"""One world, orchestrated by a policy of choice, beside every other policy and the best there is."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from gainnet.core.errors import ConfigError, unknown_name
from gainnet.core.plugins import find, guarded
from gainnet.core.randomness import Random
from gainnet.orchestration.association import Association, Policy, policies
from gainnet.orchestration.graph import Graph
from gainnet.orchestration.learned import load_policy, pretrained_names
from gainnet.orchestration.reference import Reference, reference_of
from gainnet.orchestration.regime import Contention, Independent, Regime
from gainnet.orchestration.rollout import Rollout, play
from gainnet.orchestration.scenario import Scenario, load_scenario, scenario_of
from gainnet.orchestration.world import World, draw_world

REGIMES: Mapping[str, type[Independent] | type[Contention]] = {"independent": Independent, "contention": Contention}
"""Regimes by the name that the command line takes."""

SHARING = frozenset({"contention"})
"""Regimes whose clients share the spectrum of edges."""

LEARNED = "sac"
"""The policy that multi-agent soft actor-critic learned."""

_ANY_FOLDER = "the path of a folder of weights"
_SLOW = frozenset({"sequential_greedy", "best_response"})
"""Policies that take minutes with many clients."""
_MANY_CLIENTS = 200


@final
@dataclass(frozen=True)
class EpisodeConfig:
    """What is orchestrated.

    Args:
        policy: sac, another name, a folder of weights, or module:Name.
        scenario: name of a scenario or a TOML file.
        regime: independent, or contention for the spectrum of the edges; `None` is what the scenario was made for.
        random_seed: of the world, >= 0.
        num_clients: clients; the scenario's own if `None`.
        num_rounds: rounds; the scenario's own if `None`.

    Raises:
        ConfigError: a field is out of range.
    """

    policy: str = "sac"
    scenario: str = "street"
    regime: str | None = None
    random_seed: int = 0
    num_clients: int | None = None
    num_rounds: int | None = None

    def __post_init__(self) -> None:
        if self.regime is not None and self.regime not in REGIMES:
            raise unknown_name("regime", self.regime, REGIMES)
        for name in ("num_clients", "num_rounds"):
            if (given := getattr(self, name)) is not None and given < 1:
                raise ConfigError(f"{name}: {given} {name[4:]} are too few; give 1 or more")
        if self.random_seed < 0:
            raise ConfigError(f"random_seed: {self.random_seed} is negative; give 0 or more")


@final
@dataclass(frozen=True)
class Episode:
    """What came of it.

    Args:
        config: what was asked.
        world: the one drawn scenario.
        regime: whether clients share spectrum.
        rollouts: by policy, the asked one first.
        decision_s: measured time of one decision for all clients, by policy: mean over rounds.
        reference: the optimum, a bound, or `None` where neither can be had.
    """

    config: EpisodeConfig
    world: World
    regime: Regime
    rollouts: Mapping[str, Rollout]
    decision_s: Mapping[str, float]
    reference: Reference | None

    @property
    def name_of_regime(self) -> str:
        """independent or contention."""
        return "contention" if isinstance(self.regime, Contention) else "independent"

    @property
    def chosen(self) -> Rollout:
        """The rollout of the asked policy."""
        return self.rollouts[self.config.policy]

    def gain_of(self, policy: str) -> float:
        """Total gain of a policy over all rounds."""
        return float(self.rollouts[policy].gain.sum())

    def share_of(self, policy: str) -> float | None:
        """Gain of a policy as share of the reference; `None` without reference or where nothing can be gained."""
        if self.reference is None or self.reference.total <= 0:
            return None
        return self.gain_of(policy) / self.reference.total


def orchestrate(config: EpisodeConfig, watch: Callable[[str], None] = lambda step: None) -> Episode:
    """Draws one world and plays every policy in it.

    Args:
        config: what is orchestrated.
        watch: told what is done next.

    Raises:
        ConfigError: an unknown policy, scenario or regime, or a number out of range.

    >>> episode = orchestrate(EpisodeConfig("greedy", num_clients=5, num_rounds=2))
    >>> 0 < episode.gain_of("random") < episode.gain_of("greedy") <= 1.000001 * episode.reference.total
    True
    """
    whole = load_scenario(config.scenario)
    name_of_regime = config.regime or ("contention" if whole.name in SHARING else "independent")
    scenario = resized(whole, name_of_regime, config.num_clients, config.num_rounds)
    policy = find_policy(config.policy, scenario, name_of_regime)
    world, regime = draw_world(scenario, Random.of(config.random_seed)), REGIMES[name_of_regime].of(scenario)
    compared = {config.policy: policy, **_compared(scenario, name_of_regime)}
    rollouts, decision_s = {}, {}
    for name, one in compared.items():
        watch(name)
        timed = Stopwatch(one)
        rollouts[name] = guarded("policy", play, world, regime, timed, Random.of(config.random_seed).child(name))
        decision_s[name] = sum(timed.seconds) / len(timed.seconds)
    watch("the best there is")
    return Episode(config, world, regime, rollouts, decision_s, reference_of(world, regime))


def find_policy(name: str, scenario: Scenario, regime: str) -> Policy:
    """The policy of that name, shipped weights or a folder of them, or `module:Name`.

    Args:
        name: `sac` is the shipped one that was trained for the scenario, or else for the regime.
        scenario: what latencies are compared for.
        regime: independent or contention.

    Raises:
        GainnetError: there is none, or its files are damaged.
    """
    known = policies(scenario.gain.scale_samples)
    is_folder = name not in known and bool(name) and Path(name).expanduser().is_dir()
    if name == LEARNED or name in pretrained_names() or is_folder:
        return load_policy(_trained_for(scenario, regime) if name == LEARNED else name)
    offered = {**known, **dict.fromkeys((LEARNED, *pretrained_names(), _ANY_FOLDER))}
    found: Any = find("policy", name, offered)
    made = guarded("policy", found) if isinstance(found, type) else found
    if not callable(made):
        raise ConfigError(f"policy: {name!r} cannot be called with a graph and random streams")
    return made  # type: ignore[no-any-return]


def _trained_for(scenario: Scenario, regime: str) -> str:
    """A name of shipped weights without its training seed."""
    own = f"{scenario.name}-0" in pretrained_names() and (scenario.name in SHARING) == (regime in SHARING)
    return scenario.name if own else regime


def resized(scenario: Scenario, regime: str, num_clients: int | None, num_rounds: int | None) -> Scenario:
    """The scenario with another number of clients or rounds.

    Where clients share, the spectrum of the edges and the samples at which a model saturates grow with their number,
    so that a larger scenario is as tight as the one it comes from.

    Raises:
        ConfigError: a number is out of range.

    >>> one = load_scenario("street")
    >>> resized(one, "contention", 100, None).edges[0].bandwidth_hz / one.edges[0].bandwidth_hz
    2.0
    """
    fields = scenario.model_dump()
    if num_clients is not None:
        fields["clients"]["num_clients"] = num_clients
    if num_clients is not None and regime in SHARING:
        growth = num_clients / scenario.clients.num_clients
        fields["gain"]["scale_samples"] *= growth
        for edge in fields["edges"]:
            edge["bandwidth_hz"] *= growth
    if num_rounds is not None:
        fields["rounds"]["num_rounds"] = num_rounds
    return scenario_of(fields)


@final
@dataclass(frozen=True)
class Stopwatch:
    """A policy whose decisions are timed.

    Args:
        policy: who decides.
        seconds: wall time of every decision so far.
    """

    policy: Policy
    seconds: list[float] = field(default_factory=list)

    def __call__(self, graph: Graph, random: Random) -> Association:
        start_s = time.perf_counter()
        decided = self.policy(graph, random)
        self.seconds.append(time.perf_counter() - start_s)
        return decided


def _compared(scenario: Scenario, regime: str) -> dict[str, Policy]:
    """Policies that an episode is compared with."""
    many = scenario.clients.num_clients > _MANY_CLIENTS
    every = policies(scenario.gain.scale_samples)
    quick = {name: policy for name, policy in every.items() if not (many and name in _SLOW)}
    return {**quick, LEARNED: find_policy(LEARNED, scenario, regime)}
