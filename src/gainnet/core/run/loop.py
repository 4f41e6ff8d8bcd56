"""The loop of every run that keeps its state: steps, checkpoints, and no step twice."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from torch import Tensor

from gainnet.core.errors import ConfigError, TrainingError
from gainnet.core.run.checkpoint import Checkpoint, Numbers

Progress = Callable[[int, int, dict[str, float]], None]
"""Receives (steps made, steps in all, losses and means of the last step)."""


def silent(*news: object) -> None:
    """Progress that is not shown, of whatever is reported."""


class Resumable(Protocol):
    """A computation between two steps; each step draws from random streams of its own number."""

    @property
    def step(self) -> int:
        """Steps made."""

    @property
    def num_steps(self) -> int:
        """Steps in all."""

    def advance(self) -> dict[str, float]:
        """Makes one step and returns its losses by name."""

    def state(self) -> tuple[Numbers, Mapping[str, Tensor]]:
        """Everything that the next step depends on: numbers as JSON holds them, and tensors."""

    def restore(self, numbers: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Goes on from `state`."""


def resume(run: Resumable, checkpoint: Checkpoint) -> None:
    """Restores a run from its checkpoint, if there is one.

    Raises:
        ConfigError: the file is damaged, of other settings, or not what this version of the run holds.
    """
    found = checkpoint.read()
    if found is None:
        return
    try:
        run.restore(*found)
    # The digest was right, so the file is one of ours, but perhaps of a version that kept other tensors.
    except (RuntimeError, KeyError, ValueError, TypeError, StopIteration) as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())[:120]
        raise ConfigError(f"out: {checkpoint.path} does not fit ({why}); delete it and run again") from None


def run_to_end(run: Resumable, checkpoint: Checkpoint | None, every: int, progress: Progress) -> None:
    """Makes all steps that are left, with a checkpoint after every few and after the last one.

    Args:
        run: is advanced in place.
        checkpoint: where it goes on from; nothing is kept when `None`.
        every: steps between two checkpoints.
        progress: called after every step, when its checkpoint is written.

    Raises:
        ConfigError: the checkpoint is damaged, of other settings, or cannot be written.
        TrainingError: a loss or a tensor is not finite.
    """
    if checkpoint is not None:
        resume(run, checkpoint)
    while run.step < run.num_steps:
        losses = run.advance()
        # Before the checkpoint: a state that no longer learns must not replace the last good one.
        for name, value in losses.items():
            if not math.isfinite(value):
                when = f"in step {run.step} of {run.num_steps}"
                raise TrainingError(f"training: {name} is {value} {when}; lower the learning rate")
        if checkpoint is not None and (run.step % every == 0 or run.step == run.num_steps):
            checkpoint.write(*run.state())
        progress(run.step, run.num_steps, losses)
