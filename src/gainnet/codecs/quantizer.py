"""Quantised values as an entropy-coded stream: of any tensor, and of latents by principal components."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gainnet.codecs.basis import SeedBasis
from gainnet.codecs.entropy import CRC_BITS, IntegerModel, Integers, RunReader
from gainnet.codecs.raw import batch_of, rows_of
from gainnet.codecs.tables import (
    CLASSES_PER_OCTAVE,
    LARGEST_VALUE,
    MASSES,
    Shape,
    ValueModel,
    encode_values,
    largest_bits,
    scale_class,
    take_values,
    value_model,
)
from gainnet.core.errors import ConfigError
from gainnet.core.types import Bits, Payload, Size, Spec

STREAM_BITS = CRC_BITS + 10
"""Most bits of a stream beyond its information content."""

MEAN_UNFILLED_BITS = 40
"""Bits of a budget that the finest step that fits leaves over, on average."""


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

    >>> codec, x = UniformQuantizer(step=0.5), torch.tensor([[0.6, -1.2, 0.1]])
    >>> codec.decode(codec.encode(x, torch.ones(1)), Spec((3,)))
    tensor([[ 0.5000, -1.0000,  0.0000]])
    """

    step: float = 0.5
    scale: float = 1.0
    shape: Shape = "gaussian"
    emits: ClassVar[type[Payload]] = Bits

    def __post_init__(self) -> None:
        for field, value in (("step", self.step), ("scale", self.scale)):
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"{field}: must be a positive number, not {value}")
        if self.shape not in MASSES:
            raise ConfigError(f"shape: must be one of {', '.join(MASSES)}, not {self.shape!r}")

    def size(self, spec: Spec) -> Size:
        """Bits per item; expects values of the table's law."""
        upper = 8 * ((int(spec.num_values * largest_bits(self._model)) + STREAM_BITS) // 8)
        return Size(spec.num_values * self._model.entropy_bits + CRC_BITS + 5, upper)

    def encode(self, x: Tensor, reported_snr: Tensor) -> Bits:
        batch = batch_of(x, reported_snr)
        values = quantise(rows_of(x, batch) / np.float32(self.step))
        return Bits(tuple(encode_values([(row, self._model)]) for row in values), batch)

    def decode(self, payload: Bits, spec: Spec) -> Tensor:
        rows = np.zeros((len(payload.strings), spec.num_values), dtype=np.float32)
        for row, string in zip(rows, payload.strings, strict=True):
            if string is not None:
                row[:] = take_values(RunReader(string), [(spec.num_values, self._model)])[0] * np.float32(self.step)
        return torch.from_numpy(rows).reshape(*payload.batch, *spec.shape)

    @cached_property
    def _model(self) -> ValueModel:
        return value_model(self.shape, scale_class(self.scale / self.step))


def quantise(ratios: NDArray[np.float32], threshold: float = 0.5) -> Integers:
    """Integers of values over step: 0 below the threshold, bins of width 1 beyond it.

    Raises:
        ConfigError: a value is not finite.

    >>> quantise(np.array([0.4, -0.55, 1.7], dtype=np.float32), threshold=0.6).tolist()
    [0, 0, 2]
    """
    if not np.isfinite(ratios).all():
        raise ConfigError("latent: holds a value that is not finite and cannot be quantised")
    magnitude = np.floor(np.abs(ratios.astype(np.float64)) + (1 - threshold))
    signed: Integers = (np.sign(ratios) * np.minimum(magnitude, LARGEST_VALUE)).astype(np.int32)
    return signed


@final
@dataclass(frozen=True)
class QuantizedSeed:
    """A seed as quantised principal components in an entropy-coded stream: the digital opponent of analog codes.

    latent --> [ PCA ] --> [ / step, dead zone ] --> integers --> [ step index, tables, check sum ] --> bits

    With `max_bits` every item takes the finest of 64 steps whose stream fits. The stream names its step. An item that
    did not arrive, or that fits at no step, becomes the mean.

    Args:
        basis: principal components of the model's latents.
        max_bits: most bits of one item; `None` for the fixed `step_index`.
        step_index: step 4 * 2^(-index / 8) when `max_bits` is `None`, 0 to 63; the default is a step of 0.5.
        threshold: half width of the bin of zero in steps, 0.5 to 1.
        shape: law that the tables expect.
    """

    basis: SeedBasis
    max_bits: float | None = None
    step_index: int = 24
    threshold: float = 0.6
    shape: Shape = "laplace"
    emits: ClassVar[type[Payload]] = Bits

    NUM_STEPS: ClassVar[int] = 64
    LARGEST_STEP_CLASS: ClassVar[int] = 2 * CLASSES_PER_OCTAVE

    def __post_init__(self) -> None:
        if not 0 <= self.step_index < self.NUM_STEPS:
            raise ConfigError(f"step_index: must be 0 to {self.NUM_STEPS - 1}, not {self.step_index}")
        if not 0.5 <= self.threshold <= 1:
            raise ConfigError(f"threshold: must be 0.5 to 1, not {self.threshold}")
        if self.max_bits is not None and not self.max_bits >= 0:
            raise ConfigError(f"max_bits: must be at least 0, not {self.max_bits}")

    def size(self, spec: Spec) -> Size:
        """Bits per item; with `max_bits` items come close to it."""
        self.basis.check(spec, "quantized")
        finest = self._largest_bits(self.NUM_STEPS - 1)
        if self.max_bits is not None and self.max_bits < finest:
            upper = 8 * int(self.max_bits // 8)
            return Size(max(0, upper - MEAN_UNFILLED_BITS), upper)
        step_index = self.step_index if self.max_bits is None else self.NUM_STEPS - 1
        entropy = sum(size * model.entropy_bits for size, model in self._groups(step_index))
        return Size(entropy + CRC_BITS + 11, self._largest_bits(step_index))

    def encode(self, x: Tensor, reported_snr: Tensor) -> Bits:
        batch = batch_of(x, reported_snr)
        components = rows_of(self.basis.analyse(x, batch), batch)
        return Bits(tuple(self._fit(row) for row in components), batch)

    def decode(self, payload: Bits, spec: Spec) -> Tensor:
        self.basis.check(spec, "quantized")
        rows = np.zeros((len(payload.strings), self.basis.num_values), dtype=np.float32)
        for row, string in zip(rows, payload.strings, strict=True):
            if string is not None:
                row[:] = self._read(string)
        return self.basis.synthesise(torch.from_numpy(rows).reshape(*payload.batch, -1), spec)

    def _fit(self, components: NDArray[np.float32]) -> bytes | None:
        """The stream of one item at the finest step that fits."""
        if self.max_bits is None:
            return self._write(components, self.step_index)
        low, high = -1, self.NUM_STEPS
        best: bytes | None = None
        while high - low > 1:
            middle = (low + high) // 2
            string = self._write(components, middle)
            if 8 * len(string) <= self.max_bits:
                low, best = middle, string
            else:
                high = middle
        return best

    def _write(self, components: NDArray[np.float32], step_index: int) -> bytes:
        values = quantise(components / np.float32(self._step(step_index)), self.threshold)
        groups = self._groups(step_index)
        parts = np.split(values, np.cumsum([size for size, _ in groups])[:-1])
        head = (np.array([step_index], dtype=np.int32), IntegerModel.uniform(self.NUM_STEPS))
        return encode_values([(part, model) for part, (_, model) in zip(parts, groups, strict=True)], [head])

    def _read(self, string: bytes) -> NDArray[np.float32]:
        reader = RunReader(string)
        step_index = int(reader.take(IntegerModel.uniform(self.NUM_STEPS), 1)[0])
        groups = self._groups(step_index)
        values = np.concatenate(take_values(reader, groups))
        return (values * self._step(step_index)).astype(np.float32)

    def _largest_bits(self, step_index: int) -> int:
        upper = sum(size * largest_bits(model) for size, model in self._groups(step_index))
        return 8 * ((int(upper) + 6 + STREAM_BITS) // 8)

    def _step(self, step_index: int) -> float:
        return float(2.0 ** ((self.LARGEST_STEP_CLASS - step_index) / CLASSES_PER_OCTAVE))

    def _groups(self, step_index: int) -> Sequence[tuple[int, ValueModel]]:
        """Runs of components with one table at this step."""
        shift = step_index - self.LARGEST_STEP_CLASS
        return [
            (sum(1 for _ in run), value_model(self.shape, scale + shift, self.threshold))
            for scale, run in groupby(self.basis.scale_classes)
        ]
