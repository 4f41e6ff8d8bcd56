"""Rounds one after the other in this process: deterministic, and the same when they are interrupted."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import safetensors
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.core.files import write_whole
from gainnet.core.randomness import Random
from gainnet.core.report import Report
from gainnet.learning.algorithm import Algorithm, State
from gainnet.learning.clients import Client
from gainnet.models.language import mean_loss

CHECKPOINT, SUMMARY = "state.safetensors", "run.json"

Progress = Callable[[int, int, float], None]
"""Told (rounds finished, rounds in all, test loss)."""


def silent(num_finished: int, num_rounds: int, loss: float) -> None:
    """Progress that is not shown."""


@final
@dataclass(frozen=True)
class Run:
    """What rounds have led to.

    Args:
        state: after the last round.
        rounds: one record per round: test loss, and what it cost.
    """

    state: State
    rounds: tuple[dict[str, float], ...]


def run_rounds(
    algorithm: Algorithm,
    clients: Sequence[Client],
    test_rows: Tensor,
    num_rounds: int,
    random_seed: int,
    folder: Path | None = None,
    settings: dict[str, Any] | None = None,
    progress: Progress = silent,
) -> Run:
    """The state after all rounds; goes on from the folder's checkpoint where there is one.

    Every round draws from streams of its own, so that a run that was killed in any round ends with the same values.
    A checkpoint is one file, moved into its place when it is whole: the state with the records of all rounds.

    Args:
        algorithm: what a round is.
        clients: who learns.
        test_rows: [num_rows, length], text that nobody trains on.
        num_rounds: rounds in all.
        random_seed: of everything that is drawn.
        folder: where `state.safetensors` and `run.json` are written; nowhere when `None`.
        settings: what decides the run; a checkpoint with others is refused.
        progress: told after every round.

    Raises:
        ConfigError: the folder holds a run with other settings, or a damaged one.
    """
    told = json.dumps({**(settings or {}), "random_seed": random_seed}, sort_keys=True)
    random = Random.of(random_seed).child("learning")
    state, rounds = _start(folder, told, algorithm, random)
    for index in range(len(rounds), num_rounds):
        state, report = algorithm.round(state, clients, random.child("round", index))
        loss = mean_loss(algorithm.model_of(state), test_rows)
        rounds = (*rounds, {"round": index + 1, "test_loss": loss, **cost_of(report)})
        if folder is not None:
            _save(folder, told, state, rounds)
        progress(index + 1, num_rounds, loss)
    return Run(state, rounds)


def cost_of(report: Report) -> dict[str, float]:
    """What a round cost, as plain numbers."""
    return {
        "duration_s": report.duration_s,
        "energy_j": report.energy_j,
        "num_bits_up": sum(step.num_bits for step in report.steps if step.direction == "up"),
        "num_bits_down": sum(step.num_bits for step in report.steps if step.direction == "down"),
        "num_channel_uses_up": report.num_channel_uses("up"),
        "num_channel_uses_down": report.num_channel_uses("down"),
        "num_retransmissions": report.num_retransmissions,
        "num_lost": float(sum(not step.delivered for step in report.steps)),
    }


def _start(
    folder: Path | None, told: str, algorithm: Algorithm, random: Random
) -> tuple[State, tuple[dict[str, float], ...]]:
    path = None if folder is None else folder / CHECKPOINT
    if path is None or not path.is_file():
        return algorithm.init(random), ()
    try:
        with safe_open(path, "pt") as file:
            told_then = json.loads(file.metadata()["run"])
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dict
        rounds, settings = tuple(told_then["rounds"]), told_then["settings"]
    except (safetensors.SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"out: {path} is damaged ({error}); delete it and run again") from None
    if settings != told:
        raise ConfigError(f"out: {path.parent} holds a run with other settings; give another --out")
    return state, rounds


def _save(folder: Path, told: str, state: State, rounds: tuple[dict[str, float], ...]) -> None:
    tensors = {name: x.detach().cpu().contiguous() for name, x in state.items()}
    # One entry of metadata: several come in an order that is drawn anew in every process.
    write_whole(folder / CHECKPOINT, save(tensors, {"run": json.dumps({"settings": told, "rounds": rounds})}))
    summary = {"settings": json.loads(told), "rounds": rounds}
    write_whole(folder / SUMMARY, (json.dumps(summary, indent=2) + "\n").encode())
