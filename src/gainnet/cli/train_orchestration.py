"""Training: `train orchestration`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gainnet.cli.printing import progress
from gainnet.cli.train import app


class RegimeName(StrEnum):
    """Whether clients share the spectrum of edges."""

    independent = "independent"
    contention = "contention"


@app.command("orchestration")
def train_orchestration(
    out: Annotated[Path, typer.Option(help="Folder for checkpoints and the policy.")],
    scenario: Annotated[str, typer.Option(help="Name or TOML file of the scenario to learn in.")] = "street",
    regime: Annotated[
        RegimeName, typer.Option(help="Whether clients share the spectrum of edges.")
    ] = RegimeName.independent,
    random_seed: Annotated[int, typer.Option(help="Of weights, worlds and draws.")] = 0,
    num_iterations: Annotated[int, typer.Option(help="Times that worlds are played and learned from.")] = 120,
    learning_rate: Annotated[float, typer.Option(help="Of actor and critics at its peak.")] = 1e-3,
    worlds: Annotated[int, typer.Option(help="Worlds that are played at once.")] = 16,
) -> None:
    """Learn who serves which model: multi-agent soft actor-critic. Goes on where it was stopped."""
    from gainnet.orchestration.training import TrainingConfig, train

    config = TrainingConfig(
        scenario,
        regime.value,
        random_seed,
        num_iterations=num_iterations,
        worlds_per_iteration=worlds,
        learning_rate=learning_rate,
    )
    with progress("orchestration") as tell:
        train(config, out, lambda made, total, seen: tell(made, total, f"gain {seen['gain']:.3f} per round"))
    typer.echo(out)
