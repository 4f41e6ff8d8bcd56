"""Cost of a training step: floating-point operations and memory, counted while it runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from gainnet.learning.split.halves import split_step
from gainnet.learning.split.model import Cut, SplitModel
from gainnet.models.language import inputs_of, loss_of, task_of

ON_DEVICE = ("front", "tail", "front_backward")
"""Segments of a split step that run on the device."""


@final
@dataclass(frozen=True)
class StepCost:
    """Cost of one mini-batch on the device and on the edge.

    Args:
        device_flops: floating-point operations on the device (a multiply-add counts two), forward and backward.
        edge_flops: on the edge.
        device_parameter_bytes: of all parameters that the device holds.
        device_trained_bytes: of those that it trains; gradients take as much, and the optimizer a multiple.
        device_saved_bytes: of the tensors that it keeps for the backward pass, each storage once, without parameters.
        flops_of_segment: FLOPs by segment, for the ledger.

    >>> StepCost(1.0, 0.0, 400.0, 400.0, 100.0).device_memory_bytes(states_per_value=2)
    1700.0
    """

    device_flops: float
    edge_flops: float
    device_parameter_bytes: float
    device_trained_bytes: float
    device_saved_bytes: float
    flops_of_segment: Mapping[str, float] = field(default_factory=dict)

    def device_memory_bytes(self, states_per_value: int) -> float:
        """Parameters, gradients, optimizer state and saved tensors of the device.

        Args:
            states_per_value: numbers that the optimizer keeps per trained parameter; 2 for Adam.
        """
        trained = (1 + states_per_value) * self.device_trained_bytes
        return self.device_parameter_bytes + trained + self.device_saved_bytes


def whole_step_cost(model: Any, rows: Tensor) -> StepCost:
    """A step of the whole model on the device; parameters that are locked are held and not trained.

    Args:
        model: of transformers, its gradients are cleared.
        rows: [batch, length], tokens.
    """
    counted = _Count(model.parameters())
    with counted.flops, counted.hooks:
        tokens, labels = task_of(model, rows)
        loss_of(model, model(**inputs_of(model, tokens, labels), use_cache=False).logits, labels).backward()
    model.zero_grad(set_to_none=True)
    trained = (p for p in model.parameters() if p.requires_grad)
    flops = float(counted.flops.get_total_flops())
    return StepCost(flops, 0.0, _num_bytes(model.parameters()), _num_bytes(trained), float(counted.take()))


def split_step_cost(model: Any, cut: Cut, rows: Tensor) -> StepCost:
    """A step of a model that is cut; arguments as `whole_step_cost`."""
    split = SplitModel.of(model, cut)
    counted = _Count([*split.parameters("device"), *split.parameters("edge")])
    with counted.flops, counted.hooks:
        split_step(split, *task_of(model, rows), counted)
    for p in (*split.parameters("device"), *split.parameters("edge")):
        p.grad = None
    device = sum(counted.flops_of_segment[s] for s in ON_DEVICE)
    held = _num_bytes(split.parameters("device"))
    trained = _num_bytes(p for p in split.parameters("device") if p.requires_grad)
    saved = sum(counted.bytes_of_segment[s] for s in ON_DEVICE)
    total = float(counted.flops.get_total_flops())
    return StepCost(device, total - device, held, trained, float(saved), dict(counted.flops_of_segment))


@final
class _Count:
    """Counts FLOPs and saved bytes; as a `Crossing` it notes what each segment added."""

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        self.flops = FlopCounterMode(display=False)
        self.flops_of_segment: dict[str, float] = defaultdict(float)
        self.bytes_of_segment: dict[str, float] = defaultdict(float)
        self._num_flops = 0.0
        self._known = {p.untyped_storage()._cdata for p in parameters}
        self._saved: list[Tensor] = []
        self._num_taken = 0
        self.hooks: AbstractContextManager[Any] = saved_tensors_hooks(self._keep, lambda x: x)

    def _keep(self, x: Tensor) -> Tensor:
        # By storage: views of one tensor take its memory once.
        key = x.untyped_storage()._cdata
        if key not in self._known:
            self._known.add(key)
            self._saved.append(x)  # while it lives no other tensor gets its storage
        return x

    def take(self) -> int:
        """Bytes that were saved since the last call."""
        fresh, self._num_taken = self._saved[self._num_taken :], len(self._saved)
        return sum(x.untyped_storage().nbytes() for x in fresh)

    def computed(self, segment: str) -> None:
        now = float(self.flops.get_total_flops())
        self.flops_of_segment[segment] += now - self._num_flops
        self.bytes_of_segment[segment] += self.take()
        self._num_flops = now

    def up(self, kind: str, tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        return dict(tensors), torch.tensor(True)

    down = up


def _num_bytes(parameters: Iterable[Tensor]) -> float:
    return float(sum({id(p): p.numel() * p.element_size() for p in parameters}.values()))
