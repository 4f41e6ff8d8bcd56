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
from gainnet.orchestration.regime import REGIMES, Contention, Independent, Regime
from gainnet.orchestration.rollout import Rollout, play
from gainnet.orchestration.scenario import Scenario, load_scenario, scenario_of
from gainnet.orchestration.world import World, draw_world

SHARING = frozenset({Contention.name})
"""Scenarios that are made for, and regimes with, clients that share the spectrum of edges."""

LEARNED = "sac"
"""The policy that multi-agent soft actor-critic learned."""

_ANY_FOLDER = "the path of a folder of weights"
_SLOW = frozenset({"sequential_greedy", "best_response"})
"""Policies that take minutes with many clients."""
_MANY_CLIENTS = 200


@final
@dataclass(frozen=True)
class Episode:
    """One world, orchestrated by a policy, beside others and the best there is.

    Args:
        policy: name of the policy, a key of `rollouts`.
        scenario: name of the scenario, or the path of its file.
        random_seed: of the world.
        world: the one drawn scenario.
        regime: whether clients share spectrum.
        rollouts: by policy.
        decision_s: measured time of one decision for all clients in s, by policy: mean over rounds.
        reference: the optimum, a bound, or `None` where neither can be had.
    """

    policy: str
    scenario: str
    random_seed: int
    world: World
    regime: Regime
    rollouts: Mapping[str, Rollout]
    decision_s: Mapping[str, float]
    reference: Reference | None

    @property
    def chosen(self) -> Rollout:
        """The rollout of the policy."""
        return self.rollouts[self.policy]

    @property
    def gain(self) -> float:
        """Total gain of the policy over all rounds."""
        return self.gain_of(self.policy)

    @property
    def of_optimum(self) -> float | None:
        """Gain of the policy as share of that of the reference, the optimum or a bound above it."""
        return self.share_of(self.policy)

    def gain_of(self, policy: str) -> float:
        """Total gain of a policy over all rounds."""
        return float(self.rollouts[policy].gain.sum())

    def share_of(self, policy: str) -> float | None:
        """Gain of a policy as share of the reference; `None` without reference or where nothing can be gained."""
        if self.reference is None or self.reference.total <= 0:
            return None
        return self.gain_of(policy) / self.reference.total


def orchestrate(
    scenario: Scenario,
    policy: Policy,
    *,
    regime: type[Independent] | type[Contention] | None = None,
    clients: int | None = None,
    rounds: int | None = None,
    random_seed: int = 0,
    others: Mapping[str, Policy] | None = None,
    name: str = "policy",
    source: str | None = None,
    progress: Callable[[str], None] = lambda step: None,
) -> Episode:
    """Draws one world and plays a policy in it, and others to compare with.

    Args:
        scenario: numbers of the world.
        policy: who decides.
        regime: `Independent` or `Contention`; `None` is what the scenario was made for.
        clients: number of clients; the scenario's own if `None`.
        rounds: number of rounds; the scenario's own if `None`.
        random_seed: of the world, >= 0.
        others: further policies by name.
        name: of the policy in the result.
        source: path of the scenario's file; its name if `None`.
        progress: called with the name of every policy before it plays.

    Raises:
        ConfigError: a number is out of range.

    >>> from gainnet.orchestration.association import Greedy, RandomChoice
    >>> run = orchestrate(load_scenario("street"), Greedy(), clients=5, rounds=2, others={"random": RandomChoice()})
    >>> 0 < run.gain_of("random") < run.gain and 0.9 < run.of_optimum <= 1.000001
    True
    """
    kind = regime or _regime_for(scenario)
    resized_scenario = resize(scenario, kind.name, clients, rounds)
    world, sharing = draw_world(resized_scenario, Random.of(random_seed)), kind.of(resized_scenario)
    rollouts, decision_s = {}, {}
    for key, one in {name: policy, **(others or {})}.items():
        progress(key)
        timed = Stopwatch(one)
        rollouts[key] = guarded("policy", play, world, sharing, timed, Random.of(random_seed).child(key))
        decision_s[key] = sum(timed.seconds) / len(timed.seconds)
    progress("the best there is")
    reference = reference_of(world, sharing)
    return Episode(name, source or scenario.name, random_seed, world, sharing, rollouts, decision_s, reference)


@final
@dataclass(frozen=True)
class EpisodeConfig:
    """An episode in text, as the command line and files give it.

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


def episode_of(config: EpisodeConfig, progress: Callable[[str], None] = lambda step: None) -> Episode:
    """The episode that a text describes, with every policy beside the one that is asked for.

    Raises:
        ConfigError: an unknown policy, scenario or regime, or a number out of range.

    >>> episode_of(EpisodeConfig("greedy", num_clients=5, num_rounds=2)).reference.name
    'optimum'
    """
    scenario = load_scenario(config.scenario)
    kind = _regime_for(scenario) if config.regime is None else REGIMES[config.regime]
    played = resize(scenario, kind.name, config.num_clients, config.num_rounds)
    policy = find_policy(config.policy, played, kind.name)
    others = {name: one for name, one in _compared(played, kind.name).items() if name != config.policy}
    return orchestrate(
        played, policy, regime=kind, random_seed=config.random_seed, others=others, name=config.policy,
        source=config.scenario, progress=progress,
    )  # fmt: skip


def _regime_for(scenario: Scenario) -> type[Independent] | type[Contention]:
    return Contention if scenario.name in SHARING else Independent


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
    # Weights for exactly this scenario, if they were trained in the same regime.
    own = f"{scenario.name}-0" in pretrained_names() and (scenario.name in SHARING) == (regime in SHARING)
    return scenario.name if own else regime


def resize(scenario: Scenario, regime: str, num_clients: int | None, num_rounds: int | None) -> Scenario:
    """The scenario with another number of clients or rounds.

    Where clients share, the spectrum of the edges and the samples at which a model saturates grow with their number,
    so that a larger scenario is as tight as the one it comes from.

    Raises:
        ConfigError: a number is out of range.

    >>> one = load_scenario("street")
    >>> resize(one, "contention", 100, None).edges[0].bandwidth_hz / one.edges[0].bandwidth_hz
    2.0
    """
    fields = scenario.model_dump()
    if num_clients is not None:
        fields["clients"]["num_clients"] = num_clients
    if num_clients is not None and regime in SHARING:
        # Spectrum and saturation grow with the clients, so that their density on an edge stays the same.
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
