"""Training tasks: fading, importance of the blocks, reward, and the features that the policy observes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, final

from gainnet.power_control.env import Environment
from gainnet.power_control.fading import FADINGS
from gainnet.power_control.quality import LatentReward, PictureReward, load_importance

STATE: Final = ("received", "snr", "energy", "left", "last")
WEIGHTS: Final = ("importance", "evenness")
HISTORY: Final = ("before_1", "before_2", "before_3", "mean_before")


@final
@dataclass(frozen=True)
class Task:
    """Something to learn.

    Args:
        question: what is learned, one line.
        features: names of what the policy sees.
        environment: makes the episodes.
    """

    question: str
    features: tuple[str, ...]
    environment: Callable[[], Environment]


def _unequal() -> Environment:
    return Environment(FADINGS["jakes"], LatentReward(), load_importance().latent)


def _decoder() -> Environment:
    weights = load_importance()
    return Environment(FADINGS["jakes"], PictureReward(weights.picture_floor, weights.picture), weights.picture)


_ALIKE = {name: partial(Environment, FADINGS[name], LatentReward()) for name in ("rayleigh", "jakes")}
_VARIED = partial(Environment, FADINGS["varied"], LatentReward(), snr_db=(0.0, 25.0))
TASKS: Final[dict[str, Task]] = {
    "equal": Task("Blocks that matter alike, independent Rayleigh fading.", STATE, _ALIKE["rayleigh"]),
    "jakes": Task("Blocks that matter alike, Jakes fading.", (*STATE, *HISTORY), _ALIKE["jakes"]),
    "unequal": Task("Blocks of a nested seed, Jakes fading.", (*STATE, *WEIGHTS, *HISTORY), _unequal),
    "decoder": Task(
        "PSNR of the decoded picture, blocks of a dealt seed, Jakes fading.",
        (*STATE, *WEIGHTS, *HISTORY, "error"),
        _decoder,
    ),
    "varied": Task("Blocks that matter alike, fading of unknown statistics.", (*STATE, *HISTORY), _VARIED),
}
"""Tasks by name."""
