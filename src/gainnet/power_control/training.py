"""How power policies are learned: episodes by the thousand, checkpoints that go on where they were."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, final

import torch
from torch import Tensor

from gainnet.agents.policy_run import PolicyRun, half_cosine, train_policy
from gainnet.core.errors import unknown_name
from gainnet.core.randomness import Random, seeded
from gainnet.core.ranges import Interval, check_ranges
from gainnet.core.run.loop import Progress
from gainnet.core.units import db_to_linear
from gainnet.power_control.env import Environment, Episodes, static_errors
from gainnet.power_control.learned import KIND, Learned, perceptron
from gainnet.power_control.learners import LEARNERS, Learner
from gainnet.power_control.tasks import TASKS, Task
from gainnet.radio.power import PowerPolicy, block_error, spend

FIRST_EPISODES: Final = 1_000_000
"""Smaller random seeds are never trained with."""
VALIDATION: Final = 500_000
"""Random seed of the episodes that learning curves are measured on."""
CURVE_SNRS_DB: Final = (5.0, 15.0, 20.0)

_AVERAGE = 0.8
_NUM_VALIDATED = 2000
_POINTS = 12


@final
@dataclass(frozen=True)
class TrainingConfig:
    """Everything that a training run depends on.

    Args:
        algorithm: ppo, sac, or pathwise: gradients through the environment.
        task: equal (Rayleigh), jakes (alike), unequal (nested seed), decoder (PSNR) or varied (any fading).
        random_seed: of weights, episodes and draws, in [0, 1000).
        num_iterations: times that episodes are played and networks updated, >= 1.
        episodes_per_iteration: played at once, 1 to 100,000.
        width: of the networks, 1 to 4096.
        learning_rate: of actor and critics at its peak, 1e-6 to 1.

    Raises:
        ConfigError: a field is out of range.
    """

    algorithm: str
    task: str
    random_seed: int = 0
    num_iterations: int = 60
    episodes_per_iteration: int = 2048
    width: int = 48
    learning_rate: float = 3e-3

    def __post_init__(self) -> None:
        if self.algorithm not in LEARNERS:
            raise unknown_name("algorithm", self.algorithm, LEARNERS)
        if self.task not in TASKS:
            raise unknown_name("task", self.task, TASKS)
        ranges = {"random_seed": Interval(0, 999), "num_iterations": Interval(1, 100_000)}
        ranges |= {"episodes_per_iteration": Interval(1, 100_000), "width": Interval(1, 4096)}
        check_ranges("training", self, {**ranges, "learning_rate": Interval(1e-6, 1)})


@final
@dataclass(frozen=True)
class Schedule:
    """Numbers that suit an algorithm, fields as in `TrainingConfig`."""

    num_iterations: int
    episodes_per_iteration: int
    learning_rate: float


SCHEDULES: Final[dict[str, Schedule]] = {
    "ppo": Schedule(60, 2048, 3e-3),
    "sac": Schedule(120, 512, 3e-3),
    "pathwise": Schedule(400, 1024, 1e-2),
}
"""Defaults of `gainnet train power-control`."""


def train(config: TrainingConfig, folder: Path, progress: Progress) -> Path:
    """A policy, written to a folder that `load_policy` reads; an interrupted run in the folder goes on.

    Args:
        config: what to train.
        folder: made when missing; must not lie in the package.
        progress: called after every iteration.

    Raises:
        ConfigError: the folder cannot be written, lies in the package or holds another run.
        TrainingError: a loss or a weight is not finite.
    """
    run = training_run(config)
    described = {
        "kind": KIND,
        "features": list(TASKS[config.task].features),
        "width": config.width,
        "training": asdict(config),
        "curve_columns": ["num_episodes", *(f"gain_over_static_db.{snr:g}db" for snr in CURVE_SNRS_DB)],
    }
    return train_policy(run, asdict(config), folder, progress, lambda: {**described, "curve": run.curve})


def training_run(config: TrainingConfig) -> PolicyRun:
    """A run before its first iteration; everything in it follows from its config and the number of iterations made."""
    task = TASKS[config.task]
    with seeded(config.random_seed):
        learner: Learner = LEARNERS[config.algorithm](task, config.width, config.learning_rate)

    def play(iteration: int, after_update: Callable[[], None]) -> dict[str, float]:
        first = FIRST_EPISODES + 1_000_000 * config.random_seed + iteration
        moment = task.environment().reset(config.episodes_per_iteration, Random.of(first))
        with seeded(first) as source:
            losses = learner.advance(moment, source, half_cosine(iteration / config.num_iterations, 0.03))
        after_update()
        return losses

    def measure(iteration: int, weights: dict[str, Tensor]) -> list[float]:
        gains = gains_over_static_db(policy_of(weights, task, config.width), task.environment())
        return [iteration * float(config.episodes_per_iteration), *gains]

    return PolicyRun(
        learner.agent, play, config.num_iterations, lambda iteration: min(_AVERAGE, iteration / 10), measure
    )


def policy_of(weights: dict[str, Tensor], task: Task, width: int) -> Learned:
    """The policy of an actor's weights by name."""
    network = perceptron(len(task.features), width, 1)
    network.load_state_dict(weights)
    return Learned(network.eval().requires_grad_(False), task.features)


def gains_over_static_db(policy: PowerPolicy, env: Environment) -> list[float]:
    """[num_snrs], gain of a policy over constant power at `CURVE_SNRS_DB`, on episodes kept for it, in dB."""
    gains = env.fading(_NUM_VALIDATED, env.num_blocks, Random.of(VALIDATION))
    importance = torch.tensor(env.importance).expand(_NUM_VALIDATED, -1)
    found = []
    for snr_db in CURVE_SNRS_DB:
        episodes = Episodes(gains, torch.full((_NUM_VALIDATED,), db_to_linear(snr_db)), importance)
        found.append(round(gain_over_static_db(policy, episodes, env.peak), 4))
    return found


def gain_over_static_db(policy: PowerPolicy, episodes: Episodes, peak: float) -> float:
    """Ratio of mean weighted errors of constant power and of a policy, in dB."""
    powers = spend(policy, episodes.gains, episodes.snr, episodes.importance, peak)
    errors = episodes.importance * block_error(powers, episodes.gains, episodes.snr.unsqueeze(-1))
    return 10 * math.log10(float(static_errors(episodes).mean() / errors.mean()))
