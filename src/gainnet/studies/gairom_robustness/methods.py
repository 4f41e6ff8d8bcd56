"""Question and methods of gairom-robustness: policies and the optimum with less time, bandwidth or computing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Annotated, Any, final

import torch
from pydantic import Field
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.orchestration import Activity, Rollout, Schedule, World, independent_optimum, load_scenario
from gainnet.orchestration.drawing import of_client
from gainnet.orchestration.regime import Independent
from gainnet.orchestration.rollout import follow, schedules_of
from gainnet.orchestration.rounds import Piece
from gainnet.orchestration.scenario import scenario_of
from gainnet.studies.gairom.arena import Arena, Learned, arena
from gainnet.studies.gairom.question import LEARNED, REFERENCE, check_policy, players
from gainnet.studies.own import Guarded, one_or_own, own
from gainnet.studies.settings import Natural, NonEmpty, Positive, Seeds, one_of
from gainnet.studies.study import Case, Method, Row, Value

BOARD = "board"
UNTRAINED = ("mp_tsc", "greedy", "lookahead")
METHODS = (*UNTRAINED, LEARNED, REFERENCE, BOARD)
DURATION_S, SHORT_DURATION_S = 9.0, 5.0
NAMED = {"time_5": ("time", SHORT_DURATION_S), "bandwidth_half": ("bandwidth", 0.5), "compute_half": ("compute", 0.5)}
"""Conditions that metrics are named after."""

NOMINAL = {"time": DURATION_S, "bandwidth": 1.0, "compute": 1.0}
SCENARIOS = ("street", "figure", "coupled")
WEIGHTS = {"street": "independent", "figure": "independent", "coupled": "coupled"}
"""Regime whose learned policy plays in a scenario."""


@final
@dataclass(frozen=True)
class RobustnessConfig:
    """Settings of the study gairom-robustness.

    Args:
        random_seeds: each draws a world that no policy was trained in.
        training_seeds: of the learned policies, which were trained with all resources.
        methods: policies beside the optimum, and policies of yours as `module:Class(args)`.
        scenarios: street; figure, where targets are the limit; coupled, where rounds compete, so that policies differ.
        durations_s: time of a CR.
        shares: of the bandwidth, and of the compute rate, that is left.
    """

    random_seeds: Seeds
    training_seeds: tuple[Natural, ...]
    methods: tuple[Annotated[str, one_or_own(UNTRAINED, check_policy)], ...]
    scenarios: NonEmpty[Annotated[str, one_of(SCENARIOS)]]
    durations_s: NonEmpty[Positive]
    shares: NonEmpty[Annotated[float, Field(gt=0, le=1)]]

    def amounts(self, resource: str) -> tuple[float, ...]:
        """Shares or durations of a resource that are swept."""
        return self.durations_s if resource == "time" else self.shares


def cases(config: RobustnessConfig) -> Iterator[Case]:
    """Scenario and resource outermost; two boards of the first world where targets are the limit."""
    for scenario, resource in product(config.scenarios, NOMINAL):
        for amount, random_seed in product(config.amounts(resource), config.random_seeds):
            values: dict[str, Value] = {"scenario": scenario, "resource": resource, "amount": amount}
            for method, training_seed in players((*config.methods, REFERENCE), config.training_seeds):
                yield Case(method, {**values, "training_seed": training_seed}, random_seed)
    for duration_s in (DURATION_S, SHORT_DURATION_S) if "figure" in config.scenarios else ():
        board: dict[str, Value] = {"scenario": "figure", "resource": "time", "amount": duration_s}
        yield Case(BOARD, {**board, "training_seed": None}, config.random_seeds[0])


_COLUMNS = ("start_s", "end_s", "low", "high")


def methods(learned: Learned, names: Sequence[str] = ()) -> Mapping[str, Method]:
    """Every method by name, and those of some names that are policies of the user's."""
    users = {name: Guarded(name, partial(_play, learned)) for name in own(names, UNTRAINED)}
    played = dict.fromkeys((*UNTRAINED, LEARNED), partial(_play, learned))
    return {**played, **users, REFERENCE: _reference, BOARD: _board}


