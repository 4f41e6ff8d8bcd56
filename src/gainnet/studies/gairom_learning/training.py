"""Question and methods of gairom-learning: a policy plays a world, then models are trained on what it achieves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, final

import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.orchestration import Rollout, World
from gainnet.orchestration.measured import domains_seen
from gainnet.studies.gairom_learning.digits import Digits
from gainnet.studies.gairom_learning.fedavg import Perceptrons, Samples, accuracy, average_by_model, local_steps


class TrainingNumbers(Protocol):
    """The numbers of a client's training."""

    @property
    def width(self) -> int:
        """Hidden units of a classifier."""

    @property
    def batch_size(self) -> int:
        """Samples per step."""

    @property
    def learning_rate(self) -> float:
        """Step size."""


def trained_accuracy(
    world: World, rollout: Rollout, train: Digits, test: Digits, config: TrainingNumbers, random: Random
) -> Tensor:
    """[num_models], accuracy of every model on its own domains after all rounds of federated averaging.

    Args:
        world: one world, without batch.
        rollout: what a policy did there.
        train: images that clients see.
        test: images for the accuracy.
        config: width of the models, batch size and learning rate of the clients.
        random: streams of one item: initial weights and samples, the same for all policies.
    """
    lessons = Lessons(world, train, config, random)
    models = lessons.start()
    for cr in range(world.scenario.rounds.num_rounds):
        models = lessons.after(models, cr, rollout.model[cr], rollout.trained[cr])
    return own_accuracy(world, models, test)


@final
@dataclass(frozen=True)
class Lessons:
    """Federated averaging of one model per domain on what clients sense and consume, round by round.

        round r:  model m --> its clients, one pass over the samples that they consume --> weighted mean = model m

    A client that senses targets of several domains gets its images from them in that proportion, since it cannot tell
    domains apart; that is what data correlation is about.

    Args:
        world: one world, without batch.
        train: images that clients see.
        config: width of the models, batch size and learning rate of the clients.
        random: streams of one item: initial weights and samples, the same for all policies.
    """

    world: World
    train: Digits
    config: TrainingNumbers
    random: Random

    def start(self) -> Perceptrons:
        """Untrained models."""
        # No policy in the key: all of them start from the same weights.
        return Perceptrons.drawn(len(self.world.scenario.models), self.config.width, self.random.child("weights"))

    def after(self, models: Perceptrons, cr: int, model: Tensor, trained: Tensor) -> Perceptrons:
        """The models after a round.

        Args:
            models: before it.
            cr: number of the round.
            model: [num_clients], int64, model that each client serves.
            trained: [num_clients], samples that it consumes.
        """
        num = trained.round().long()
        samples = _samples(self.train, domains_seen(self.world, cr), num, self.random.child("samples", cr))
        if not samples.labels.shape[1]:
            return models
        local = local_steps(models.of(model), samples, self.config.batch_size, self.config.learning_rate)
        return average_by_model(models, local, model, num)


def own_accuracy(world: World, models: Perceptrons, test: Digits) -> Tensor:
    """[num_models], accuracy on each model's own domains.

    Args:
        world: whose models' domains count.
        models: [num_models].
        test: images.
    """
    weights = torch.tensor([model.domains for model in world.scenario.models], dtype=torch.float64)
    by_domain = torch.stack([accuracy(models, *test.of_domain(d)) for d in range(weights.shape[-1])], -1)
    return (by_domain * weights).sum(-1) / weights.sum(-1)


def _samples(train: Digits, domains: Tensor, num: Tensor, random: Random) -> Samples:
    """Images of every client: a domain by its distribution, then any image of it, with replacement."""
    shape = (len(num), int(num.max()))
    domain = torch.searchsorted(domains.cumsum(-1).contiguous(), random.uniform(shape, "domain").double())
    domain = domain.clamp_max(domains.shape[-1] - 1)
    first, most = train.first[domain], train.first[domain + 1] - train.first[domain]
    # With replacement, because a policy may consume more samples than a domain has images.
    image = first + (random.uniform(shape, "image") * most).long().minimum(most - 1)
    return Samples(train.images[image], train.labels[image], num)
