"""Where policies of orchestration meet: the worlds of a regime, and the policies, with weights or without."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median_high
from typing import final

from gainnet.catalog.orchestration import policy_of
from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.orchestration import (
    Contention,
    Independent,
    Policy,
    Regime,
    Rollout,
    World,
    draw_world,
    load_scenario,
    play,
    policies,
    pooled,
    trained_gain,
)
from gainnet.orchestration.episode import SHARING, Stopwatch, resize
from gainnet.orchestration.learned import load_policy, trained_config
from gainnet.orchestration.scenario import Scenario
from gainnet.studies.gairom.question import DRAWN, LEARNED, SCENARIO_OF_REGIME
from gainnet.studies.results import config_hash
from gainnet.studies.study import Case, Value


@final
@dataclass(frozen=True)
class Learned:
    """Policies that were trained.

    Args:
        policies: by training seed and regime, or name of what was learned over drawn scenarios.
    """

    policies: Mapping[tuple[str, int], Policy]

    def of(self, regime: str, training_seed: Value) -> Policy:
        """The policy of a training seed.

        Raises:
            ConfigError: none was trained with that random seed.
        """
        try:
            return self.policies[regime, int(str(training_seed))]
        except KeyError:
            raise ConfigError(f"training_seeds: no policy of {regime} was trained with {training_seed}") from None

    def player(self, case: Case, scenario: Scenario, regime: str) -> Policy:
        """The policy that a case names, with weights or without; raises as `of`."""
        if case.method == LEARNED:
            return self.of(regime, case.values["training_seed"])
        if case.method in DRAWN:
            return self.of(case.method, case.values["training_seed"])
        return by_name(case.method, scenario, regime)


def by_name(name: str, scenario: Scenario, regime: str) -> Policy:
    """A policy without weights, or one of the user's.

    Args:
        name: of the policy, or its text.
        scenario: that is played.
        regime: whether clients share spectrum.
    """
    known = policies(scenario.gain.scale_samples)
    return known[name] if name in known else policy_of(name, scenario, regime)


def load_all(regimes: Iterable[str], training_seeds: Iterable[int]) -> Learned:
    """The shipped policies by regime, or name of what was learned over drawn scenarios, and training seed."""
    seeds = tuple(training_seeds)
    return Learned({(regime, seed): load_policy(f"{regime}-{seed}") for regime in regimes for seed in seeds})


def digests(
    regimes: Iterable[str], training_seeds: Iterable[int], scenarios: Iterable[str] = (), drawn: Iterable[str] = ()
) -> Mapping[str, str]:
    """Digests of the policies and of the scenarios that they play in; other weights make another run.

    Args:
        regimes: whose policies and scenarios are used.
        training_seeds: of the policies.
        scenarios: further scenarios.
        drawn: policies that were learned over drawn scenarios.
    """
    seeds, known = tuple(training_seeds), tuple(regimes)
    names = dict.fromkeys((*(SCENARIO_OF_REGIME[regime] for regime in known), *scenarios))
    found = {f"scenario.{name}": config_hash(load_scenario(name).model_dump(mode="json")) for name in names}
    trained = [f"{name}-{seed}" for name in (*known, *drawn) for seed in seeds]
    return found | {f"policy.{name}": config_hash(dict(trained_config(name))) for name in trained}


@final
@dataclass(frozen=True)
class Arena:
    """One drawn world in one regime.

    Args:
        world: without batch.
        regime: whether clients share spectrum.
        random: streams of the policies.
    """

    world: World
    regime: Regime
    random: Random

    def trained_gain(self, policy: Policy) -> float:
        """Trained gain of a policy over all rounds when it plays for that: samples of a model add up."""
        regime = pooled(self.world.scenario, self.regime)
        return float(trained_gain(self.world, regime, play(self.world, regime, policy, self.random)).sum())

    def play(self, policy: Policy) -> tuple[Rollout, float]:
        """Rollout of a policy, and the measured median time of its decisions in s, at least one."""
        timed = Stopwatch(policy)
        rollout = play(self.world, self.regime, timed, self.random)
        return rollout, median_high(timed.seconds)


def scenario_of_regime(regime: str, num_clients: int | None = None) -> Scenario:
    """The scenario of a regime, as tight with any number of clients where they share.

    >>> scenario_of_regime("independent", 100).clients.num_clients
    100
    """
    return resize(load_scenario(SCENARIO_OF_REGIME[regime]), regime, num_clients, None)


def arena(scenario: Scenario, regime: str, random_seed: int) -> Arena:
    """The world of a random seed in a regime.

    >>> arena(scenario_of_regime("independent", 5), "independent", 0).world.bandwidth_hz.shape
    torch.Size([5])
    """
    random = Random.of(random_seed)
    shared = (Contention if regime in SHARING else Independent).of(scenario)
    return Arena(draw_world(scenario, random), shared, random.child("policy"))