def tighten(world: World, resource: str, amount: float) -> World:
    """The same world, positions and reception, with other time, bandwidth or computing.

    Args:
        world: as drawn.
        resource: time, bandwidth or compute.
        amount: duration of a CR in s, or the share that is left.

    >>> from gainnet.studies.gairom.arena import scenario_of_regime
    >>> world = arena(scenario_of_regime("independent", 2), "independent", 0).world
    >>> (tighten(world, "bandwidth", 0.5).bandwidth_hz / world.bandwidth_hz).tolist()
    [0.5, 0.5]
    """
    if resource == "bandwidth":
        return replace(world, bandwidth_hz=world.bandwidth_hz * amount)
    if resource == "compute":
        return replace(world, cycles_per_s=world.cycles_per_s * amount)
    fields = world.scenario.model_dump()
    fields["rounds"]["duration_s"] = amount
    return replace(world, scenario=scenario_of(fields))


def arena_of(case: Case) -> Arena:
    """The world that the values of a case name."""
    drawn = arena(load_scenario(case.text("scenario")), "independent", case.random_seed)
    world = tighten(drawn.world, case.text("resource"), case.number("amount"))
    return replace(drawn, world=world)


def _play(learned: Learned, case: Case, random: Random) -> Row:
    here = arena_of(case)
    return _row(here.play(learned.player(case, here.world.scenario, WEIGHTS[case.text("scenario")]))[0])


def _reference(case: Case, random: Random) -> Row:
    return _row(_optimum(arena_of(case)))


def _row(rollout: Rollout) -> Row:
    return {"gain": float(rollout.gain.sum()), "consumed_share": float(rollout.consumed_share)}


def _board(case: Case, random: Random) -> Row:
    """The optimum's board of the client that is busiest with all of the time."""
    whole = arena(load_scenario(case.text("scenario")), "independent", case.random_seed)
    # Who is busiest has most to rearrange when time gets short.
    client = int(_busy_s(whole, _optimum(whole)).argmax())
    here = arena_of(case)
    rollout = _optimum(here)
    board = [of_client(schedule, client) for schedule in schedules_of(here.world, here.regime, rollout)]
    gain = float(_gain_of_clients(here, rollout)[client])
    return {"gain": gain, "client": client + 1, "board": json.dumps(as_plain(board))}


def _gain_of_clients(here: Arena, rollout: Rollout) -> Tensor:
    """[num_clients], what every client adds."""
    gains = []
    for cr, (model, sensed) in enumerate(zip(rollout.model, rollout.sensed, strict=True)):
        worth = here.world.offers[cr].correlation.gather(-1, model.unsqueeze(-1)).squeeze(-1)
        gains.append(worth * here.regime.function(sensed))
    return torch.stack(gains).sum(0)


def _busy_s(here: Arena, rollout: Rollout) -> Tensor:
    """[num_clients], time times share of everything that is done in all CRs."""
    schedules = schedules_of(here.world, here.regime, rollout)
    return torch.stack([schedule.amount(activity) for schedule in schedules for activity in Activity]).sum(0)


def _optimum(here: Arena) -> Rollout:
    """How the clairvoyant optimum of independent clients is played."""
    regime = Independent.of(here.world.scenario)
    return follow(here.world, regime, independent_optimum(here.world, regime).model)


def as_plain(board: Sequence[Schedule]) -> list[list[dict[str, Any]]]:
    """The pieces of every CR as plain values; see `as_schedules`."""
    return [[_plain(schedule, place) for place in range(len(schedule.pieces))] for schedule in board]


def _plain(schedule: Schedule, place: int) -> dict[str, Any]:
    piece = schedule.pieces[place]
    columns = {name: round(float(getattr(schedule, name)[place]), 6) for name in _COLUMNS}
    named = {"activity": piece.activity.name.lower(), "rounds_late": piece.rounds_late}
    return {**named, **columns, "duration_s": float(schedule.duration_s)}


def as_schedules(plain: Sequence[Sequence[Mapping[str, Any]]]) -> list[Schedule]:
    """The schedules that `as_plain` wrote down."""
    return [_schedule(rows) for rows in plain]


def _schedule(rows: Sequence[Mapping[str, Any]]) -> Schedule:
    pieces = tuple(Piece(Activity[row["activity"].upper()], row["rounds_late"]) for row in rows)
    start_s, end_s, low, high = (torch.tensor([row[x] for row in rows], dtype=torch.float64) for x in _COLUMNS)
    return Schedule(pieces, start_s, end_s, low, high, torch.tensor(rows[0]["duration_s"], dtype=torch.float64))
