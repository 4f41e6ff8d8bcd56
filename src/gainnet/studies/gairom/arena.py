"""Where policies of orchestration meet: the worlds of a regime, and who plays in them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

from gainnet.core.randomness import Random
from gainnet.orchestration import Contention, Independent, Policy, Regime, Rollout, World, draw_world, play, policies
from gainnet.orchestration.episode import SHARING, Stopwatch, resize
from gainnet.orchestration.scenario import Scenario, load_scenario
from gainnet.studies.gairom.question import SCENARIO_OF_REGIME, UNTRAINED


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

    def play(self, policy: Policy) -> tuple[Rollout, Stopwatch]:
        """What a policy does here, and the time that its decisions took."""
        timed = Stopwatch(policy)
        return play(self.world, self.regime, timed, self.random), timed


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


def untrained(scenario: Scenario, names: Iterable[str] = UNTRAINED) -> dict[str, Policy]:
    """Policies without weights by name."""
    every = policies(scenario.gain.scale_samples)
    return {name: every[name] for name in names}
