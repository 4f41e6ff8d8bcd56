"""An episode as files: pictures, tables, JSON and one self-contained page."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gainnet.core.files import write_json, write_whole
from gainnet.core.page import png_of
from gainnet.orchestration.drawing import draw_boards, draw_gain, draw_map, label_of
from gainnet.orchestration.episode import Episode
from gainnet.orchestration.page import page
from gainnet.orchestration.registry import BASELINES
from gainnet.orchestration.rollout import hand_overs
from gainnet.orchestration.scenario import RoadNumbers, Scenario, TraceNumbers
from gainnet.orchestration.traffic import traffic


def save(episode: Episode, folder: Path) -> dict[str, Any]:
    """Write everything into a folder; returns the JSON object that is written, too.

    map.png · boards.png · gain.png · policies.csv · associations.csv · summary.json · report.html

    Raises:
        ConfigError: the folder cannot be written.
    """
    figures = {"map": draw_map(episode), "boards": draw_boards(episode), "gain": draw_gain(episode)}
    pictures = {name: png_of(figure) for name, figure in figures.items()}
    summary = to_json(episode)
    for name, content in pictures.items():
        write_whole(folder / f"{name}.png", content)
    write_whole(folder / "policies.csv", _csv(summary["policies"]))
    write_whole(folder / "associations.csv", _csv(associations(episode)))
    write_whole(folder / "report.html", page(summary, pictures, traffic(episode)).encode())
    write_json(folder / "summary.json", summary)
    return summary


def to_json(episode: Episode) -> dict[str, Any]:
    """The episode as one object of plain values; `null` where nothing fits.

    >>> from gainnet.orchestration import Greedy, load_scenario, orchestrate
    >>> to_json(orchestrate(load_scenario("street"), Greedy(), clients=5, rounds=2))["reference"]["name"]
    'optimum'
    """
    scenario, reference = episode.world.scenario, episode.reference
    best = (None,) * 3 if reference is None else (reference.name, reference.total, reference.gain.tolist())
    rows = [_policy(episode, name) for name in sorted(episode.rollouts, key=episode.gain_of, reverse=True)]
    return {
        "policy": episode.policy,
        "scenario": episode.scenario,
        "mobility": _roads(scenario),
        "regime": episode.regime.name,
        "random_seed": episode.random_seed,
        "num_clients": scenario.clients.num_clients,
        "num_models": len(scenario.models),
        "num_rounds": scenario.rounds.num_rounds,
        "duration_s": scenario.rounds.duration_s,
        "gain": episode.gain,
        "gain_of_round": episode.chosen.gain.tolist(),
        "reference": dict(zip(("name", "gain", "gain_of_round"), best, strict=True)),
        "share_of_reference": episode.of_optimum,
        "over_best_paper_baseline": _over_paper(episode),
        "policies": rows,
        "requests": None if episode.together is None else episode.together.to_json(),
    }


def associations(episode: Episode) -> list[dict[str, Any]]:
    """One row per round and client: the model it serves, samples sensed for it and trained with; counted from 1."""
    chosen = episode.chosen
    num_rounds, num_clients = chosen.model.shape
    return [
        {
            "round": cr + 1,
            "client": n + 1,
            "model": int(chosen.model[cr, n]) + 1,
            "num_samples_sensed": round(float(chosen.sensed[cr, n]), 6),
            "num_samples_trained": round(float(chosen.trained[cr, n]), 6),
        }
        for cr in range(num_rounds)
        for n in range(num_clients)
    ]


def _roads(scenario: Scenario) -> str:
    """The file of tracks, or the model of mobility."""
    numbers = scenario.mobility
    return Path(numbers.path).name if isinstance(numbers, RoadNumbers | TraceNumbers) else numbers.kind


def _policy(episode: Episode, name: str) -> dict[str, Any]:
    rollout = episode.rollouts[name]
    return {
        "policy": name,
        "label": label_of(name),
        "gain": episode.gain_of(name),
        "trained_gain": episode.trained_gain_of(name),
        "share_of_reference": episode.share_of(name),
        "consumed_share": float(rollout.consumed_share),
        "num_samples": float(rollout.sensed.sum()),
        "decision_s": episode.decision_s[name],
        "num_hand_overs": int(hand_overs(episode.world, rollout)),
    }


def _over_paper(episode: Episode) -> float | None:
    """Gain over that of the best of GainNet's baselines that were played; `None` without any."""
    played = episode.rollouts.keys() & BASELINES.keys()
    best = max((episode.gain_of(name) for name in played), default=0.0)
    return episode.gain / best if best > 0 else None


def _csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
