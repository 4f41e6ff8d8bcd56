"""Training the checker: pictures of its own, disturbed in other ways than those of the attribute classifier."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import final

import torch
from torch import Tensor

from gainnet.core.randomness import seeded
from gainnet.core.run.loop import silent
from gainnet.models.attributes import CHECKER, AttributeClassifier
from gainnet.models.loading import load_model
from gainnet.training.attributes import attribute_stage
from gainnet.training.export import write_classifier
from gainnet.training.loop import Progress, open_training

NAME = "checker"
MAX_LATENT_NOISE = 0.5
MAX_GAIN = 0.15
MAX_NOISE = 0.06
RANDOM_SEED = 4711
"""The random seed of the shipped checker; that of the classifier is 2026."""


@final
@dataclass(frozen=True)
class CheckerSteps:
    """How long the checker trains, and on how much.

    Args:
        steps: of training.
        batch_size: pictures per step.
        checkpoint_every: steps between checkpoints.
    """

    steps: int = 2200
    batch_size: int = 24
    checkpoint_every: int = 500


PRESETS = {"default": CheckerSteps(), "tiny": CheckerSteps(4, 3, 2)}
"""Name -> how much training: `default` made the shipped weights, `tiny` only shows that everything runs."""


def gain_and_noise(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """[n, 3, H, W], pictures with a gain per colour and white noise, both of random strength."""
    size = len(pictures)
    gains = 1 + MAX_GAIN * (2 * torch.rand(size, 3, 1, 1, generator=generator) - 1)
    strength = MAX_NOISE * torch.rand(size, 1, 1, 1, generator=generator)
    return (pictures * gains + strength * torch.randn(pictures.shape, generator=generator)).clamp(0, 1)


def train_checker(
    out: Path, random_seed: int = RANDOM_SEED, steps: CheckerSteps = PRESETS["default"], progress: Progress = silent
) -> Path:
    """The folder of a checker trained from nothing, `out/checker`; goes on where it was stopped.

    Args:
        out: where everything is written; outside of the package.
        random_seed: of data, weights and noise.
        steps: how much training, see `PRESETS`.
        progress: receives (stage, steps taken, steps in all, mean loss).

    Raises:
        ConfigError: `out` lies in the package or the random seed is negative.
    """
    # Another amount of training or another random seed is another run, in a folder of its own.
    folder = out / "stages" / f"{NAME}-{random_seed}-{steps.steps}x{steps.batch_size}"
    settings = {"random_seed": random_seed, "steps": asdict(steps)}
    with open_training(out, folder, settings, steps.checkpoint_every, progress) as training:
        with seeded(random_seed):
            checker = AttributeClassifier(CHECKER)
        autoencoder, cpu = load_model("scenes").pipeline.vae, torch.device("cpu")
        size = steps.steps, steps.batch_size
        training.train(
            attribute_stage(NAME, checker, autoencoder, gain_and_noise, MAX_LATENT_NOISE, random_seed, *size, cpu)
        )
        trained = {"trained": {**settings, "cpu_s": round(training.cpu_s[NAME])}}
        return write_classifier(checker, out / NAME, trained)
