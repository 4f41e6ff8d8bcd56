"""The methods of gairom-robustness: policies and the optimum in worlds with fewer resources."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.orchestration import Activity, Rollout, Schedule, World, independent_optimum, load_scenario
from gainnet.orchestration.drawing import of_client
from gainnet.orchestration.graph import correlation_of
from gainnet.orchestration.regime import Independent
from gainnet.orchestration.rollout import follow, schedules_of
from gainnet.orchestration.rounds import Piece
from gainnet.orchestration.scenario import scenario_of
from gainnet.studies.gairom.arena import Arena, Learned, arena
from gainnet.studies.gairom.question import LEARNED, REFERENCE
from gainnet.studies.gairom_robustness.question import BOARD, UNTRAINED
from gainnet.studies.study import Case, Method, Row

_COLUMNS = ("start_s", "end_s", "low", "high")


def methods(learned: Learned) -> Mapping[str, Method]:
    """Every method by name."""
    return {
        **dict.fromkeys((*UNTRAINED, LEARNED), partial(_play, learned)),
        REFERENCE: _reference,
        BOARD: _board,
    }


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
    return _row(here.play(learned.player(case, here.world.scenario, "independent"))[0])


def _reference(case: Case, random: Random) -> Row:
    return _row(_optimum(arena_of(case)))


def _row(rollout: Rollout) -> Row:
    return {"gain": float(rollout.gain.sum()), "consumed_share": float(rollout.consumed_share)}


def _board(case: Case, random: Random) -> Row:
    """The optimum's board of the client that is busiest with all of the time."""
    whole = arena(load_scenario(case.text("scenario")), "independent", case.random_seed)
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
        worth = correlation_of(here.world, cr).gather(-1, model.unsqueeze(-1)).squeeze(-1)
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
    return [
        [
            {
                "activity": piece.activity.name.lower(),
                "rounds_late": piece.rounds_late,
                **{name: round(float(getattr(schedule, name)[i]), 6) for name in _COLUMNS},
                "duration_s": float(schedule.duration_s),
            }
            for i, piece in enumerate(schedule.pieces)
        ]
        for schedule in board
    ]


def as_schedules(plain: Sequence[Sequence[Mapping[str, Any]]]) -> list[Schedule]:
    """The schedules that `as_plain` wrote down."""
    found = []
    for rows in plain:
        pieces = tuple(Piece(Activity[row["activity"].upper()], row["rounds_late"]) for row in rows)
        start_s, end_s, low, high = (
            torch.tensor([row[name] for row in rows], dtype=torch.float64) for name in _COLUMNS
        )
        duration_s = torch.tensor(rows[0]["duration_s"], dtype=torch.float64)
        found.append(Schedule(pieces, start_s, end_s, low, high, duration_s))
    return found
