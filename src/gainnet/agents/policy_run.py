"""The training of a policy: episodes, updates, averaged weights, and a folder that the policy is loaded from."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, final

from torch import Tensor

from gainnet.agents.named_tensors import add_prefix, strip_prefix
from gainnet.agents.policy_folder import WEIGHTS
from gainnet.core.files import check_outside_package, hold, write_json, write_whole
from gainnet.core.run.checkpoint import Checkpoint, Numbers
from gainnet.core.run.loop import Progress, run_to_end
from gainnet.core.weights import CONFIG

CHECKPOINT = "checkpoint.safetensors"
CHECKPOINT_EVERY = 10


class Agent(Protocol):
    """An algorithm whose actor is trained, with its memory."""

    def actor_tensors(self) -> dict[str, Tensor]:
        """Copies of the actor's weights by name."""

    def tensors(self) -> dict[str, Tensor]:
        """Copies of everything that the next update depends on."""

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Restores `tensors`."""


Play = Callable[[int, Callable[[], None]], dict[str, float]]
"""One iteration: (its number, what to call after an update of the actor) to losses and means."""


@final
@dataclass
class PolicyRun:
    """A training between two iterations, see `gainnet.core.run.loop.Resumable`.

    Evaluated and written is not the actor but the moving average of its weights, which is far less noisy.

    Args:
        agent: what is trained.
        play: one iteration; all its draws follow from the number of the iteration.
        num_steps: iterations in all.
        decay: share of the average that stays in an update, by iteration.
        measure: a point of the learning curve from (iterations made, averaged weights).
        num_points: about how many points the curve has, beside the first.
    """

    agent: Agent
    play: Play
    num_steps: int
    decay: Callable[[int], float]
    measure: Callable[[int, dict[str, Tensor]], Sequence[float]] | None = None
    num_points: int = 12
    step: int = field(default=0, init=False)
    average: dict[str, Tensor] = field(init=False)
    curve: list[list[float]] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self.average = self.agent.actor_tensors()
        self._measure()

    def advance(self) -> dict[str, float]:
        """One iteration; its losses and means."""
        losses = self.play(self.step, self._average)
        self.step += 1
        if self.step % max(1, self.num_steps // self.num_points) == 0:
            self._measure()
        return losses

    def state(self) -> tuple[Numbers, Mapping[str, Tensor]]:
        """As `Resumable.state`."""
        tensors = add_prefix("learner", self.agent.tensors()) | add_prefix("average", self.average)
        return {"iteration": self.step, "curve": self.curve}, tensors

    def restore(self, numbers: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """As `Resumable.restore`."""
        self.step, self.curve = numbers["iteration"], numbers["curve"]
        self.agent.load(strip_prefix("learner", tensors))
        self.average = strip_prefix("average", tensors)

    def _average(self) -> None:
        for name, x in self.agent.actor_tensors().items():
            self.average[name].lerp_(x, 1 - self.decay(self.step))

    def _measure(self) -> None:
        if self.measure is not None:
            self.curve.append(list(self.measure(self.step, self.average)))


def train_policy(
    run: PolicyRun, settings: Numbers, folder: Path, progress: Progress, describe: Callable[[], Mapping[str, Any]]
) -> Path:
    """Makes the iterations that are left and writes the averaged weights; an interrupted run in the folder goes on.

    Args:
        run: what is trained; is advanced in place.
        settings: all that it depends on.
        folder: of `checkpoint.safetensors`, `actor.safetensors` and `config.json`.
        progress: called after every iteration.
        describe: entries of `config.json` beside the SHA-256 of the weights, when the run has ended.

    Raises:
        ConfigError: the folder cannot be written, lies in the package, or holds another run or a damaged one.
        TrainingError: a loss or a weight is not finite.
    """
    from safetensors.torch import save

    check_outside_package(folder)
    # One process at a time: two would write the same checkpoint in turn.
    with hold(folder):
        run_to_end(run, Checkpoint(folder / CHECKPOINT, settings), CHECKPOINT_EVERY, progress)
        weights = save({name: x.contiguous() for name, x in run.average.items()})
        write_whole(folder / WEIGHTS, weights)
        write_json(folder / CONFIG, {"sha256": hashlib.sha256(weights).hexdigest(), **describe()}, indent=1)
    return folder


def half_cosine(share: float, least: float) -> float:
    """Factor on a learning rate, from 1 down to `least` in half a cosine.

    >>> [round(half_cosine(share, 0.1), 2) for share in (0.0, 0.5, 1.0)]
    [1.0, 0.55, 0.1]
    """
    return least + (1 - least) * 0.5 * (1 + math.cos(math.pi * share))
