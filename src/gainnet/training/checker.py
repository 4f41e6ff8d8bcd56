"""Training the checker: pictures of its own, spoiled in other ways than those that the judge learned from."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import final

import torch
from torch import Tensor, nn

from gainnet.core.errors import ConfigError
from gainnet.core.files import check_outside_package, check_writable
from gainnet.models.autoencoder import SceneAutoencoder
from gainnet.models.checker import HIDDEN, WIDTHS, AttributeChecker
from gainnet.models.loading import load_model
from gainnet.models.scenes import draw_scenes, render, scene_labels, stream
from gainnet.training.autoencoder import torch_stream
from gainnet.training.export import write_classifier
from gainnet.training.loop import Progress, cpu_seconds, silent, train
from gainnet.training.muon import muon_and_adamw
from gainnet.training.text_encoder import attribute_loss

MAX_LATENT_NOISE = 0.5
MAX_GAIN = 0.15
MAX_NOISE = 0.06
RANDOM_SEED = 4711
"""The random seed of the shipped checker; that of the judge is 2026."""


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


@final
class CheckerStage:
    """The checker on fresh scenes at every step.

    A third of a batch went through the autoencoder with noise on the latents, as what it checks comes out of a decoder;
    then every colour gets a gain and every pixel some noise.
    """

    name = "checker"
    ema_decay = 0.998
    peak_rates = (2e-3, 1e-3)

    def __init__(
        self, checker: AttributeChecker, autoencoder: SceneAutoencoder, random_seed: int, steps: CheckerSteps
    ) -> None:
        self.model: nn.Module = checker
        self.autoencoder = autoencoder
        self.random_seed, self.num_steps, self.batch_size = random_seed, steps.steps, steps.batch_size
        self.optimizers = muon_and_adamw(checker, (checker.body[1], checker.body[-1]))

    def loss(self, step: int) -> Tensor:
        scenes = draw_scenes(self.batch_size, stream(self.random_seed, self.name, step))
        generator = torch_stream(self.random_seed, f"{self.name} noise", step)
        pictures, third = render(scenes), self.batch_size // 3
        with torch.autocast("cpu", torch.bfloat16):
            pictures[:third] = self._decoded(pictures[:third], generator)
            logits = self.model(_spoiled(pictures, generator))
        return attribute_loss([logit.float() for logit in logits], scene_labels(scenes))

    @torch.no_grad()
    def _decoded(self, pictures: Tensor, generator: torch.Generator) -> Tensor:
        latents = self.autoencoder.encoder(pictures * 2 - 1).float()
        strength = MAX_LATENT_NOISE * torch.rand(len(latents), 1, 1, 1, generator=generator)
        noisy = latents + strength * torch.randn(latents.shape, generator=generator)
        decoded: Tensor = self.autoencoder.decoder(noisy).float() / 2 + 0.5
        return decoded.clamp(0, 1)


def _spoiled(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures with a gain per colour and white noise, both of random strength."""
    size = len(pictures)
    gains = 1 + MAX_GAIN * (2 * torch.rand(size, 3, 1, 1, generator=generator) - 1)
    strength = MAX_NOISE * torch.rand(size, 1, 1, 1, generator=generator)
    return (pictures * gains + strength * torch.randn(pictures.shape, generator=generator)).clamp(0, 1)


def train_checker(
    out: Path,
    random_seed: int = RANDOM_SEED,
    steps: CheckerSteps = PRESETS["default"],
    progress: Progress = silent,
) -> Path:
    """The folder of a checker trained from nothing, `out/checker`; goes on where it was stopped.

    Args:
        out: where everything is written; outside of the package.
        random_seed: of data, weights and noise.
        steps: how much training, see `PRESETS`.
        progress: told (stage, steps taken, steps in all, mean loss).

    Raises:
        ConfigError: `out` lies in the package or the random seed is negative.
    """
    check_writable(out)
    if random_seed < 0:
        raise ConfigError(f"random_seed: {random_seed} is negative; give 0 or more")
    check_outside_package(out)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(random_seed)
        checker = AttributeChecker(WIDTHS, HIDDEN)
    stage = CheckerStage(checker, load_model("scenes").pipeline.vae, random_seed, steps)
    # Another amount of training or another random seed is another run.
    folder = out / "stages" / f"{stage.name}-{random_seed}-{steps.steps}x{steps.batch_size}"
    checker.load_state_dict(train(stage, folder, steps.checkpoint_every, progress))
    trained = {"random_seed": random_seed, "steps": asdict(steps), "cpu_s": round(cpu_seconds(folder))}
    return write_classifier(checker, out / "checker", {"trained": trained})
