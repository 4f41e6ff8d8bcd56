"""One world, orchestrated by a policy of choice, beside every other policy and the best there is."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import final

from gainnet.core.page import embed_picture, png_of
from gainnet.core.plugins import call_plugin
from gainnet.core.randomness import Random
from gainnet.orchestration.association import Association, Policy
from gainnet.orchestration.drawing import draw_gain, label_of
from gainnet.orchestration.graph import Graph
from gainnet.orchestration.joint.together import Together
from gainnet.orchestration.reference import Reference, reference_of
from gainnet.orchestration.regime import Contention, Independent, Regime
from gainnet.orchestration.rollout import Rollout, play
from gainnet.orchestration.scenario import Scenario, scenario_of
from gainnet.orchestration.trained import trained_gain
from gainnet.orchestration.world import World, draw_world

SHARING = frozenset({Contention.name})
"""Scenarios that are made for, and regimes with, clients that share the spectrum of edges."""


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
        together: training beside requests of users; `None` where nobody asks.
    """

    policy: str
    scenario: str
    random_seed: int
    world: World
    regime: Regime
    rollouts: Mapping[str, Rollout]
    decision_s: Mapping[str, float]
    reference: Reference | None
    together: Together | None = None

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

    def trained_gain_of(self, policy: str) -> float:
        """Gain of a policy over all rounds on the samples that a later round consumed, added up per model."""
        return float(trained_gain(self.world, self.regime, self.rollouts[policy]).sum())

    def share_of(self, policy: str) -> float | None:
        """Gain of a policy as share of the reference; `None` without reference or where nothing can be gained."""
        if self.reference is None or self.reference.total <= 0:
            return None
        return self.gain_of(policy) / self.reference.total

    # Worlds and rollouts are tensors of thousands of numbers; a line per policy is what one asks for.
    def __repr__(self) -> str:
        numbers, best = self.world.scenario, "" if self.reference is None else f" of the {self.reference.name}"
        lines = [
            f"Episode of {label_of(self.policy)} in {self.scenario}: {numbers.clients.num_clients} clients, "
            f"{len(numbers.models)} models, {numbers.rounds.num_rounds} rounds, random seed {self.random_seed}"
        ]
        for name in sorted(self.rollouts, key=self.gain_of, reverse=True):
            share = self.share_of(name)
            of_best = "" if share is None else f", {share:.3f}{best}"
            lines.append(f"  {label_of(name)}: gain {self.gain_of(name):.3f}{of_best}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        picture = embed_picture("gain of every round, and of all policies", png_of(draw_gain(self)))
        return f"{picture}<pre>{escape(repr(self))}</pre>"


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

    >>> from gainnet.orchestration import Greedy, RandomChoice, load_scenario
    >>> run = orchestrate(load_scenario("street"), Greedy(), clients=5, rounds=2, others={"random": RandomChoice()})
    >>> 0 < run.gain_of("random") < run.gain and 0.9 < run.of_optimum <= 1.000001
    True
    """
    kind = regime or regime_for(scenario)
    resized_scenario = resize(scenario, kind.name, clients, rounds)
    world, sharing = draw_world(resized_scenario, Random.of(random_seed)), kind.of(resized_scenario)
    rollouts, decision_s = {}, {}
    for key, one in {name: policy, **(others or {})}.items():
        progress(key)
        timed = Stopwatch(one)
        rollouts[key] = call_plugin("policy", play, world, sharing, timed, Random.of(random_seed).child(key))
        decision_s[key] = sum(timed.seconds) / len(timed.seconds)
    progress("the best there is")
    reference = reference_of(world, sharing)
    return Episode(name, source or scenario.name, random_seed, world, sharing, rollouts, decision_s, reference)


def regime_for(scenario: Scenario) -> type[Independent] | type[Contention]:
    """The regime that a scenario was made for."""
    return Contention if scenario.name in SHARING else Independent


def resize(scenario: Scenario, regime: str, num_clients: int | None, num_rounds: int | None) -> Scenario:
    """The scenario with another number of clients or rounds.

    Where clients share, the spectrum of the edges and the samples at which a model saturates grow with their number,
    so that a larger scenario is as tight as the one it comes from.

    Raises:
        ConfigError: a number is out of range.

    >>> from gainnet.orchestration.scenario import load_scenario
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
