"""Question and methods of gairom-learning: a policy plays a world, then models are trained on what it achieves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Literal, final

import torch
from pydantic import Field
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.orchestration import Rollout, World
from gainnet.studies.gairom.arena import Learned, arena, scenario_of_regime
from gainnet.studies.gairom.question import LEARNED, UNTRAINED, players
from gainnet.studies.gairom_learning.digits import Digits, load_digits
from gainnet.studies.gairom_learning.fedavg import Perceptrons, Samples, accuracy, average_by_model, local_steps
from gainnet.studies.settings import Natural, NonEmpty, Positive, Seeds, one_of
from gainnet.studies.study import Case, Method, Row

METHODS = (*UNTRAINED, LEARNED)


@final
@dataclass(frozen=True)
class LearningConfig:
    """Settings of the study gairom-learning.

    Args:
        random_seeds: each draws a world, initial weights and samples.
        training_seeds: of the learned policies.
        regimes: independent, contention.
        policies: those without weights.
        width: hidden units of a classifier.
        batch_size: samples per step of stochastic gradient descent.
        learning_rate: its step size.
    """

    random_seeds: Seeds
    training_seeds: tuple[Natural, ...]
    regimes: NonEmpty[Literal["independent", "contention"]]
    policies: tuple[Annotated[str, one_of(UNTRAINED)], ...]
    width: Annotated[int, Field(ge=1, le=4096)]
    batch_size: Annotated[int, Field(ge=1, le=4096)]
    learning_rate: Positive


def cases(config: LearningConfig) -> Iterator[Case]:
    """Regime and world outermost."""
    for regime, random_seed in product(config.regimes, config.random_seeds):
        for method, training_seed in players(config.policies, config.training_seeds):
            yield Case(method, {"regime": regime, "training_seed": training_seed}, random_seed)


def trained_accuracy(
    world: World, rollout: Rollout, train: Digits, test: Digits, config: LearningConfig, random: Random
) -> Tensor:
    """[num_models], accuracy of every model on its own domains after all rounds of federated averaging.

        round r:  model m --> its clients, one pass over the samples that they consume --> weighted mean = model m

    A client that senses targets of several domains gets its images from them in that proportion, since it cannot tell
    domains apart; that is what data correlation is about.

    Args:
        world: one world, without batch.
        rollout: what a policy did there.
        train: images that clients see.
        test: images for the accuracy.
        config: width of the models, batch size and learning rate of the clients.
        random: streams of one item: initial weights and samples, the same for all policies.
    """
    num_models = len(world.scenario.models)
    # No policy in the key: all of them start from the same weights.
    models = Perceptrons.drawn(num_models, config.width, random.child("weights"))
    for cr in range(world.scenario.rounds.num_rounds):
        num = rollout.trained[cr].round().long()
        samples = _samples(train, _domains_seen(world, cr), num, random.child("samples", cr))
        if samples.labels.shape[1]:
            local = local_steps(models.of(rollout.model[cr]), samples, config.batch_size, config.learning_rate)
            models = average_by_model(models, local, rollout.model[cr], num)
    weights = torch.tensor([model.domains for model in world.scenario.models], dtype=torch.float64)
    by_domain = torch.stack([accuracy(models, *test.of_domain(d)) for d in range(weights.shape[-1])], -1)
    return (by_domain * weights).sum(-1) / weights.sum(-1)


def _domains_seen(world: World, cr: int) -> Tensor:
    """[num_clients, num_domains], distribution of what each client senses; even where it sees nothing."""
    seen = torch.maximum(world.num_wireless[cr], world.num_visual[cr])
    total = seen.sum(-1, keepdim=True)
    return torch.where(total > 0, seen / total.clamp_min(1), 1 / seen.shape[-1])


def _samples(train: Digits, domains: Tensor, num: Tensor, random: Random) -> Samples:
    """Images of every client: a domain by its distribution, then any image of it, with replacement."""
    shape = (len(num), int(num.max()))
    domain = torch.searchsorted(domains.cumsum(-1).contiguous(), random.uniform(shape, "domain").double())
    domain = domain.clamp_max(domains.shape[-1] - 1)
    first, most = train.first[domain], train.first[domain + 1] - train.first[domain]
    # With replacement, because a policy may consume more samples than a domain has images.
    image = first + (random.uniform(shape, "image") * most).long().minimum(most - 1)
    return Samples(train.images[image], train.labels[image], num)


def methods(config: LearningConfig, learned: Learned) -> Mapping[str, Method]:
    """Every method by name."""
    num_domains = max(scenario_of_regime(regime).num_domains for regime in config.regimes)
    train, test = load_digits(num_domains)

    def learn(case: Case, random: Random) -> Row:
        regime = case.text("regime")
        here = arena(scenario_of_regime(regime), regime, case.random_seed)
        rollout, _ = here.play(learned.player(case, here.world.scenario, regime))
        accuracies = trained_accuracy(here.world, rollout, train, test, config, random.child("learning"))
        return {
            "gain": float(rollout.gain.sum()),
            "accuracy": float(accuracies.mean()),
            **{f"accuracy_of_model_{m + 1}": float(x) for m, x in enumerate(accuracies)},
            "num_samples_trained": float(rollout.trained.sum()),
        }

    return dict.fromkeys(METHODS, learn)
