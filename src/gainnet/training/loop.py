"""The training loop of all stages: averaged weights, whole checkpoints, the same result when it is interrupted."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gainnet.agents.named_tensors import OPTIMIZER, add_prefix, load_optimizer, optimizer_tensors, strip_prefix
from gainnet.core.errors import ConfigError, TrainingError
from gainnet.core.files import check_outside_package, check_writable, hold, write_json
from gainnet.core.run.checkpoint import Checkpoint, Numbers, look
from gainnet.core.run.loop import run_to_end, silent

Progress = Callable[[str, int, int, float], None]
"""Receives (stage, steps taken, steps in all, mean loss)."""

CHECKPOINT, SETTINGS = "checkpoint.safetensors", "settings.json"
STEPS_PER_PROGRESS = 10
SPIKE = 3.0
"""How far a loss may be above its running mean, in running means of its absolute value."""
NUM_STEPS_BEFORE_SPIKES = 100
MOST_SKIPPED = 100
"""Steps in a row without a usable loss after which a training is given up."""


@final
@dataclass(frozen=True, eq=False)
class Stage:
    """A network with its optimizers and its loss.

    Args:
        name: of the stage and of its folder.
        num_steps: steps over which the learning rates fall.
        model: what is trained.
        optimizers: of its parameters.
        peak_rates: highest learning rate of each optimizer; `cosine` gives the rest.
        ema_decay: share of the averaged weights that stays in a step, in the long run.
        loss: [], of a step; a function of the step's number and the weights alone, so that a step can be repeated.
        stop: steps after which it ends; `None` is all of them.
    """

    name: str
    num_steps: int
    model: nn.Module
    optimizers: Sequence[Optimizer]
    peak_rates: Sequence[float]
    ema_decay: float
    loss: Callable[[int], Tensor]
    stop: int | None = None


@final
@dataclass(frozen=True)
class Training:
    """The stages of a training and the folder that keeps their checkpoints.

    Args:
        folder: of `NAME/checkpoint.safetensors` for every stage.
        settings: all that the training depends on, as JSON.
        checkpoint_every: steps between two checkpoints.
        progress: called every 10 steps of a stage and after the last one.
        cpu_s: processor time of every stage that has ended, over all its interruptions.
    """

    folder: Path
    settings: Mapping[str, Any]
    checkpoint_every: int
    progress: Progress = silent
    cpu_s: dict[str, float] = field(default_factory=dict)

    def train(self, stage: Stage, read_sha256: str = "") -> None:
        """Makes all steps of a stage, then puts the averaged weights into its model.

        Args:
            stage: goes on from its checkpoint where there is one.
            read_sha256: digest of stored tensors that the loss reads; with others a checkpoint is refused.

        Raises:
            ConfigError: the checkpoint is damaged, or of other settings.
            TrainingError: `MOST_SKIPPED` losses in a row are not finite or far above their running mean.
        """
        settings = {**self.settings, "stage": stage.name, "num_steps": stage.num_steps, "read_sha256": read_sha256}
        descent = _Descent(stage)

        def tell(step: int, num_steps: int, losses: dict[str, float]) -> None:
            if step % STEPS_PER_PROGRESS == 0 or step == num_steps:
                self.progress(stage.name, step, num_steps, losses["loss"])

        stage.model.train()
        checkpoint = Checkpoint(self.folder / stage.name / CHECKPOINT, settings)
        run_to_end(descent, checkpoint, self.checkpoint_every, tell)
        # The average of the last weights is less noisy than the last weights themselves.
        stage.model.load_state_dict(descent.ema)
        self.cpu_s[stage.name] = descent.cpu_s


def last_average(path: Path) -> tuple[float, dict[str, Tensor]]:
    """Processor time in s and averaged weights by name of the last checkpoint of a stage, whose training may go on.

    Args:
        path: of the checkpoint.
    """
    _, numbers, tensors = look(path)
    return numbers["cpu_s"], strip_prefix("ema", tensors)


@contextmanager
def open_training(
    out: Path, folder: Path, settings: Mapping[str, Any], checkpoint_every: int, progress: Progress
) -> Iterator[Training]:
    """The training in a folder, which no other process may write meanwhile.

    Args:
        out: where the results will be; outside of the package.
        folder: of settings and checkpoints, in it.
        settings: all that the training depends on, `random_seed` among it; tuples become lists.
        checkpoint_every: steps between two checkpoints.
        progress: of its stages.

    Raises:
        ConfigError: `out` cannot be written, or was begun with other settings; or the random seed is negative.
    """
    if settings["random_seed"] < 0:
        raise ConfigError(f"random_seed: {settings['random_seed']} is negative; give 0 or more")
    check_writable(out)
    check_outside_package(out)
    # Through JSON and back, so that settings compare equal to those that are read from a file.
    kept: Mapping[str, Any] = json.loads(json.dumps(settings))
    path = folder / SETTINGS
    with hold(out):
        if path.exists():
            _check_same(path, out, kept)
        else:
            write_json(path, kept)
        yield Training(folder, kept, checkpoint_every, progress)


def _check_same(path: Path, out: Path, settings: Mapping[str, Any]) -> None:
    try:
        begun = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError):
        raise ConfigError(f"out: {path} is damaged; delete {path.parent} and run again") from None
    if other := sorted(name for name in {*begun, *settings} if begun.get(name) != settings.get(name)):
        raise ConfigError(f"out: {out} was begun with another {', '.join(other)}; give an empty folder")


def cosine(step: int, num_steps: int, num_warmup: int) -> float:
    """Factor on the peak rate: linear up, then a half cosine down to 2 %.

    >>> [round(cosine(step, 100, 10), 2) for step in (0, 9, 10, 55, 100)]
    [0.1, 1.0, 1.0, 0.51, 0.02]
    """
    if step < num_warmup:
        return (step + 1) / num_warmup
    share = (step - num_warmup) / max(1, num_steps - num_warmup)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


class _Descent:
    """A stage between two steps, see `gainnet.core.run.loop.Resumable`."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.num_steps = stage, stage.num_steps if stage.stop is None else stage.stop
        self.step, self.num_skipped = 0, 0
        self.cpu_s, self._clock = 0.0, time.process_time()
        self.mean_loss, self.mean_size = torch.zeros(()), torch.zeros(())
        self.ema = {name: value.detach().clone() for name, value in stage.model.state_dict().items()}

    def state(self) -> tuple[Numbers, Mapping[str, Tensor]]:
        now = time.process_time()
        self.cpu_s, self._clock = self.cpu_s + now - self._clock, now
        tensors = add_prefix("model", self.stage.model.state_dict()) | add_prefix("ema", self.ema)
        for k, optimizer in enumerate(self.stage.optimizers):
            tensors |= optimizer_tensors(optimizer, f"{OPTIMIZER}.{k}")
        numbers = {"step": self.step, "num_skipped": self.num_skipped, "cpu_s": self.cpu_s}
        return numbers, tensors | {"mean_loss": self.mean_loss, "mean_size": self.mean_size}

    def restore(self, numbers: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        self.step, self.num_skipped, self.cpu_s = (numbers[name] for name in ("step", "num_skipped", "cpu_s"))
        self.mean_loss, self.mean_size = tensors["mean_loss"], tensors["mean_size"]
        self.stage.model.load_state_dict(strip_prefix("model", tensors))
        ema = strip_prefix("ema", tensors)
        self.ema = {name: ema[name].to(value.device) for name, value in self.ema.items()}
        for k, optimizer in enumerate(self.stage.optimizers):
            load_optimizer(optimizer, tensors, f"{OPTIMIZER}.{k}")

    def advance(self) -> dict[str, float]:
        """One step; a loss that is not finite or far above its running mean is skipped.

        Raises:
            TrainingError: that happened `MOST_SKIPPED` times in a row.
        """
        loss = self.stage.loss(self.step)
        value = loss.detach().float().cpu()
        if self._is_usual(value):
            self._descend(loss)
            # A short memory at first, so that the fall of the first steps does not hide spikes after it.
            decay = min(0.9, self.step / (self.step + 1)) if self.step < 10 else 0.98
            self.mean_loss = self.mean_loss * decay + value * (1 - decay)
            self.mean_size = self.mean_size * decay + value.abs() * (1 - decay)
            self.num_skipped = 0
        else:
            self._skip(value)
        for optimizer in self.stage.optimizers:
            optimizer.zero_grad(set_to_none=True)
        self.step += 1
        # The average leaves the random start behind as 1 / n, and settles at the decay of the stage later.
        self._average(min(self.stage.ema_decay, self.step / (self.step + 10)))
        return {"loss": float(self.mean_loss)}

    def _is_usual(self, value: Tensor) -> bool:
        # Losses may have any sign, as log-likelihoods of densities do, so the mean alone is no measure of size.
        early = self.step < NUM_STEPS_BEFORE_SPIKES
        return bool(torch.isfinite(value)) and (early or bool(value < self.mean_loss + SPIKE * self.mean_size))

    def _skip(self, value: Tensor) -> None:
        self.num_skipped += 1
        # A single spike comes from its batch; a hundred in a row mean that the weights diverged.
        if self.num_skipped == MOST_SKIPPED:
            raise TrainingError(
                f"training: {self.stage.name} met {MOST_SKIPPED} losses in a row up to step {self.step} that are not "
                f"finite or far above their mean {float(self.mean_loss):.3g}, the last {float(value):.3g}; "
                "begin again with another random seed"
            )

    def _descend(self, loss: Tensor) -> None:
        stage = self.stage
        factor = cosine(self.step, stage.num_steps, min(200, stage.num_steps // 10))
        loss.backward()
        # Over the whole model, since two optimizers share its parameters.
        nn.utils.clip_grad_norm_((p for p in stage.model.parameters() if p.requires_grad), 1.0)
        for optimizer, peak_rate in zip(stage.optimizers, stage.peak_rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = peak_rate * factor
            optimizer.step()

    @torch.no_grad()
    def _average(self, decay: float) -> None:
        for name, value in self.stage.model.state_dict().items():
            if value.is_floating_point():
                self.ema[name].lerp_(value, 1 - decay)
            else:
                self.ema[name].copy_(value)
