"""A generative model is a set of parts; each names what it reads and writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

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
