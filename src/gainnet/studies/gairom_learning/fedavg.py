"""Federated averaging of small classifiers, all clients of a round side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.studies.gairom_learning.digits import NUM_CLASSES, NUM_PIXELS


@final
@dataclass(frozen=True)
class Perceptrons:
    """Several perceptrons with one hidden layer of the same size.

    Args:
        hidden: [num, 64 + 1, width], weights and, last, biases.
        output: [num, width + 1, 10].
    """

    hidden: Tensor
    output: Tensor

    @staticmethod
    def drawn(num: int, width: int, random: Random) -> Perceptrons:
        """Freshly drawn (He et al. 2015), each its own; `random` is of one item."""
        hidden = random.normal((num, NUM_PIXELS + 1, width), "hidden") * (2 / NUM_PIXELS) ** 0.5
        output = random.normal((num, width + 1, NUM_CLASSES), "output") * (1 / width) ** 0.5
        hidden[:, -1] = output[:, -1] = 0.0
        return Perceptrons(hidden, output)

    def of(self, index: Tensor) -> Perceptrons:
        """Copies of some of them, [num_chosen]."""
        return Perceptrons(self.hidden[index], self.output[index])

    def __call__(self, images: Tensor) -> Tensor:
        """Logits [num, num_images, 10] of images [num, num_images, 64]."""
        middle = torch.relu(images @ self.hidden[:, :-1] + self.hidden[:, -1:])
        return middle @ self.output[:, :-1] + self.output[:, -1:]


@final
@dataclass(frozen=True)
class Samples:
    """Samples of every client in a round.

    Args:
        images: [num_clients, most, 64], the first `num` of each client count.
        labels: [num_clients, most], int64.
        num: [num_clients], int64.
    """

    images: Tensor
    labels: Tensor
    num: Tensor


def local_steps(start: Perceptrons, samples: Samples, batch_size: int, learning_rate: float) -> Perceptrons:
    """Every client's perceptron after one pass of stochastic gradient descent over its samples.

    A client without samples in a batch stands still; its gradient is that of the mean loss over the batch.

    Args:
        start: [num_clients], where each client starts.
        samples: what each trains with.
        batch_size: samples per step >= 1.
        learning_rate: step size > 0.
    """
    hidden, output = start.hidden, start.output
    for begin in range(0, samples.labels.shape[1], batch_size):
        part = slice(begin, begin + batch_size)
        counted = torch.arange(samples.labels.shape[1])[part] < samples.num.unsqueeze(-1)
        # All clients in one product of matrices; the sum of their losses keeps their gradients apart.
        now = Perceptrons(hidden.detach().requires_grad_(), output.detach().requires_grad_())
        logits = now(samples.images[:, part])
        losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), samples.labels[:, part], reduction="none")
        loss = ((losses * counted).sum(-1) / counted.sum(-1).clamp_min(1)).sum()
        slopes = torch.autograd.grad(loss, (now.hidden, now.output))
        hidden, output = (x.detach() - learning_rate * g for x, g in zip((now.hidden, now.output), slopes, strict=True))
    return Perceptrons(hidden, output)


def average_by_model(models: Perceptrons, local: Perceptrons, model_of_client: Tensor, num: Tensor) -> Perceptrons:
    """Every model as the mean of its clients' perceptrons, weighted by their samples (McMahan et al. 2017).

    Args:
        models: [num_models], kept where no client trained.
        local: [num_clients], what the clients made of them.
        model_of_client: [num_clients], int64.
        num: [num_clients], samples.

    >>> one = Perceptrons.drawn(2, 4, Random.of(0))
    >>> both = average_by_model(one.of(torch.tensor([0])), one, torch.tensor([0, 0]), torch.tensor([1, 3]))
    >>> bool(torch.isclose(both.hidden[0], one.hidden[0] / 4 + 3 * one.hidden[1] / 4).all())
    True
    """
    num_models = len(models.hidden)
    weight = torch.nn.functional.one_hot(model_of_client, num_models).T * num
    total = weight.sum(-1, keepdim=True)
    share = (weight / total.clamp_min(1)).float()
    # A model that nobody trained stays as it is, where a mean of nothing would be zero.
    kept = (total == 0).float().unsqueeze(-1)
    means = (torch.einsum("mn,nij->mij", share, x) for x in (local.hidden, local.output))
    return Perceptrons(*(mean + kept * old for mean, old in zip(means, (models.hidden, models.output), strict=True)))


def accuracy(models: Perceptrons, images: Tensor, labels: Tensor) -> Tensor:
    """[num_models], share of images that each gets right.

    Args:
        models: [num_models].
        images: [num_images, 64], the same for all.
        labels: [num_images], int64.
    """
    with torch.no_grad():
        return (models(images).argmax(-1) == labels).float().mean(-1)


def class_losses(models: Perceptrons, images: Tensor, labels: Tensor) -> Tensor:
    """[num_models, 10], mean cross-entropy in nats of every digit, float64; 0 for one that no image has.

    Args:
        models: [num_models].
        images: [num_images, 64], the same for all.
        labels: [num_images], int64.
    """
    with torch.no_grad():
        nats = -models(images).log_softmax(-1)[:, torch.arange(len(labels)), labels].double()
    digit = torch.nn.functional.one_hot(labels, NUM_CLASSES).double()
    return nats @ digit / digit.sum(0).clamp_min(1.0)
