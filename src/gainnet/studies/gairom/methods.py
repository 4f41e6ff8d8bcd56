"""The methods of gairom: one row per policy, reference, race and comparison in one world."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial

from gainnet.core.randomness import Random
from gainnet.orchestration import LoadTable, Policy, State, graph_of
from gainnet.orchestration.reference import reference_of
from gainnet.studies.gairom.arena import Arena, Learned, arena, scenario_of_regime
from gainnet.studies.gairom.pipeline import overlap
from gainnet.studies.gairom.question import LEARNED, MILP, NUM_CLIENTS, REFERENCE, UNTRAINED, ZEROS, GairomConfig
from gainnet.studies.gairom.race import race
from gainnet.studies.study import Case, Method, Row, Value

_TIMED_REPETITIONS = 5
_OF_A_ROLLOUT = ("num_samples_sensed", "consumed_share")  # a bound is no association, and plays nothing


def methods(config: GairomConfig, learned: Learned) -> Mapping[str, Method]:
    """Every method by name."""
    return {
        **dict.fromkeys((*UNTRAINED, LEARNED), partial(_play, learned)),
        REFERENCE: partial(_reference, config),
        MILP: partial(_milp, config, learned),
        ZEROS: _zeros,
    }


def arena_of(case: Case) -> Arena:
    """The world that the values of a case name."""
    regime, num_clients = case.text("regime"), case.count("num_clients")
    return arena(scenario_of_regime(regime, num_clients), regime, case.random_seed)


def _play(learned: Learned, case: Case, random: Random) -> Row:
    here = arena_of(case)
    rollout, timed = here.play(learned.player(case, here.world.scenario, case.text("regime")))
    return {
        "gain": float(rollout.gain.sum()),
        "num_samples_sensed": float(rollout.sensed.sum()),
        "consumed_share": float(rollout.consumed_share),
        "measured_decision_s": sorted(timed.seconds)[len(timed.seconds) // 2],
    }


def _reference(config: GairomConfig, case: Case, random: Random) -> Row:
    here = arena_of(case)
    many = case.values["num_clients"] != NUM_CLIENTS
    found = reference_of(here.world, here.regime, config.num_bound_steps_many if many else config.num_bound_steps)
    if found is None:
        return {"gain": None}
    row: dict[str, Value] = {"gain": found.total, "reference": found.name, **dict.fromkeys(_OF_A_ROLLOUT)}
    if (rollout := found.rollout) is not None:
        row |= {"num_samples_sensed": float(rollout.sensed.sum()), "consumed_share": float(rollout.consumed_share)}
    return row


def _milp(config: GairomConfig, learned: Learned, case: Case, random: Random) -> Row:
    """The round in the middle, entered as the learned policy enters it."""
    here, policy = arena_of(case), learned.of("contention", case.values["training_seed"])
    cr = here.world.scenario.rounds.num_rounds // 2
    graph = graph_of(here.world, here.regime, cr, _state_before(here, policy, cr))
    seconds = []
    for _ in range(_TIMED_REPETITIONS):
        start_s = time.perf_counter()
        decided = policy(graph, here.random.child("round", cr))
        seconds.append(time.perf_counter() - start_s)
    table = LoadTable.of(graph)
    gain = float(table.total(decided.model))
    found = race(table, gain, config.milp_time_limit_s)
    return {
        "gain": found.gain,
        "gain_of_sac": gain,
        "milp_reached": found.reached,
        "measured_milp_s": found.duration_s,
        "measured_decision_s": sorted(seconds)[len(seconds) // 2],
    }


def _state_before(here: Arena, policy: Policy, cr: int) -> State:
    """State of a CR, with the samples to consume, after a policy has decided the CRs before."""
    rollout, _ = here.play(policy)
    model, trained = rollout.model[cr - 1], rollout.trained[cr - 1]
    worth = graph_of(here.world, here.regime, cr - 1, State.empty(here.world)).correlation
    return State(model, trained, worth.gather(-1, model.unsqueeze(-1)).squeeze(-1))


def _zeros(case: Case, random: Random) -> Row:
    found = overlap(arena_of(case).world)
    return {
        "zeros_over_serial_mean": float(found.ratio.mean()),
        "zeros_over_serial_min": float(found.ratio.min()),
        "num_pairs": len(found.ratio),
        "pipeline_fill_rounds": found.fill_rounds,
    }
