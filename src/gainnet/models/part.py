"""A generative model is a set of parts; each names what it reads and writes."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, cast, final

from gainnet.core.randomness import Random
from gainnet.core.types import Spec, Tensors

Role = Literal["text_encoder", "prior", "denoiser", "decoder", "image_encoder", "other"]


class Part(Protocol):
    """Work that one node does in one go.

    tensors it reads --> [ part ] --> tensors it writes
    """

    @property
    def name(self) -> str: ...

    @property
    def role(self) -> Role:
        """Its role in a diffusion pipeline, so that it can be priced as the same part of a larger model."""

    @property
    def num_passes(self) -> float:
        """Forward passes per item: steps times guidance branches for a denoiser, else 1; a share of it for a region."""

    @property
    def reads(self) -> tuple[str, ...]: ...

    @property
    def writes(self) -> Mapping[str, Spec]: ...

    @property
    def flops(self) -> float:
        """Floating-point operations per item (a multiply-add counts two), within 1 % of torch's FlopCounterMode."""

    @property
    def memory_bytes(self) -> float:
        """Bytes of its parameters."""

    def __call__(self, tensors: Tensors, random: Random) -> Tensors:
        """The tensors that it writes, [*batch, *spec.shape] each, from those that it reads."""


class Sliceable(Part, Protocol):
    """A part made of equal steps: `denoiser[:20]` is itself a part."""

    @property
    def num_steps(self) -> int: ...

    def __getitem__(self, steps: slice) -> Part: ...


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
        origin: parts of equal origin make the same of equal inputs; its function alone when `None`.

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
    origin: Hashable = field(default=None, repr=False)

    def __call__(self, tensors: Tensors, random: Random) -> Tensors:
        return self.function(tensors, random)


def origin_of(part: Part) -> Hashable:
    """Everything that a part's output depends on beside its inputs: weights, guidance, steps, and no names.

    >>> one, two = (TensorMap(name, (), {}, lambda x, random: x, origin=("scaled", 2)) for name in ("a", "b"))
    >>> origin_of(one) == origin_of(two)
    True
    """
    found: Any = getattr(part, "origin", None) or part
    if isinstance(part, TensorMap) and part.origin is None:
        found = part.function
    try:
        hash(found)
    except TypeError:
        # A part of somebody else's may hold lists: it then equals itself alone.
        return (type(part), id(part))
    return cast(Hashable, found)
