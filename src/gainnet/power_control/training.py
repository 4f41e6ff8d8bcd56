"""How power policies are learned: episodes by the thousand, checkpoints that go on where they were."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, final

import torch

from gainnet.agents.checkpoint import below, read_checkpoint
from gainnet.agents.run import CHECKPOINT, Progress, run_to_end
from gainnet.core.errors import ConfigError, unknown_name
from gainnet.core.files import write_whole
from gainnet.core.randomness import Random
from gainnet.power_control.env import Environment, Episodes, static_errors
from gainnet.power_control.learned import CONFIG, KIND, WEIGHTS, Learned, perceptron
from gainnet.power_control.learners import LEARNERS, Learner
from gainnet.power_control.tasks import TASKS
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
    """What a training run depends on.

    Args:
        algorithm: a name in `LEARNERS`.
        task: a name in `TASKS`: fading, importance and reward.
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
        ranges: dict[str, tuple[float, float]] = {
            "random_seed": (0, 999),
            "num_iterations": (1, 100_000),
            "episodes_per_iteration": (1, 100_000),
            "width": (1, 4096),
            "learning_rate": (1e-6, 1.0),
        }
        for name, (least, most) in ranges.items():
            if not least <= getattr(self, name) <= most:
                raise ConfigError(f"training.{name}: {getattr(self, name)} is outside {least:g} to {most:g}")


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
"""What `gainnet train power-control` takes where nothing else is said."""


def train(config: TrainingConfig, folder: Path, progress: Progress) -> Path:
    """A policy, written to a folder that `load_policy` reads; an interrupted run in the folder goes on.

    Args:
        config: what to train.
        folder: made when missing; must not lie in the package.
        progress: told after every iteration.

    Raises:
        ConfigError: the folder cannot be written, lies in the package or holds another run.
    """
    run = TrainingRun(config)
    run_to_end(run, folder, progress)
    return run.export(folder)


@final
class TrainingRun:
    """A run between two iterations; everything in it follows from its config and the number of iterations made."""

    def __init__(self, config: TrainingConfig) -> None:
        self.config, self.iteration = config, 0
        self.task = TASKS[config.task]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.random_seed)
            self.learner: Learner = LEARNERS[config.algorithm](self.task, config.width, config.learning_rate)
        self.average = self.learner.actor_tensors()
        self.curve: list[list[float]] = [self._point()]

    @property
    def num_iterations(self) -> int:
        return self.config.num_iterations

    def advance(self) -> dict[str, float]:
        """One iteration: fresh episodes are played with the policy as it is, then the networks learn."""
        config = self.config
        first = FIRST_EPISODES + 1_000_000 * config.random_seed + self.iteration
        source = torch.Generator().manual_seed(first)
        moment = self.task.environment().reset(config.episodes_per_iteration, Random.of(first))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(first)
            losses = self.learner.advance(moment, source, self._factor())
        for name, x in self.learner.actor_tensors().items():
            self.average[name].lerp_(x, 1 - min(_AVERAGE, self.iteration / 10))
        self.iteration += 1
        points = max(1, config.num_iterations // _POINTS)
        if self.iteration % points == 0:
            self.curve.append(self._point())
        return losses

    def policy(self) -> Learned:
        """The policy of the averaged weights."""
        network = perceptron(len(self.task.features), self.config.width, 1)
        network.load_state_dict(self.average)
        return Learned(network.eval().requires_grad_(False), self.task.features)

    def checkpoint(self) -> bytes:
        """Everything that the next iteration depends on, as a safetensors file."""
        from safetensors.torch import save

        tensors = {f"learner.{name}": x.contiguous() for name, x in self.learner.tensors().items()}
        tensors |= {f"average.{name}": x for name, x in self.average.items()}
        metadata = {
            "config": json.dumps(asdict(self.config)),
            "iteration": str(self.iteration),
            "curve": json.dumps(self.curve),
        }
        return save(tensors, metadata)

    def resume(self, path: Path) -> None:
        """Goes on from a checkpoint, if there is one; raises `ConfigError` when it is damaged or of another run."""
        if not path.exists():
            return
        metadata, tensors = read_checkpoint(path, asdict(self.config))
        try:
            self.iteration, self.curve = int(metadata["iteration"]), json.loads(metadata["curve"])
            self.learner.load(below("learner", tensors))
        except (RuntimeError, KeyError, ValueError, StopIteration) as error:
            raise ConfigError(
                f"out: {path} lacks what {CHECKPOINT} holds ({type(error).__name__}); remove it"
            ) from None
        self.average = below("average", tensors)

    def export(self, folder: Path) -> Path:
        """Weights and config.json of the averaged policy, its learning curve in it."""
        from safetensors.torch import save

        weights = save({name: x.contiguous() for name, x in self.average.items()})
        config = {
            "kind": KIND,
            "sha256": hashlib.sha256(weights).hexdigest(),
            "features": list(self.task.features),
            "width": self.config.width,
            "training": asdict(self.config),
            "curve_columns": ["num_episodes", *(f"gain_over_static_db.{snr:g}db" for snr in CURVE_SNRS_DB)],
            "curve": self.curve,
        }
        write_whole(folder / WEIGHTS, weights)
        write_whole(folder / CONFIG, (json.dumps(config, indent=1) + "\n").encode())
        return folder

    def _point(self) -> list[float]:
        """Episodes that were played, and the gain over static power at some SNRs, in dB."""
        env, policy = self.task.environment(), self.policy()
        gains = env.fading(_NUM_VALIDATED, env.num_blocks, Random.of(VALIDATION))
        importance = torch.tensor(env.importance).expand(_NUM_VALIDATED, -1)
        found = [self.iteration * float(self.config.episodes_per_iteration)]
        for snr_db in CURVE_SNRS_DB:
            episodes = Episodes(gains, torch.full((_NUM_VALIDATED,), 10 ** (snr_db / 10)), importance)
            found.append(round(gain_over_static_db(policy, episodes, env.peak), 4))
        return found

    def _factor(self) -> float:
        """Of the learning rates: down in half a cosine."""
        share = self.iteration / self.config.num_iterations
        return 0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * share))


def gain_over_static_db(policy: PowerPolicy, episodes: Episodes, peak: float) -> float:
    """Ratio of mean weighted errors of constant power and of a policy, in dB."""
    powers = spend(policy, episodes.gains, episodes.snr, episodes.importance, peak)
    errors = episodes.importance * block_error(powers, episodes.gains, episodes.snr.unsqueeze(-1))
    return 10 * math.log10(float(static_errors(episodes).mean() / errors.mean()))


__all__ = [
    "CHECKPOINT",
    "LEARNERS",
    "SCHEDULES",
    "Environment",
    "Schedule",
    "TrainingConfig",
    "TrainingRun",
    "gain_over_static_db",
    "train",
]
