"""The training loop of all stages: averaged weights, whole checkpoints, the same result when it is interrupted."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from gainnet.agents.checkpoint import OPTIMIZER, load_optimizer, optimizer_tensors
from gainnet.core.errors import ConfigError, TrainingError
from gainnet.core.files import write_whole

Progress = Callable[[str, int, int, float], None]
"""Told (stage, steps taken, steps in all, mean loss)."""

CHECKPOINT = "checkpoint.safetensors"
SPIKE = 3.0
"""How far a loss may be above its running mean, in running means of its absolute value."""
NUM_STEPS_BEFORE_SPIKES = 100
MOST_SKIPPED = 100
"""Steps in a row without a usable loss after which a training is given up."""


class Stage(Protocol):
    """What is trained: a network, its optimizers and the loss of a step, a function of its number and the weights."""

    @property
    def name(self) -> str: ...
    @property
    def num_steps(self) -> int: ...
    @property
    def ema_decay(self) -> float: ...
    @property
    def model(self) -> nn.Module: ...
    @property
    def optimizers(self) -> Sequence[Optimizer]: ...
    @property
    def peak_rates(self) -> Sequence[float]: ...
    def loss(self, step: int) -> Tensor: ...


def silent(stage: str, step: int, num_steps: int, loss: float) -> None:
    """Progress that is not shown."""


def cosine(step: int, num_steps: int, num_warmup: int) -> float:
    """Factor on the peak rate: linear up, then a half cosine down to 2 %.

    >>> [round(cosine(step, 100, 10), 2) for step in (0, 9, 10, 55, 100)]
    [0.1, 1.0, 1.0, 0.51, 0.02]
    """
    if step < num_warmup:
        return (step + 1) / num_warmup
    share = (step - num_warmup) / max(1, num_steps - num_warmup)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


def save_whole(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    """Writes a safetensors file beside its place and moves it there: a kill leaves the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, beside, metadata)
    beside.replace(path)


def claim(path: Path, settings: Mapping[str, Any], refusal: str) -> None:
    """Writes all that a training depends on, or checks that its folder was begun with the same.

    Args:
        path: of the JSON file.
        settings: what JSON can hold; tuples are lists in it.
        refusal: the error's line.

    Raises:
        ConfigError: the file holds other settings.
    """
    wanted = json.dumps(settings, indent=2) + "\n"
    if not path.exists():
        write_whole(path, wanted.encode())
    elif json.loads(path.read_text(encoding="utf-8")) != json.loads(wanted):
        raise ConfigError(refusal)


class _State:
    """All that a stage's next step depends on."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.step = 0
        self.cpu_s = 0.0
        self.num_skipped = 0
        self.mean_loss = torch.zeros(())
        self.mean_size = torch.zeros(())
        self.ema = {name: value.detach().clone() for name, value in stage.model.state_dict().items()}

    def tensors(self) -> dict[str, Tensor]:
        tensors = {f"model.{name}": value for name, value in self.stage.model.state_dict().items()}
        tensors |= {f"ema.{name}": value for name, value in self.ema.items()}
        for k, optimizer in enumerate(self.stage.optimizers):
            tensors |= optimizer_tensors(optimizer, f"{OPTIMIZER}.{k}")
        return tensors | {"mean_loss": self.mean_loss, "mean_size": self.mean_size}

    def save(self, path: Path) -> None:
        counts = {"step": self.step, "num_skipped": self.num_skipped, "cpu_s": self.cpu_s}
        save_whole(self.tensors(), path, {name: str(count) for name, count in counts.items()})

    def load(self, path: Path) -> None:
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dict
        self.step, self.cpu_s = int(metadata["step"]), float(metadata["cpu_s"])
        self.num_skipped = int(metadata.get("num_skipped", 0))
        self.mean_loss = tensors["mean_loss"]
        # Checkpoints of earlier versions lack it; their losses were all positive.
        self.mean_size = tensors.get("mean_size", self.mean_loss)
        self.stage.model.load_state_dict({name: tensors[f"model.{name}"] for name in self.ema})
        self.ema = {name: tensors[f"ema.{name}"].to(value.device) for name, value in self.ema.items()}
        for k, optimizer in enumerate(self.stage.optimizers):
            load_optimizer(optimizer, tensors, f"{OPTIMIZER}.{k}")

    def advance(self) -> None:
        """One step; a loss that is not finite or far above its running mean is skipped.

        Raises:
            TrainingError: that happened `MOST_SKIPPED` times in a row.
        """
        loss = self.stage.loss(self.step)
        value = loss.detach().float().cpu()
        if self._is_usual(value):
            self._descend(loss)
            decay = min(0.9, self.step / (self.step + 1)) if self.step < 10 else 0.98
            self.mean_loss = self.mean_loss * decay + value * (1 - decay)
            self.mean_size = self.mean_size * decay + value.abs() * (1 - decay)
            self.num_skipped = 0
        else:
            self._skip(value)
        for optimizer in self.stage.optimizers:
            optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self._average(min(self.stage.ema_decay, self.step / (self.step + 10)))

    def _is_usual(self, value: Tensor) -> bool:
        """Losses may have any sign, as log-likelihoods of densities do, so the mean alone is no measure of size."""
        early = self.step < NUM_STEPS_BEFORE_SPIKES
        return bool(torch.isfinite(value)) and (early or bool(value < self.mean_loss + SPIKE * self.mean_size))

    def _skip(self, value: Tensor) -> None:
        self.num_skipped += 1
        if self.num_skipped == MOST_SKIPPED:
            raise TrainingError(
                f"training: {self.stage.name} met {MOST_SKIPPED} losses in a row up to step {self.step} that are no "
                f"numbers or far above their mean {float(self.mean_loss):.3g}, the last {float(value):.3g}; "
                "begin again with another random seed"
            )

    def _descend(self, loss: Tensor) -> None:
        stage = self.stage
        factor = cosine(self.step, stage.num_steps, min(200, stage.num_steps // 10))
        loss.backward()
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


def train(stage: Stage, folder: Path, checkpoint_every: int, progress: Progress = silent) -> dict[str, Tensor]:
    """The averaged weights of a stage after all its steps; goes on from the folder's checkpoint where there is one.

    Args:
        stage: what to train.
        folder: where `checkpoint.safetensors` lives.
        checkpoint_every: steps between checkpoints.
        progress: told after every 10 steps.

    Raises:
        TrainingError: `MOST_SKIPPED` losses in a row are no numbers or far above their running mean.
    """
    state = _State(stage)
    path = folder / CHECKPOINT
    if path.exists():
        state.load(path)
    stage.model.train()
    clock = time.process_time()
    while state.step < stage.num_steps:
        state.advance()
        last = state.step == stage.num_steps
        if state.step % 10 == 0 or last:
            progress(stage.name, state.step, stage.num_steps, float(state.mean_loss))
        if state.step % checkpoint_every == 0 or last:
            now = time.process_time()
            state.cpu_s, clock = state.cpu_s + now - clock, now
            state.save(path)
    return state.ema


def cpu_seconds(folder: Path) -> float:
    """Processor time that a stage's training has taken so far, over all its interruptions."""
    with safe_open(folder / CHECKPOINT, "pt") as file:
        return float(file.metadata()["cpu_s"])


def averaged(folder: Path) -> dict[str, Tensor]:
    """The averaged weights in a folder's checkpoint, whether or not its training has ended."""
    with safe_open(folder / CHECKPOINT, "pt") as file:
        names = [name for name in file.keys() if name.startswith("ema.")]  # noqa: SIM118  # not a dict
        return {name.removeprefix("ema."): file.get_tensor(name) for name in names}
