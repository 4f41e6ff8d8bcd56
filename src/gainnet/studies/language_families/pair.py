"""A model beside the same model cut: one step each, with the same keyed dropout."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.learning.split.halves import split_step
from gainnet.learning.split.model import Cut, SplitModel, logits_of
from gainnet.models.dropout import keyed_dropout
from gainnet.models.language import inputs_of, task_of
from gainnet.models.language_families import language_family_of

NUM_ROWS, ROW_LENGTH = 3, 12


class Differences(NamedTuple):
    """Largest differences between a cut and an uncut model, and what they are to be held against.

    Args:
        logits: over all entries.
        gradients: over all entries of all parameters.
        loss: of the step, beside the loss of transformers.
        largest_logit: of the uncut model, absolute.
        largest_gradient: of the uncut model, absolute.
        other_masks: of logits to those with masks of another key; 0 where a model has no dropout.
    """

    logits: float
    gradients: float
    loss: float
    largest_logit: float
    largest_gradient: float
    other_masks: float


def compare(model: Any, cut: Cut, random: Random) -> Differences:
    """One step of a model in training mode, whole by transformers' own loss, and cut.

    Args:
        model: float32, with eager attention.
        cut: where.
        random: one item; draws rows and masks.
    """
    rows, masks = _rows(model, random), random.child("masks")
    given, labels = task_of(model, rows)
    whole = copy.deepcopy(model)
    logits, loss = _uncut_step(whole, given, labels, masks)
    split = SplitModel.of(model, cut)
    with torch.no_grad(), keyed_dropout(split.segments, masks):
        found = logits_of(split, inputs_of(model, given, labels))
    with keyed_dropout(split.segments, masks):
        stepped = split_step(split, given, labels, _Direct())
    with torch.no_grad(), keyed_dropout([whole], masks.child("other")):
        other = whole(**inputs_of(whole, given, labels), use_cache=False).logits
    slopes = {name: _slope(p) for name, p in whole.named_parameters()}
    gaps = [float((_slope(p) - slopes[name]).abs().max()) for name, p in model.named_parameters()]
    return Differences(
        float((found - logits).abs().max()),
        max(gaps),
        abs(float(stepped) - loss),
        float(logits.abs().max()),
        max(float(x.abs().max()) for x in slopes.values()),
        float((other - logits).abs().max()),
    )


def _uncut_step(whole: Any, given: Tensor, labels: Tensor, masks: Random) -> tuple[Tensor, float]:
    """Logits and loss of transformers; gradients are in the model afterwards."""
    # Classes of pictures are one number per row there.
    wanted = labels[:, 0] if language_family_of(whole).name == "vision" else labels.contiguous()
    with keyed_dropout([whole], masks):
        output = whole(**inputs_of(whole, given, labels), labels=wanted, use_cache=False)
        output.loss.backward()
    return output.logits.detach(), float(output.loss.detach())


def _rows(model: Any, random: Random) -> Tensor:
    generator = random.generators("rows")[0]
    if language_family_of(model).name == "vision":
        given, _ = language_family_of(model).probe(model)
        pictures = torch.from_numpy(generator.standard_normal((NUM_ROWS, given[0].numel())))
        classes = torch.from_numpy(generator.integers(model.config.num_labels, size=(NUM_ROWS, 1)))
        return torch.cat([classes, pictures], dim=1)
    # The first words are marks of ends and padding.
    return torch.from_numpy(generator.integers(3, model.config.vocab_size - 1, size=(NUM_ROWS, ROW_LENGTH)))


def _slope(p: Tensor) -> Tensor:
    return torch.zeros_like(p) if p.grad is None else p.grad


class _Direct:
    """A `Crossing` without loss."""

    def up(self, kind: str, tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        return dict(tensors), torch.tensor(True)

    down = up

    def computed(self, segment: str) -> None:
        pass
