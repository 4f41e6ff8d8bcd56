"""Training of who decides: `train orchestration | power-control | ...`, policies and what they are judged by."""

from __future__ import annotations

from pathlib import Path

import typer

from gainnet.cli.options import Asked, Fields, Usual, command
from gainnet.cli.printing import progress
from gainnet.core.errors import unknown_name

_ORCHESTRATION = Fields(
    "gainnet.orchestration.training:TrainingConfig",
    ("scenario", "regime", "random_seed", "num_iterations", "learning_rate", "worlds_per_iteration"),
    defaults={"scenario": "street", "regime": "independent", "num_iterations": 120},
    called={"worlds_per_iteration": "worlds"},
)
_ARM = Fields(
    "gainnet.orchestration.arms:ArmConfig",
    ("arm", "random_seed", "num_iterations", "learning_rate", "worlds_per_iteration"),
    defaults={"arm": "mappo"},
    called={"worlds_per_iteration": "worlds"},
)
_POWER = Fields(
    "gainnet.power_control.training:TrainingConfig",
    without=("width",),
    defaults={
        "algorithm": "ppo",
        "task": "varied",
        "num_iterations": Usual("ppo 60, sac 120, pathwise 400"),
        "episodes_per_iteration": Usual("ppo 2048, sac 512, pathwise 1024"),
        "learning_rate": Usual("0.003; pathwise 0.01"),
    },
    called={"episodes_per_iteration": "num_episodes"},
)


@command("orchestration", _ORCHESTRATION)
def orchestration(asked: Asked, *, out: Path) -> None:
    """Learn who serves which model: multi-agent soft actor-critic. Goes on where it was stopped.

    Args:
        out: folder for checkpoints and the policy.

    Example:
        gainnet train orchestration --out out/policy
    """
    from gainnet.orchestration.training import TrainingConfig, train

    with progress("orchestration") as show:
        train(
            TrainingConfig(**asked.values),
            out,
            lambda made, total, seen: show(made, total, f"gain {seen['gain']:.3f} per round"),
        )
    typer.echo(out)


@command("orchestration-drawn", _ARM)
def orchestration_drawn(asked: Asked, *, out: Path) -> None:
    """Learn who serves which model over drawn scenarios, with one of three algorithms. Goes on where it was stopped.

    Args:
        out: folder for checkpoints and the policy.

    Example:
        gainnet train orchestration-drawn --out out/drawn
    """
    from gainnet.orchestration.arms import ArmConfig, train_arm

    with progress("orchestration") as show:
        train_arm(
            ArmConfig(**asked.values),
            out,
            lambda made, total, seen: show(made, total, f"reward {seen['gain']:.3f} per round"),
        )
    typer.echo(out)


@command("measured-gain")
def measured_gain(*, out: Path, num_worlds: int = 16) -> None:
    """Fit the measured gain of orchestration: trainings of small classifiers on rollouts of training worlds.

    Args:
        out: JSON file that is written.
        num_worlds: training worlds of each regime, >= 1.

    Example:
        gainnet train measured-gain --out out/gain --num-worlds 4
    """
    from gainnet.studies.gain_models.fitting import FitConfig, fit

    with progress("trainings") as show:
        values = fit(FitConfig(num_worlds), out, lambda made, total: show(made, total, ""))
    typer.echo(f"{out}: {values['explained']:.3f} of the variance of {values['num_rounds']} rounds")


@command("power-control", _POWER)
def power_control(asked: Asked, *, out: Path) -> None:
    """Learn how much power a fading block gets: PPO, SAC or pathwise gradients. Goes on where it was stopped.

    Args:
        out: folder for checkpoints and the policy.

    Example:
        gainnet train power-control --out out/power --algorithm pathwise
    """
    from dataclasses import asdict

    from gainnet.power_control.learners import LEARNERS
    from gainnet.power_control.training import SCHEDULES, TrainingConfig, train

    if (algorithm := asked.values["algorithm"]) not in SCHEDULES:
        raise unknown_name("algorithm", algorithm, LEARNERS)
    config = TrainingConfig(**asked.values | asdict(SCHEDULES[algorithm]) | asked.chosen)
    with progress("power control") as show:
        train(config, out, lambda made, total, seen: show(made, total, f"reward {seen['reward']:.3f} per episode"))
    typer.echo(out)


@command("power-importance")
def power_importance(*, out: Path, num_pictures: int = 64, random_seed: int = 0) -> None:
    """Measure through the decoder how much every block of a nested seed matters to the picture.

    Args:
        out: file to write, JSON.
        num_pictures: pictures per block of the seed, 2 or more.
        random_seed: of scenes, SNRs and noise.

    Example:
        gainnet train power-importance --out out/importance.json
    """
    from gainnet.power_control.importance import measure_importance

    typer.echo(measure_importance(out, num_pictures, random_seed))


commands = (orchestration, orchestration_drawn, measured_gain, power_control, power_importance)
