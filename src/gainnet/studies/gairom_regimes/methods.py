"""The methods of gairom-regimes: one row per policy, drawn scenario and gain that is played for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.orchestration import (
    Contention,
    Independent,
    Policy,
    Rollout,
    World,
    draw_world,
    drawn_scenario,
    independent_optimum,
    load_policy,
    play,
    trained_gain,
)
from gainnet.orchestration.arms import objectives
from gainnet.orchestration.scenario import Scenario
from gainnet.studies.gairom.arena import by_name
from gainnet.studies.gairom_regimes.question import LEARNED, MOST_ROUNDS, REFERENCE, UNTRAINED, WEIGHTS, RegimesConfig
from gainnet.studies.own import Guarded, own
from gainnet.studies.study import Case, Method, Row, Value


def methods(config: RegimesConfig) -> Mapping[str, Method]:
    """Every method by name, with the learned policies loaded."""
    learned = {
        (name, seed): load_policy(f"{WEIGHTS[name]}-{seed}")
        for name in config.learned
        for seed in config.training_seeds
    }
    random = Random.of(config.random_seeds)

    # Cases of one scenario follow each other, and so do both gains of a policy that plays alike for both.
    @lru_cache(maxsize=1)
    def world_of(number: int) -> World:
        return draw_world(drawn_scenario(number), random)

    @lru_cache(maxsize=1)
    def played(number: int, method: str, training_seed: Value, alone: bool) -> Rollout:
        world = world_of(number)
        regime = objectives(world.scenario)[0 if alone else 1]
        return play(world, regime, policy_of(world.scenario, method, training_seed), random.child("policy"))

    def policy_of(scenario: Scenario, method: str, training_seed: Value) -> Policy:
        if method in WEIGHTS:
            return learned[method, int(str(training_seed))]
        return by_name(method, scenario, objectives(scenario)[0].name)

    def run(case: Case, _: Random) -> Row:
        number, objective = case.count("scenario"), case.text("objective")
        world = world_of(number)
        published, together = objectives(world.scenario)
        # Where clients share spectrum, the regime is the same for both gains.
        alone = objective == "published" and isinstance(published, Independent)
        rollout = played(number, case.method, case.values["training_seed"], alone)
        gain = rollout.gain if objective == "published" else trained_gain(world, together, rollout)
        return {"gain": _mean(gain), **numbers_of(world.scenario)}

    def reference(case: Case, _: Random) -> Row:
        world = world_of(case.count("scenario"))
        regime = objectives(world.scenario)[0]
        known = isinstance(regime, Independent) and world.scenario.rounds.num_rounds <= MOST_ROUNDS
        gain = (
            float(independent_optimum(world, regime).gain.mean()) if known and isinstance(regime, Independent) else None
        )
        return {"gain": gain, **numbers_of(world.scenario)}

    users: dict[str, Method] = {name: Guarded(name, run) for name in own(config.policies, UNTRAINED)}
    return {**dict.fromkeys((*UNTRAINED, *LEARNED), run), **users, REFERENCE: reference}


def _mean(gain: Tensor) -> float:
    return float(gain.sum(-1).mean())


def numbers_of(scenario: Scenario) -> dict[str, Value]:
    """Numbers of a scenario that the map has for axes.

    `coupling_bits_per_hz_s`: size of a model over the spectrum of a client and round; `scarcity_cycles`: samples at
    which a model saturates that a client can train in a round, inverted; `moved_m`: way of the fastest in a round;
    `crowding`: spectrum that clients have over that of the edges, 0 where they share none.

    >>> numbers_of(drawn_scenario(0))["crowding"]
    0.0
    """
    spectrum_hz_s = sum(scenario.clients.bandwidth_hz) / 2 * scenario.rounds.duration_s
    cycles = sum(scenario.clients.cycles_per_s) / 2 * scenario.rounds.duration_s
    num_models, num_clients = len(scenario.models), scenario.clients.num_clients
    bits = sum(model.num_bits for model in scenario.models) / num_models
    per_sample = sum(model.cycles_per_sample for model in scenario.models) / num_models
    speed = getattr(scenario.mobility, "most_speed_m_per_s", 0.0)
    edges_hz = sum(edge.bandwidth_hz for edge in scenario.edges)
    sharing = scenario.name == Contention.name
    return {
        "num_rounds": scenario.rounds.num_rounds,
        "coupling_bits_per_hz_s": bits / spectrum_hz_s,
        "scarcity_cycles": scenario.gain.scale_samples * per_sample / cycles,
        "moved_m": speed * scenario.rounds.duration_s,
        "crowding": num_clients * sum(scenario.clients.bandwidth_hz) / 2 / edges_hz if sharing else 0.0,
    }
