"""Training: `train power-control | power-importance`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gainnet.cli.options import RandomSeed
from gainnet.cli.printing import progress
from gainnet.cli.train import app


class Algorithm(StrEnum):
    """What learns."""

    ppo = "ppo"
    sac = "sac"


class TaskName(StrEnum):
    """What it is learned for."""

    equal = "equal"
    unequal = "unequal"
    decoder = "decoder"
    varied = "varied"


@app.command("power-control")
def train_power_control(
    out: Annotated[Path, typer.Option(help="Folder for checkpoints and the policy.")],
    algorithm: Annotated[Algorithm, typer.Option(help="ppo or sac.")] = Algorithm.ppo,
    task: Annotated[
        TaskName,
        typer.Option(
            help="equal (Rayleigh), unequal (nested seed, Jakes), decoder (PSNR, Jakes), varied (any fading)."
        ),
    ] = TaskName.varied,
    random_seed: Annotated[int, typer.Option(help="Of weights, episodes and draws.")] = 0,
    num_iterations: Annotated[int, typer.Option(help="Times that episodes are played and learned from.")] = 60,
    num_episodes: Annotated[int, typer.Option(help="Episodes that are played at once.")] = 2048,
    learning_rate: Annotated[float, typer.Option(help="Of actor and critics at its peak.")] = 3e-3,
) -> None:
    """Learn how much power a fading block gets: PPO or SAC. Goes on where it was stopped."""
    from gainnet.power_control.training import TrainingConfig, train

    config = TrainingConfig(
        algorithm.value,
        task.value,
        random_seed,
        num_iterations=num_iterations,
        episodes_per_iteration=num_episodes,
        learning_rate=learning_rate,
    )
    with progress("power control") as tell:
        train(config, out, lambda made, total, seen: tell(made, total, f"reward {seen['reward']:.3f} per episode"))
    typer.echo(out)


@app.command("power-importance")
def train_power_importance(
    out: Annotated[Path, typer.Option(help="File to write, JSON.")],
    num_pictures: Annotated[int, typer.Option(help="Pictures per block of the seed.")] = 64,
    random_seed: RandomSeed = 0,
) -> None:
    """Measure through the decoder how much every block of a nested seed matters to the picture."""
    from gainnet.power_control.importance import measure_importance

    typer.echo(measure_importance(out, num_pictures, random_seed))
