"""Real trainings on what a policy achieves: what every round was trained with, and what became of the losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.orchestration import Rollout, World
from gainnet.orchestration.gain import GAIN_FUNCTIONS, GainFunction
from gainnet.orchestration.measured import Lesson, domains_seen, lesson_of, own_labels
from gainnet.orchestration.regime import Contention, Regime
from gainnet.studies.gairom_learning.digits import Digits
from gainnet.studies.gairom_learning.fedavg import class_losses
from gainnet.studies.gairom_learning.training import Lessons, TrainingNumbers, own_accuracy


@final
@dataclass(frozen=True)
class Path:
    """One training of all models over all rounds.

    Args:
        loss: [num_rounds + 1, num_models, num_classes], held-out loss before and after every round.
        lesson: what the rounds trained with, [num_rounds, ...].
        accuracy: [num_models], on unseen images of each model's own domains in the end.
    """

    loss: Tensor
    lesson: Lesson
    accuracy: Tensor

    @property
    def fall(self) -> float:
        """Fall of the loss on the models' own domains over all rounds, mean over models."""
        return float((self.lesson.own * (self.loss[0] - self.loss[-1])).sum(-1).mean())


def path_of(
    world: World, rollout: Rollout, train: Digits, held_out: Digits, numbers: TrainingNumbers, random: Random
) -> Path:
    """The training on a rollout.

    Args:
        world: one world, without batch.
        rollout: what a policy did there.
        train: images that clients see.
        held_out: images that losses and accuracies are of.
        numbers: of a client's training.
        random: streams of one item, the same for all policies.
    """
    lessons, labels = Lessons(world, train, numbers, random), train.label_shares()
    models = lessons.start()
    losses, taught = [class_losses(models, held_out.images, held_out.labels)], []
    for cr in range(world.scenario.rounds.num_rounds):
        model, trained = rollout.model[cr], rollout.trained[cr]
        models = lessons.after(models, cr, model, trained)
        losses.append(class_losses(models, held_out.images, held_out.labels))
        taught.append(lesson_of(model, trained.round(), domains_seen(world, cr) @ labels, own_labels(world, labels)))
    samples, clients = (torch.stack([getattr(one, name) for one in taught]) for name in ("samples", "num_clients"))
    lesson = Lesson(samples, clients, taught[0].own)
    return Path(torch.stack(losses), lesson, own_accuracy(world, models, held_out))


def refitted_gain(world: World, regime: Regime, rollout: Rollout, scale: float, exponent: float) -> float:
    """The published gain of all rounds with another scale of samples and a power of the correlation.

    Args:
        world: where it was played.
        regime: whether clients shared spectrum.
        rollout: what was decided and sensed.
        scale: samples at which it bends > 0.
        exponent: of the correlation >= 0.
    """
    function = GainFunction(GAIN_FUNCTIONS[world.scenario.gain.function], scale)
    total = 0.0
    for cr in range(rollout.model.shape[-2]):
        model, samples = rollout.model[cr], rollout.sensed[cr]
        worth = world.offers[cr].correlation.gather(-1, model.unsqueeze(-1)).squeeze(-1) ** exponent
        if isinstance(regime, Contention):
            got = torch.zeros(len(regime.weight), dtype=samples.dtype).scatter_add(-1, model, worth * samples)
            total += float((regime.weight * function(got)).sum())
        else:
            total += float((worth * function(samples)).sum())
    return total
