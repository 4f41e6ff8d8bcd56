"""The methods of gairom: one row per policy, reference, race and comparison in one world."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from statistics import median_high
from typing import final

from gainnet.core.randomness import Random
from gainnet.orchestration import (
    Contention,
    Independent,
    LoadTable,
    Policy,
    Rollout,
    State,
    graph_of,
    milp_round,
    trained_bounds,
    trained_gain,
    trained_optimum,
)
from gainnet.orchestration.reference import reference_of
from gainnet.studies.gairom.arena import Arena, Learned, arena, scenario_of_regime
from gainnet.studies.gairom.pipeline import overlap
from gainnet.studies.gairom.question import DRAWN, LEARNED, MILP, NUM_CLIENTS, REFERENCE, UNTRAINED, ZEROS, GairomConfig
from gainnet.studies.own import Guarded, own
from gainnet.studies.study import Case, Method, Row, Value

_TIMED_REPETITIONS = 5
_FIRST_LIMIT_S, _GAP = 1.0, 1e-3  # of programs: time of the shortest, and how near to their optimum they stop
_OF_A_ROLLOUT = ("num_samples_sensed", "consumed_share")  # a bound is no association, and plays nothing


def methods(config: GairomConfig, learned: Learned) -> Mapping[str, Method]:
    """Every method by name."""
    return {
        **dict.fromkeys((*UNTRAINED, LEARNED, *DRAWN), partial(_play, learned)),
        **{name: Guarded(name, partial(_play, learned)) for name in own(config.policies, UNTRAINED)},
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
    policy = learned.player(case, here.world.scenario, case.text("regime"))
    rollout, decision_s = here.play(policy)
    return {
        "gain": float(rollout.gain.sum()),
        "trained_gain": here.trained_gain(policy),
        "num_samples_sensed": float(rollout.sensed.sum()),
        "consumed_share": float(rollout.consumed_share),
        "measured_decision_s": decision_s,
    }


def _reference(config: GairomConfig, case: Case, random: Random) -> Row:
    here = arena_of(case)
    many = case.values["num_clients"] != NUM_CLIENTS
    found = reference_of(here.world, here.regime, config.num_bound_steps_many if many else config.num_bound_steps)
    if found is None:
        return {"gain": None}
    rollout = found.rollout
    row: dict[str, Value] = {"gain": found.total, "reference": found.name, **dict.fromkeys(_OF_A_ROLLOUT)}
    if rollout is not None:
        row |= {"num_samples_sensed": float(rollout.sensed.sum()), "consumed_share": float(rollout.consumed_share)}
    return row if many else row | _trained_reference(config, here, rollout)


def _trained_reference(config: GairomConfig, here: Arena, published: Rollout | None) -> dict[str, Value]:
    """Bound of the trained gain; the best that is known, and what the optimum of the published gain trains."""
    if isinstance(here.regime, Contention):
        return {"trained_gain": sum(trained_bounds(here.world, here.regime, config.num_bound_steps))}
    assert isinstance(here.regime, Independent)
    assert published is not None
    best = trained_optimum(here.world, here.regime)
    played = float(trained_gain(here.world, here.regime, published).sum())
    return {"trained_gain": best.bound, "trained_gain_found": best.gain, "trained_gain_of_published": played}


def _milp(config: GairomConfig, learned: Learned, case: Case, random: Random) -> Row:
    """The round in the middle, entered as the learned policy enters it."""
    # In the middle pools are neither fresh nor used up.
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
        "measured_decision_s": median_high(seconds),
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


@final
@dataclass(frozen=True)
class Race:
    """Outcome of the programs.

    Args:
        gain: of its best association.
        duration_s: measured time of the program that was as good, or of the last one.
        reached: whether it was as good.
    """

    gain: float
    duration_s: float
    reached: bool


def race(table: LoadTable, gain: float, time_limit_s: float) -> Race:
    """Solves the round with 1, 2, 4, ... seconds until the association is as good as `gain`.

    A program that is given T seconds reports its best association at the end, so the time is known up to a factor of
    two; only the last program counts, not those before, and not the time that the table of worths took. All of that
    favours the program.

    Args:
        table: worths of one scenario in one round.
        gain: of the association to reach.
        time_limit_s: of the longest program > 0.

    >>> from gainnet.studies.gairom.arena import arena, scenario_of_regime
    >>> from gainnet.orchestration import State, graph_of
    >>> one = arena(scenario_of_regime("independent", 4), "contention", 0)
    >>> graph = graph_of(one.world, one.regime, 0, State.empty(one.world))
    >>> race(LoadTable.of(graph), 0.0, 5.0).reached
    True
    """
    limit_s = min(_FIRST_LIMIT_S, time_limit_s)
    while True:
        found = milp_round(table, limit_s, _GAP)
        # As good but for rounding.
        reached = found.gain >= gain * (1 - 1e-9)
        if reached or limit_s >= time_limit_s:
            return Race(found.gain, found.duration_s, reached)
        limit_s = min(2 * limit_s, time_limit_s)
