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
from gainnet.core.errors import ConfigError
from gainnet.core.files import write_whole

Progress = Callable[[str, int, int, float], None]
"""Told (stage, steps taken, steps in all, mean loss)."""

CHECKPOINT = "checkpoint.safetensors"
SPIKE = 4.0
NUM_STEPS_BEFORE_SPIKES = 100


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
        self.mean_loss = torch.zeros(())
        self.ema = {name: value.detach().clone() for name, value in stage.model.state_dict().items()}

    def tensors(self) -> dict[str, Tensor]:
        tensors = {f"model.{name}": value for name, value in self.stage.model.state_dict().items()}
        tensors |= {f"ema.{name}": value for name, value in self.ema.items()}
        for k, optimizer in enumerate(self.stage.optimizers):
            tensors |= optimizer_tensors(optimizer, f"{OPTIMIZER}.{k}")
        return tensors | {"mean_loss": self.mean_loss}

    def save(self, path: Path) -> None:
        save_whole(self.tensors(), path, {"step": str(self.step), "cpu_s": str(self.cpu_s)})

    def load(self, path: Path) -> None:
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dict
        self.step, self.cpu_s = int(metadata["step"]), float(metadata["cpu_s"])
        self.mean_loss = tensors["mean_loss"]
        self.stage.model.load_state_dict({name: tensors[f"model.{name}"] for name in self.ema})
        self.ema = {name: tensors[f"ema.{name}"].to(value.device) for name, value in self.ema.items()}
        for k, optimizer in enumerate(self.stage.optimizers):
            load_optimizer(optimizer, tensors, f"{OPTIMIZER}.{k}")

    def advance(self) -> None:
        """One step; a loss that is not finite or far above its running mean is skipped."""
        stage = self.stage
        factor = cosine(self.step, stage.num_steps, min(200, stage.num_steps // 10))
        loss = stage.loss(self.step)
        value = loss.detach().float().cpu()
        early = self.step < NUM_STEPS_BEFORE_SPIKES
        if bool(torch.isfinite(value)) and (early or bool(value < SPIKE * self.mean_loss)):
            loss.backward()
            nn.utils.clip_grad_norm_((p for p in stage.model.parameters() if p.requires_grad), 1.0)
            for optimizer, peak_rate in zip(stage.optimizers, stage.peak_rates, strict=True):
                for group in optimizer.param_groups:
                    group["lr"] = peak_rate * factor
                optimizer.step()
            decay = min(0.9, self.step / (self.step + 1)) if self.step < 10 else 0.98
            self.mean_loss = self.mean_loss * decay + value * (1 - decay)
        for optimizer in stage.optimizers:
            optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self._average(min(stage.ema_decay, self.step / (self.step + 10)))

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
