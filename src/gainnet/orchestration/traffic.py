"""An episode as numbers that a page can play: ways of vehicles, associations, pools and gains over time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.orchestration.board import COLOURS as COLOURS_OF_ACTIVITIES
from gainnet.orchestration.drawing import COLOURS, colours_of_models, label_of
from gainnet.orchestration.episode import Episode
from gainnet.orchestration.places import tracks_once, ways_of
from gainnet.orchestration.rollout import schedules_of
from gainnet.orchestration.rounds import COMPUTING
from gainnet.orchestration.scenario import ManhattanNumbers, RoadNumbers, TraceNumbers

_STEPS: Final = 9
"""Positions per CR; in between, a vehicle moves straight on the page."""
_MOST_NUMBERS: Final = 400_000
_MOST_BOARDS: Final = 200
_MOST_POLICIES: Final = 4
_MOST_WAYS, _MOST_POINTS = 300, 80
_AWAY: Final = -1
"""In the place of a coordinate; squares begin at 0."""


def traffic(episode: Episode) -> dict[str, Any]:
    """Everything that the player shows, as plain values; lengths in decimetres, so that whole numbers do.

    >>> from gainnet.orchestration import Greedy, load_scenario, orchestrate
    >>> found = traffic(orchestrate(load_scenario("street"), Greedy(), clients=3, rounds=2))
    >>> len(found["clients"]), len(found["clients"][0]), [len(x) for x in found["policies"][0]["model"]]
    (19, 6, [3, 3])
    """
    world, scenario = episode.world, episode.world.scenario
    num_clients, num_rounds = scenario.clients.num_clients, scenario.rounds.num_rounds
    steps = _steps(num_clients + scenario.targets.num_targets, num_rounds)
    clients, targets = _ways(episode, steps)
    found: dict[str, Any] = {
        "side": round(10 * scenario.side_m),
        "duration_s": scenario.rounds.duration_s,
        "num_rounds": num_rounds,
        "steps": steps,
        "clients": clients,
        "targets": targets,
        "domain": world.domain_of_target.tolist()[-len(targets[0]) // 2 :] if targets[0] else [],
        "roads": _roads(episode),
        "edges": [[round(10 * x) for x in edge.position_m] for edge in scenario.edges],
        "edge_of_model": [model.edge for model in scenario.models],
        "colours": list(colours_of_models(scenario)),
        "domains": list(COLOURS[: scenario.num_domains]),
        "policies": [_policy(episode, name) for name in _shown(episode)],
        "boards": _boards(episode) if num_clients <= _MOST_BOARDS else [],
        "activities": [[a.name.lower().replace("_", " "), colour] for a, colour in COLOURS_OF_ACTIVITIES.items()],
    }
    if (reference := episode.reference) is not None:
        found["reference"] = {"name": reference.name, "gain": _rounded(reference.gain, 4)}
    if episode.together is not None:
        found["together"] = episode.together.boards()
    return found


def _steps(num_vehicles: int, num_rounds: int) -> int:
    """Positions per CR, fewer where vehicles are many, so that the page stays of a few megabytes."""
    return max(1, min(_STEPS, _MOST_NUMBERS // max(1, 2 * num_vehicles * num_rounds)))


def _ways(episode: Episode, steps: int) -> tuple[list[list[int]], list[list[int]]]:
    """x and y of all vehicles in turn, at every time."""
    scenario = episode.world.scenario
    num_rounds, duration_s = scenario.rounds.num_rounds, scenario.rounds.duration_s
    times_s = torch.arange(num_rounds + 1, dtype=torch.float64) * duration_s
    finer_s = torch.arange(num_rounds * steps + 1, dtype=torch.float64) * (duration_s / steps)
    # As the world was drawn: the same streams lead through the same places.
    both = ways_of(scenario, times_s, finer_s, Random.of(episode.random_seed))
    clients, targets = ((10 * way).round().nan_to_num(_AWAY).long().flatten(1).tolist() for way in both)
    return clients, targets


def _roads(episode: Episode) -> list[list[int]]:
    """Polylines of x and y in turn: streets of a grid, or the ways of recorded vehicles."""
    scenario, mobility = episode.world.scenario, episode.world.scenario.mobility
    side = round(10 * scenario.side_m)
    if isinstance(mobility, ManhattanNumbers):
        lines = [round(side * k / mobility.num_blocks) for k in range(mobility.num_blocks + 1)]
        return [[at, 0, at, side] for at in lines] + [[0, at, side, at] for at in lines]
    if not isinstance(mobility, RoadNumbers | TraceNumbers):
        return []
    origin_m = mobility.origin_m if isinstance(mobility, RoadNumbers) else (0.0, 0.0)
    tracks = tracks_once(Path(mobility.path)).moved(origin_m)
    chosen = range(0, len(tracks.vehicles), -(-len(tracks.vehicles) // _MOST_WAYS))
    parts = [tracks.points_m[tracks.first[n] : tracks.first[n + 1]] for n in chosen]
    thinned = [part[:: -(-len(part) // _MOST_POINTS)] for part in parts]
    return [np.round(10 * part).astype(int).ravel().tolist() for part in thinned if len(part) > 1]


def _shown(episode: Episode) -> Sequence[str]:
    """The policy, and the others by falling gain; of many clients the best ones alone."""
    others = sorted(episode.rollouts.keys() - {episode.policy}, key=episode.gain_of, reverse=True)
    many = episode.world.scenario.clients.num_clients > _MOST_BOARDS
    return [episode.policy, *(others[: _MOST_POLICIES - 1] if many else others)]


def _policy(episode: Episode, name: str) -> dict[str, Any]:
    rollout = episode.rollouts[name]
    return {
        "label": label_of(name),
        "gain": _rounded(rollout.gain, 4),
        "model": rollout.model.tolist(),
        "sensed": _rounded(rollout.sensed, 1),
        "trained": _rounded(rollout.trained, 1),
    }


def _boards(episode: Episode) -> list[Any]:
    """Pieces of the policy's schedules by CR and client: activity, rounds late, matrix, start, end, low and high."""
    found = []
    for schedule in schedules_of(episode.world, episode.regime, episode.chosen):
        fields = schedule.start_s, schedule.end_s, schedule.low, schedule.high
        columns = [x.expand(*schedule.duration_s.shape, len(schedule.pieces)).tolist() for x in fields]
        clients = []
        for rows in zip(*columns, strict=True):
            pieces = zip(schedule.pieces, *rows, strict=True)
            clients.append(
                [
                    [int(piece.activity), piece.rounds_late, int(piece.activity in COMPUTING)]
                    + [round(x, 3) for x in (start, end, low, high)]
                    for piece, start, end, low, high in pieces
                    if end - start > 1e-9 and high - low > 1e-9
                ]
            )
        found.append(clients)
    return found


def _rounded(x: Tensor, digits: int) -> Any:
    return x.double().round(decimals=digits).tolist()
