"""What may cross a link while models learn, as bytes that a receiver can read."""

from __future__ import annotations

from collections.abc import Mapping

import safetensors
import torch
from safetensors.torch import load, save
from torch import Tensor

from gainnet.core.errors import PayloadError, PlanError

KINDS = frozenset(
    {"activations", "gradients", "tied_gradients", "weights", "adapters", "metrics", "labels", "keys", "shares"}
)
"""Everything that any algorithm sends. Labels cross only where the cut says so; keys are public ones, shares sealed."""

PRIVATE = KINDS - {"labels"}
"""What crosses where the text stays at home."""


def check_kind(kind: str, allowed: frozenset[str]) -> None:
    """Raises `PlanError` unless payloads of this kind may cross.

    >>> check_kind("gradients", PRIVATE)
    """
    if kind not in allowed:
        raise PlanError(f"payload: {kind!r} may not cross a link here; only {', '.join(sorted(allowed))} may")


def to_bytes(tensors: Mapping[str, Tensor]) -> Tensor:
    """[num_bytes] uint8, named tensors as a safetensors file: header with names and shapes, then the values.

    >>> to_bytes({"a": torch.zeros(3)}).dtype
    torch.uint8
    """
    content = save({name: x.detach().contiguous() for name, x in tensors.items()})
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)


def from_bytes(content: Tensor) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Raises:
        PayloadError: it is no such file.

    >>> from_bytes(to_bytes({"a": torch.ones(2)}))
    {'a': tensor([1., 1.])}
    """
    try:
        return load(content.numpy().tobytes())
    except safetensors.SafetensorError as error:
        raise PayloadError(f"payload: not a safetensors file ({error})") from None


def as_type(tensors: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """The tensors in another floating-point type.

    >>> as_type({"a": torch.ones(1)}, torch.float16)["a"].dtype
    torch.float16
    """
    return {name: x.to(dtype) for name, x in tensors.items()}
