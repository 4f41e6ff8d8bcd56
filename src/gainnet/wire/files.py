"""Named tensors as bytes: safetensors files, and files whose names and shapes both ends know."""

from __future__ import annotations

from collections.abc import Mapping

import safetensors
import torch
from safetensors.torch import load, save
from torch import Tensor

from gainnet.core.errors import PayloadError
from gainnet.core.outside import reading

LARGEST_VALUE = 1e6
"""Magnitude that no weight, activation or gradient of a model at work comes near; assumed."""


def to_bytes(tensors: Mapping[str, Tensor]) -> Tensor:
    """[num_bytes] uint8, named tensors as a safetensors file: header with names and shapes, then the values.

    >>> to_bytes({"a": torch.zeros(3)}).dtype
    torch.uint8
    """
    content = save({name: x.detach().contiguous() for name, x in tensors.items()})
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)


def from_bytes(content: Tensor | bytes) -> dict[str, Tensor]:
    """The tensors of a safetensors file of [num_bytes] uint8.

    Raises:
        PayloadError: it is no such file.

    >>> from_bytes(to_bytes({"a": torch.ones(2)}))
    {'a': tensor([1., 1.])}
    """
    try:
        with reading("payload"):
            return load(content if isinstance(content, bytes) else content.numpy().tobytes())
    except safetensors.SafetensorError as error:
        raise PayloadError(f"payload: not a safetensors file ({error})") from None


def file_of(tensors: Mapping[str, Tensor]) -> Tensor:
    """[num_bytes] uint8, tensors of one type as a safetensors file of all values in the order of the names.

    >>> file_of({"b": torch.ones(1), "a": torch.zeros(2)}).dtype
    torch.uint8
    """
    # One tensor in the place of many: the header stays short, and its length does not depend on the names.
    return to_bytes({"values": torch.cat([tensors[name].reshape(-1) for name in sorted(tensors)])})


def tensors_of(content: Tensor | bytes, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a file of `file_of`.

    Args:
        content: [num_bytes] uint8.
        like: tensors of the names and shapes that are expected.

    Raises:
        PayloadError: it is no such file, or holds other values.

    >>> tensors_of(file_of({"a": torch.ones(2)}), {"a": torch.zeros(2)})
    {'a': tensor([1., 1.])}
    """
    found = from_bytes(content)
    values, num_values = found.get("values", torch.empty(0)), sum(x.numel() for x in like.values())
    # The type may be another one than expected, as float16 for float32, but not integers for floats.
    same_kind = values.is_floating_point() == all(x.is_floating_point() for x in like.values())
    if set(found) != {"values"} or values.shape != (num_values,) or not same_kind:
        raise PayloadError(f"payload: {tuple(values.shape)} values of {values.dtype} in the place of {num_values}")
    names = sorted(like)
    parts = values.split([like[name].numel() for name in names])
    return {name: part.reshape(like[name].shape) for name, part in zip(names, parts, strict=True)}


def bounded(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of another party, whose values may enter a model.

    One value that is not finite, or so large that a product of it is not, makes a whole model useless, and an average
    hands it to everybody.

    Raises:
        PayloadError: a floating-point value is not finite, or above `LARGEST_VALUE` in magnitude.

    >>> bounded({"a": torch.tensor([1e30])})
    Traceback (most recent call last):
    gainnet.core.errors.PayloadError: a: holds a value that is not finite or above 1e+06 in magnitude
    """
    for name, x in tensors.items():
        # A comparison with NaN is false, so that one test finds all three.
        if x.is_floating_point() and not bool((x.abs() <= LARGEST_VALUE).all()):
            raise PayloadError(f"{name}: holds a value that is not finite or above {LARGEST_VALUE:g} in magnitude")
    return dict(tensors)
