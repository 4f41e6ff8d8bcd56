"""The fit of the measured gain, and of the published one's scale and exponent, on the same training worlds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, final

import numpy as np
import torch

from gainnet.core.files import write_json
from gainnet.core.randomness import Random
from gainnet.orchestration import Rollout, World, policies
from gainnet.orchestration.measured import MEASURED, Lesson, fit_measured, to_plain
from gainnet.orchestration.regime import Regime
from gainnet.studies.gain_models.question import FIRST_FITTED
from gainnet.studies.gain_models.rounds import path_of, refitted_gain
from gainnet.studies.gairom.arena import arena, scenario_of_regime
from gainnet.studies.gairom_learning.digits import load_digits

POLICIES = ("random", "ml_c", "ml_scc", "mp_tsc", "largest_correlation", "matching", "greedy", "crowd_greedy")
SCALES = (2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 20000.0)
EXPONENTS = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)


@final
@dataclass(frozen=True)
class FitConfig:
    """Everything that the fit depends on.

    Args:
        num_worlds: of each regime, from the random seed 600000 on, >= 1.
        width: hidden units of a classifier.
        batch_size: samples per step.
        learning_rate: step size.
    """

    num_worlds: int = 16
    width: int = 32
    batch_size: int = 16
    learning_rate: float = 0.1


@final
@dataclass(frozen=True)
class Played:
    """A policy's rollout in a training world, and how far the losses fell.

    Args:
        world: where.
        regime: whether clients shared spectrum.
        rollout: what was decided.
        fall: of the loss, mean over models.
    """

    world: World
    regime: Regime
    rollout: Rollout
    fall: float


def fit(config: FitConfig, out: Path, progress: Callable[[int, int], None]) -> dict[str, Any]:
    """Trains classifiers on rollouts of training worlds and writes both fits as JSON.

    Args:
        config: what to train.
        out: file that is written.
        progress: called with trainings made and all of them.
    """
    train, test = load_digits(4)
    held_out, played = test.every_second(0), []
    losses, after, lessons = [], [], []
    total = config.num_worlds * 2 * len(POLICIES)
    for number, (world, regime, rollout, random) in enumerate(_rollouts(config)):
        path = path_of(world, rollout, train, held_out, config, random)
        losses.append(path.loss[:-1])
        after.append(path.loss[1:])
        lessons.append(path.lesson)
        played.append(Played(world, regime, rollout, path.fall))
        progress(number + 1, total)
    lesson = Lesson(
        torch.cat([one.samples for one in lessons]), torch.cat([one.num_clients for one in lessons]), lessons[0].own
    )
    before, behind = torch.cat(losses), torch.cat(after)
    measured = fit_measured(before, behind, lesson)
    missed = (lesson.own * (before - behind - measured.falls(before, lesson))).sum(-1)
    spread = (lesson.own * (before - behind)).sum(-1)
    values = {
        **to_plain(measured),
        "published": published_fit(played),
        "explained": 1 - float(missed.square().mean() / spread.var()),
        "num_rounds": len(before),
        "config": vars(config),
    }
    write_json(out, values)
    return values


def _rollouts(config: FitConfig) -> Iterator[tuple[World, Regime, Rollout, Random]]:
    for regime, number in product(("independent", "contention"), range(config.num_worlds)):
        random_seed = FIRST_FITTED + number
        here = arena(scenario_of_regime(regime), regime, random_seed)
        known = policies(here.world.scenario.gain.scale_samples)
        for name in POLICIES:
            yield here.world, here.regime, here.play(known[name])[0], Random.of(random_seed).child("learning")


def published_fit(played: list[Played]) -> dict[str, dict[str, float]]:
    """Scale and exponent, by regime, whose gains have the largest linear correlation with the falls of the loss.

    Args:
        played: rollouts of training worlds.
    """
    found = {}
    for name in sorted({one.regime.name for one in played}):
        own = [one for one in played if one.regime.name == name]
        falls = np.array([one.fall for one in own])
        best = (-1.0, 0.0, 0.0)
        for scale, exponent in product(SCALES, EXPONENTS):
            gains = [refitted_gain(one.world, one.regime, one.rollout, scale, exponent) for one in own]
            best = max(best, (float(np.corrcoef(gains, falls)[0, 1]), scale, exponent))
        found[name] = dict(zip(("correlation", "scale", "exponent"), best, strict=True))
    return found


def published_values(path: Path = MEASURED) -> dict[str, dict[str, float]]:
    """Scale and exponent by regime, as fitted beside the shipped measured gain or in a JSON file."""
    values: dict[str, dict[str, float]] = json.loads(path.read_text(encoding="utf-8"))["published"]
    return values
