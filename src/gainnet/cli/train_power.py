"""Training: `train power-control | power-importance`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gainnet.cli.printing import progress
from gainnet.cli.train import app


class Algorithm(StrEnum):
    """What learns."""

    ppo = "ppo"
    sac = "sac"
    pathwise = "pathwise"


class TaskName(StrEnum):
    """What it is learned for."""

    equal = "equal"
    jakes = "jakes"
    unequal = "unequal"
    decoder = "decoder"
    varied = "varied"


@app.command("power-control")
def train_power_control(
    out: Annotated[Path, typer.Option(help="Folder for checkpoints and the policy.")],
    algorithm: Annotated[
        Algorithm, typer.Option(help="ppo, sac, or pathwise: gradients through the environment.")
    ] = Algorithm.ppo,
    task: Annotated[
        TaskName,
        typer.Option(
            help="equal (Rayleigh), jakes (alike), unequal (nested seed), decoder (PSNR), varied (any fading)."
        ),
    ] = TaskName.varied,
    random_seed: Annotated[int, typer.Option(min=0, max=999, help="Of weights, episodes and draws.")] = 0,
    num_iterations: Annotated[
        int | None,
        typer.Option(min=1, max=100_000, help="Times to play and learn.", show_default="ppo 60, sac 120, pathwise 400"),
    ] = None,
    num_episodes: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=100_000,
            help="Episodes that are played at once.",
            show_default="ppo 2048, sac 512, pathwise 1024",
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(min=1e-6, max=1.0, help="Of actor and critics at its peak.", show_default="0.003; pathwise 0.01"),
    ] = None,
) -> None:
    """Learn how much power a fading block gets: PPO, SAC or pathwise gradients. Goes on where it was stopped."""
    from gainnet.power_control.training import SCHEDULES, TrainingConfig, train

    usual = SCHEDULES[algorithm.value]
    config = TrainingConfig(
        algorithm.value,
        task.value,
        random_seed,
        num_iterations=usual.num_iterations if num_iterations is None else num_iterations,
        episodes_per_iteration=usual.episodes_per_iteration if num_episodes is None else num_episodes,
        learning_rate=usual.learning_rate if learning_rate is None else learning_rate,
    )
    with progress("power control") as tell:
        train(config, out, lambda made, total, seen: tell(made, total, f"reward {seen['reward']:.3f} per episode"))
    typer.echo(out)


@app.command("power-importance")
def train_power_importance(
    out: Annotated[Path, typer.Option(help="File to write, JSON.")],
    num_pictures: Annotated[int, typer.Option(min=2, help="Pictures per block of the seed.")] = 64,
    random_seed: Annotated[int, typer.Option(min=0, help="Of scenes, SNRs and noise.")] = 0,
) -> None:
    """Measure through the decoder how much every block of a nested seed matters to the picture."""
    from gainnet.power_control.importance import measure_importance

    typer.echo(measure_importance(out, num_pictures, random_seed))
