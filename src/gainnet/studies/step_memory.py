"""Memory and FLOPs of a step on a device, at shapes of models that need not be in memory to be counted.

`held`: parameters, gradients, moments of Adam and saved tensors, as `StepCost` adds them up.
`peak`: the largest sum at any moment of a step, by torch's own tracker of memory, temporary tensors included.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Final, final

import torch
from torch import Tensor, nn

from gainnet.catalog.learning import open_model
from gainnet.learning.algorithms.costs import split_step_cost, whole_step_cost
from gainnet.learning.algorithms.fedavg import plain_step
from gainnet.learning.split.halves import Take, crossing_shapes, device_half
from gainnet.learning.split.model import Cut, SplitModel
from gainnet.models.language import task_of

STATES_PER_VALUE: Final = 2
"""Of Adam."""


@final
@dataclass(frozen=True)
class Shape:
    """A model whose step is counted.

    Args:
        build: makes it; under fake tensors where it is large.
        batch_size: rows.
        row_length: tokens per row.
        context: under which it is built and counted.
    """

    build: Callable[[], Any]
    batch_size: int
    row_length: int
    context: Callable[[], AbstractContextManager[Any]]


def _gpt2() -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(GPT2Config())


def _llama() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    # The sizes of Llama 3.2 1B, whose embeddings are tied.
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=128256, hidden_size=2048, intermediate_size=8192, num_hidden_layers=16, num_attention_heads=32,
            num_key_value_heads=8, tie_word_embeddings=True,
        )
    )  # fmt: skip


def without_values() -> AbstractContextManager[Any]:
    """While it lasts, tensors have shapes and no values: a model of any size is counted in seconds."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    mode: AbstractContextManager[Any] = FakeTensorMode()
    return mode


SHAPES: Final[Mapping[str, Shape]] = {
    "toy": Shape(lambda: open_model("abstracts")[0], 8, 72, nullcontext),
    "gpt2": Shape(_gpt2, 2, 128, without_values),
    "llama": Shape(_llama, 2, 128, without_values),
}
"""The shipped model, GPT-2 small (124 million values) and Llama 3.2 1B (1,236 million)."""


def step_memory(name: str) -> dict[str, float]:
    """Memory in bytes and FLOPs of a step on the device of both cuts, and of the whole model, with Adam.

    Args:
        name: a key of `SHAPES`.
    """
    shape = SHAPES[name]
    with shape.context():
        model = shape.build().eval()
        rows = torch.zeros(shape.batch_size, shape.row_length, dtype=torch.long)
        whole = whole_step_cost(model, rows)
        found = {"held_bytes.whole": whole.device_memory_bytes(STATES_PER_VALUE), "flops.whole": whole.device_flops}
        found["peak_bytes.whole"] = _peak([model], model.parameters(), lambda: plain_step(model, rows))
        for cut in (Cut(), Cut(0, head_on_device=True)):
            cost = split_step_cost(model, cut, rows)
            found[f"held_bytes.{cut.name}"] = cost.device_memory_bytes(STATES_PER_VALUE)
            found[f"flops.{cut.name}"] = cost.device_flops
            alone = DeviceAlone.of(model, cut, rows)
            found[f"peak_bytes.{cut.name}"] = _peak(alone.segments, alone.split.parameters("device"), alone.step)
    return found


@final
@dataclass(frozen=True)
class DeviceAlone:
    """The device's half of a step, answered with zeros in the place of an edge.

    Args:
        split: the model.
        tokens: [batch, length].
        labels: [batch, length].
        shapes: of what crosses, by name.
    """

    split: SplitModel
    tokens: Tensor
    labels: Tensor
    shapes: Mapping[str, tuple[int, ...]]

    @staticmethod
    def of(model: Any, cut: Cut, rows: Tensor) -> DeviceAlone:
        """Of a mini-batch of rows [batch, length]."""
        split, (tokens, labels) = SplitModel.of(model, cut), task_of(model, rows)
        tied = {device: tuple(split.whole.get_parameter(device).shape) for device, _ in split.tied}
        return DeviceAlone(split, tokens, labels, {**crossing_shapes(split, tokens, labels), **tied})

    @property
    def segments(self) -> list[nn.Module]:
        """Front and tail, on the device."""
        return [self.split.front, *self.split.segments[2:]]

    def step(self) -> None:
        """Gradients of the device's part."""
        half, answer = device_half(self.split, self.tokens, self.labels), None
        while True:
            try:
                event = half.send(answer)
            except StopIteration:
                return
            answer = None
            if isinstance(event, Take):
                answer = {name: torch.zeros(self.shapes[name]) for name in event.names}, torch.tensor(True)


@contextmanager
def _without_collection() -> Iterator[None]:
    """While it lasts, cycles are not collected: when that happens depends on what ran before."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _peak(modules: Iterable[nn.Module], parameters: Iterable[nn.Parameter], step: Callable[[], object]) -> float:
    """Bytes at the largest moment of a step and Adam's, which is fused: others hold temporary copies of a parameter."""
    from torch.distributed._tools.mem_tracker import MemTracker

    optimizer, tracker = torch.optim.AdamW(parameters, weight_decay=0.0, fused=True), MemTracker()
    tracker.track_external(*modules, optimizer)
    with _without_collection(), tracker:
        # Moments are made by the first step; the second one is as all that follow.
        for _ in range(2):
            step()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            tracker.reset_mod_stats()
    (snapshot,) = tracker.get_tracker_snapshot("peak").values()
    return float(snapshot["Total"])
