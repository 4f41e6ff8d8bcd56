"""Quantised values as an entropy-coded stream: of any tensor, and of latents by principal components."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gainnet.codecs import tables
from gainnet.codecs.entropy import CRC_BITS, Integers, RunReader
from gainnet.codecs.raw import decode_items, encode_items
from gainnet.core.errors import ConfigError, check_range
from gainnet.core.types import Bits, Payload, Size, Spec

STREAM_BITS = CRC_BITS + 10
"""Most bits of a stream beyond its information content."""


@final
@dataclass(frozen=True)
class UniformQuantizer:
    """Every value rounded to a multiple of a step and entropy-coded with one fixed table.

    tensor --> [ / step, round ] --> integers --> [ integer table, range coder, check sum ] --> bits

    An item that did not arrive becomes zeros. Values are independent for the coder; a value beyond the table costs
    32 bits more.

    Args:
        step: distance of two levels, > 0.
        scale: standard deviation that the table expects, > 0.
        shape: law that the table expects, gaussian or laplace.

    Raises:
        ConfigError: a field is out of range.

    >>> import torch
    >>> codec, x = UniformQuantizer(step=0.5), torch.tensor([[0.6, -1.2, 0.1]])
    >>> codec.decode(codec.encode(x, torch.ones(1)), Spec((3,)))
    tensor([[ 0.5000, -1.0000,  0.0000]])
    """

    step: float = 0.5
    scale: float = 1.0
    shape: tables.Shape = "gaussian"
    emits: ClassVar[type[Payload]] = Bits

    def __post_init__(self) -> None:
        for field, value in (("step", self.step), ("scale", self.scale)):
            check_range(0 < value < math.inf, field, value, "a positive number")
        check_range(self.shape in tables.MASSES, "shape", self.shape, f"one of {', '.join(tables.MASSES)}")

    def size(self, spec: Spec) -> Size:
        """Bits per item; expects values of the table's law."""
        # A stream is whole bytes, at most one more than its information content needs.
        upper = 8 * ((int(spec.num_values * tables.largest_bits(self._model)) + STREAM_BITS) // 8)
        return Size(spec.num_values * self._model.entropy_bits + CRC_BITS + 5, upper)

    def encode(self, x: Tensor, reported_snr: Tensor) -> Bits:
        step = np.float32(self.step)
        return encode_items(x, reported_snr, lambda row: tables.encode_values([(quantise(row / step), self._model)]))

    def decode(self, payload: Bits, spec: Spec) -> Tensor:
        groups, step = [(spec.num_values, self._model)], np.float32(self.step)
        return decode_items(payload, spec, lambda string: tables.take_values(RunReader(string), groups)[0] * step)

    @cached_property
    def _model(self) -> tables.ValueModel:
        return tables.value_model(self.shape, tables.scale_class(self.scale / self.step))


def quantise(ratios: NDArray[np.float32] | NDArray[np.float64]) -> Integers:
    """Nearest integers of values over step.

    Raises:
        ConfigError: a value is not finite.

    >>> quantise(np.array([0.4, -0.55, 1.7])).tolist()
    [0, -1, 2]
    """
    if not np.isfinite(ratios).all():
        raise ConfigError("latent: holds a value that is not finite and cannot be quantised")
    # Clipped in float64: float32 cannot hold 2^31 - 1 and would round up to an int32 that overflows.
    clipped = np.clip(ratios.astype(np.float64), -tables.LARGEST_VALUE, tables.LARGEST_VALUE)
    return np.rint(clipped).astype(np.int32)
