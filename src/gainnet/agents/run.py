"""A training of a policy from wherever it was stopped to its end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from gainnet.core.files import check_outside_package, check_writable, write_whole

CHECKPOINT = "checkpoint.safetensors"
CHECKPOINT_EVERY = 10

Progress = Callable[[int, int, dict[str, float]], None]
"""Told (iterations made, iterations in all, losses and means of an iteration)."""


class Run(Protocol):
    """A training between two iterations."""

    @property
    def iteration(self) -> int:
        """Iterations made."""
        ...

    @property
    def num_iterations(self) -> int:
        """Iterations in all."""
        ...

    def advance(self) -> dict[str, float]:
        """Makes one iteration and returns its losses."""
        ...

    def checkpoint(self) -> bytes:
        """Everything that the next iteration depends on."""
        ...

    def resume(self, path: Path) -> None:
        """Goes on from a checkpoint, if there is one; raises `ConfigError` when it does not fit."""
        ...


def run_to_end(run: Run, folder: Path, progress: Progress) -> None:
    """Makes all iterations that are left, with a checkpoint after every tenth and after the last.

    Args:
        run: what is trained; it is advanced in place.
        folder: holds the checkpoint; made when missing.
        progress: told after every iteration.

    Raises:
        ConfigError: the folder cannot be written, lies in the package or holds another run.
    """
    check_outside_package(folder)
    check_writable(folder)
    run.resume(folder / CHECKPOINT)
    while run.iteration < run.num_iterations:
        losses = run.advance()
        if run.iteration % CHECKPOINT_EVERY == 0 or run.iteration == run.num_iterations:
            write_whole(folder / CHECKPOINT, run.checkpoint())
        progress(run.iteration, run.num_iterations, losses)
