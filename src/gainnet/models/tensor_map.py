"""A part that is a function of tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import final

from gainnet.core.randomness import Random
from gainnet.core.types import Spec, Tensors
from gainnet.models.part import Role


@final
@dataclass(frozen=True)
class TensorMap:
    """A part made of a function; by default one without weights, whose work costs nothing.

    Args:
        name: of the part.
        reads: names of the tensors that the function takes.
        writes: shape of every tensor that it returns, by name.
        function: (tensors, random) -> tensors, [*batch, *spec.shape] each.
        role: in a diffusion pipeline.
        num_passes: forward passes per item.
        flops: floating-point operations per item.
        memory_bytes: of its parameters.

    >>> import torch
    >>> double = TensorMap("double", ("x",), {"y": Spec((2,))}, lambda tensors, random: {"y": 2 * tensors["x"]})
    >>> double({"x": torch.ones(1, 2)}, Random.of(0))
    {'y': tensor([[2., 2.]])}
    """

    name: str
    reads: tuple[str, ...]
    writes: Mapping[str, Spec]
    function: Callable[[Tensors, Random], Tensors] = field(repr=False)
    role: Role = "other"
    num_passes: float = 1
    flops: float = 0.0
    memory_bytes: float = 0.0

    def __call__(self, tensors: Tensors, random: Random) -> Tensors:
        return self.function(tensors, random)
