"""The measured gain: how much a model's held-out loss falls, as regressed on trainings of real classifiers."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from gainnet.core.errors import ModelError, system_reason
from gainnet.orchestration.rollout import Rollout
from gainnet.orchestration.world import World

MEASURED = Path(__file__).parent / "measured.json"
"""The regression of the shipped fit."""

INPUTS = ("loss", "class_samples", "other_own_samples", "foreign_samples", "samples_per_client", "class_share")
DEGREE = 2
_SCALE_SAMPLES = 20.0
_LEAST_LOSS, _MOST_LOSS = 0.02, 8.0
_RARE = 0.005
_COLUMNS = ("weight", "mean", "deviation", "low", "high")


@final
@dataclass(frozen=True)
class Lesson:
    """Everything that models are trained with in a round.

    Args:
        samples: [*batch, num_models, num_classes], samples of each label that a model's clients train with.
        num_clients: [*batch, num_models], clients that train with any.
        own: [num_models, num_classes], shares of the labels in each model's own domains; they sum to 1.
    """

    samples: Tensor
    num_clients: Tensor
    own: Tensor


def lesson_of(model: Tensor, trained: Tensor, shares: Tensor, own: Tensor) -> Lesson:
    """The lesson of a round.

    Args:
        model: [*batch, num_clients], int64, model that each client serves.
        trained: [*batch, num_clients], samples that it trains with.
        shares: [*batch, num_clients, num_classes], shares of the labels in what it senses.
        own: as `Lesson.own`.
    """
    served = torch.nn.functional.one_hot(model, len(own)).to(shares.dtype)
    samples = torch.einsum("...nm,...n,...nc->...mc", served, trained, shares)
    return Lesson(samples, (served * (trained > 0).unsqueeze(-1)).sum(-2), own)


@final
@dataclass(frozen=True)
class MeasuredGain:
    """Fall of the loss of every label of a model's own domains, fitted by ridge regression.

    The logarithm of the loss falls by a polynomial of degree 2, so that losses stay positive.
    Inputs are the label's loss, the logarithms of the samples of that label, of the model's other labels, of foreign
    labels, and of samples per client, and the label's share of all samples.

    Args:
        weight: [num_terms], of the monomials of the standardised inputs.
        mean: [num_inputs], of the inputs in the data of the fit.
        deviation: [num_inputs].
        low: [num_inputs], what the data of the fit hardly fell below; no input counts as less.
        high: [num_inputs], what they hardly exceeded.
        first_loss: of every label before training.
    """

    weight: Tensor
    mean: Tensor
    deviation: Tensor
    low: Tensor
    high: Tensor
    first_loss: float

    def falls(self, loss: Tensor, lesson: Lesson) -> Tensor:
        """[*batch, num_models, num_classes], fall of the loss of every label; 0 where a model trains with nothing.

        Args:
            loss: [*batch, num_models, num_classes], before the round.
            lesson: what the round trains with.
        """
        # A polynomial knows nothing beyond its data, and would say much.
        inputs = inputs_of(loss, lesson).clamp(self.low, self.high)
        found = monomials((inputs - self.mean) / self.deviation) @ self.weight
        after = (loss * torch.exp(-found)).clamp(_LEAST_LOSS, _MOST_LOSS)
        return torch.where(lesson.samples.sum(-1, keepdim=True) > 0, loss - after, 0.0)

    def gain(self, loss: Tensor, lesson: Lesson, weight: Tensor) -> Tensor:
        """[*batch], weighted fall of all models on their own domains.

        Args:
            loss: [*batch, num_models, num_classes], before the round.
            lesson: what the round trains with.
            weight: [num_models], of each model.
        """
        return (weight * (lesson.own * self.falls(loss, lesson)).sum(-1)).sum(-1)

    def of_rollout(self, world: World, rollout: Rollout, labels: Tensor) -> Tensor:
        """[*batch, num_rounds], gain of every round, with losses that fall as predicted from round to round.

        Args:
            world: where it was played.
            rollout: what was decided and consumed.
            labels: [num_domains, num_classes], shares of the labels in each domain.
        """
        own, weight = own_labels(world, labels), torch.tensor([m.weight for m in world.scenario.models]).double()
        loss = torch.full((*world.batch, *own.shape), self.first_loss, dtype=torch.float64)
        gains = []
        for cr in range(rollout.model.shape[-2]):
            shares = domains_seen(world, cr) @ labels
            lesson = lesson_of(rollout.model[..., cr, :], rollout.trained[..., cr, :], shares, own)
            falls = self.falls(loss, lesson)
            gains.append((weight * (own * falls).sum(-1)).sum(-1))
            loss = loss - falls
        return torch.stack(gains, -1)


def domains_seen(world: World, cr: int) -> Tensor:
    """[*batch, num_clients, num_domains], distribution of what each client senses; even where it sees nothing."""
    seen = torch.maximum(world.num_wireless[..., cr, :, :], world.num_visual[..., cr, :, :])
    total = seen.sum(-1, keepdim=True)
    return torch.where(total > 0, seen / total.clamp_min(1), 1 / seen.shape[-1])


def own_labels(world: World, labels: Tensor) -> Tensor:
    """[num_models, num_classes], shares of the labels in each model's own domains.

    Args:
        world: whose models.
        labels: [num_domains, num_classes], shares of the labels in each domain.
    """
    domains = torch.tensor([model.domains for model in world.scenario.models], dtype=torch.float64)
    return domains / domains.sum(-1, keepdim=True) @ labels


def inputs_of(loss: Tensor, lesson: Lesson) -> Tensor:
    """[*batch, num_models, num_classes, 6], the values of `INPUTS`.

    Args:
        loss: [*batch, num_models, num_classes], before the round.
        lesson: what it trains with.
    """
    samples, is_own = lesson.samples, (lesson.own > 0).to(lesson.samples.dtype)
    total = samples.sum(-1, keepdim=True)
    own = (samples * is_own).sum(-1, keepdim=True)
    per_client = total / lesson.num_clients.clamp_min(1).unsqueeze(-1)

    def log(x: Tensor) -> Tensor:
        return torch.log1p(x.clamp_min(0.0) / _SCALE_SAMPLES).expand_as(samples)

    columns = (loss, log(samples), log(own - samples * is_own), log(total - own), log(per_client))
    return torch.stack([*columns, samples / total.clamp_min(1e-9)], -1)


@lru_cache
def _exponents(num_inputs: int) -> tuple[tuple[int, ...], ...]:
    choices = (itertools.combinations_with_replacement(range(num_inputs), degree) for degree in range(DEGREE + 1))
    return tuple(itertools.chain.from_iterable(choices))


def monomials(inputs: Tensor) -> Tensor:
    """[..., num_terms], all products of up to 2 of the inputs [..., num_inputs], the empty one first.

    >>> monomials(torch.tensor([2.0])).tolist()
    [1.0, 2.0, 4.0]
    """
    columns = [inputs[..., list(chosen)].prod(-1) for chosen in _exponents(inputs.shape[-1])]
    return torch.stack(columns, -1)


def fit_measured(loss: Tensor, after: Tensor, lesson: Lesson, ridge: float = 1e-3) -> MeasuredGain:
    """The regression of given rounds, on labels of the models' own domains alone.

    Args:
        loss: [num_rounds, num_models, num_classes], before each round.
        after: [num_rounds, num_models, num_classes], after it.
        lesson: of the same batch.
        ridge: penalty per round and label > 0.
    """
    used = ((lesson.own > 0) & (lesson.samples.sum(-1, keepdim=True) > 0)).expand_as(loss)
    inputs, target = inputs_of(loss, lesson)[used], (loss.log() - after.log())[used]
    low, high = inputs.quantile(_RARE, 0), inputs.quantile(1 - _RARE, 0)
    inputs = inputs.clamp(low, high)
    mean, deviation = inputs.mean(0), inputs.std(0).clamp_min(1e-6)
    terms = monomials((inputs - mean) / deviation)
    normal = terms.T @ terms + ridge * len(terms) * torch.eye(terms.shape[-1], dtype=terms.dtype)
    weight = torch.linalg.solve(normal, terms.T @ target)
    return MeasuredGain(weight, mean, deviation, low, high, float(loss[0].mean()))


def to_plain(gain: MeasuredGain) -> dict[str, Any]:
    """The regression as plain values; see `from_plain`."""
    columns = {name: getattr(gain, name).tolist() for name in _COLUMNS}
    return {"kind": "measured gain", "inputs": list(INPUTS), "degree": DEGREE, "first_loss": gain.first_loss, **columns}


def from_plain(values: Mapping[str, Any]) -> MeasuredGain:
    """The regression that `to_plain` wrote; raises `ModelError` where it is another kind or damaged."""
    if values.get("kind") != "measured gain" or values.get("inputs") != list(INPUTS) or values.get("degree") != DEGREE:
        raise ModelError("measured gain: these are no values of it; fit it again")
    columns = {name: torch.tensor(values[name], dtype=torch.float64) for name in _COLUMNS}
    found = MeasuredGain(**columns, first_loss=float(values["first_loss"]))
    sizes = [len(x) for x in columns.values()]
    expected = [len(_exponents(len(INPUTS))), *[len(INPUTS)] * (len(_COLUMNS) - 1)]
    if sizes != expected or not all(bool(x.isfinite().all()) for x in columns.values()):
        raise ModelError("measured gain: its numbers are damaged; fit it again")
    return found


def load_measured(path: Path = MEASURED) -> MeasuredGain:
    """The shipped regression, or that of a JSON file.

    Raises:
        ModelError: it is another kind or damaged.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"measured gain: {path} is missing or damaged ({system_reason(error)}); fit it again"
        ) from None
    return from_plain(values)
