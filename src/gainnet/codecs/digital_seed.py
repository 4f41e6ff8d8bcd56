"""Latents as quantised principal components in an entropy-coded stream."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import groupby
from typing import ClassVar, cast, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gainnet.codecs import tables
from gainnet.codecs.components import Components, components_of
from gainnet.codecs.content import Content, required
from gainnet.codecs.entropy import CRC_BITS, IntegerModel, Integers, RunReader
from gainnet.codecs.quantizer import STREAM_BITS, quantise
from gainnet.codecs.raw import batch_of, check_budget, decode_items, encode_items
from gainnet.core.errors import check_range
from gainnet.core.types import Bits, Payload, Size, Spec

Doubles = NDArray[np.float64]

NUM_STEPS = 64
LARGEST_STEP = 4.0
STEP_MODEL = IntegerModel.uniform(NUM_STEPS)
STEP_BITS = 6
MEAN_PADDING_BITS = 4
MEAN_UNUSED_BITS = 2
WEIGHT_SPAN, NUM_WEIGHT_TRIALS = 16.0, 7
NUM_QUANTILES = 256


def step_of(step_index: int) -> float:
    """Quantiser step: 4 at index 0, an octave finer every 8.

    >>> [step_of(i) for i in (0, 8, 24)]
    [4.0, 2.0, 0.5]
    """
    return float(LARGEST_STEP * 2.0 ** (-step_index / tables.CLASSES_PER_OCTAVE))


@final
@dataclass(frozen=True)
class StepTables:
    """The tables of all components at one step.

    Args:
        groups: number of components and table of every run of equal tables.
        flat: [num_values], the table of every component.
    """

    groups: tuple[tuple[int, tables.ValueModel], ...]
    flat: tables.FlatTables

    def choose(self, ratios: Doubles, rate_weight: float) -> Integers:
        r"""[..., num_values], integers with the least rate-distortion cost $(r - k)^2 + w\,\mathrm{bits}(k)$.

        Args:
            ratios: [..., num_values], components over the step.
            rate_weight: $w$, squared steps per bit.
        """
        nearest = quantise(ratios)
        best, least = nearest, np.square(ratios - nearest) + rate_weight * self.flat.information(nearest)
        # Any other integer has a larger error than these and, as bits fall towards zero, no shorter code to make up for
        # it.
        for other in (nearest - np.sign(nearest), np.zeros_like(nearest)):
            cost = np.square(ratios - other) + rate_weight * self.flat.information(other)
            best, least = np.where(cost < least, other, best), np.minimum(cost, least)
        return best


@lru_cache(maxsize=256)
def step_tables(scale_classes: tuple[int, ...], step_index: int, shape: tables.Shape, threshold: float) -> StepTables:
    """The tables of components with these scale classes at one step; remembered.

    Args:
        scale_classes: as in `SeedBasis`.
        step_index: as in `step_of`.
        shape: law of the components.
        threshold: as in `value_model`.
    """
    # A step that is finer by an eighth of an octave raises the class of every component by one.
    shift = step_index - round(tables.CLASSES_PER_OCTAVE * math.log2(LARGEST_STEP))
    groups = [
        (sum(1 for _ in run), tables.value_model(shape, k + shift, threshold)) for k, run in groupby(scale_classes)
    ]
    row = np.repeat(np.arange(len(groups)), [size for size, _ in groups])
    return StepTables(tuple(groups), tables.FlatTables.of([model for _, model in groups]).take(row))


@final
@dataclass(frozen=True)
class QuantizedSeed:
    r"""A seed as quantised principal components in an entropy-coded stream: the digital opponent of analog codes.

    latent --> [ PCA ] --> [ / step, rate-distortion choice ] --> integers --> [ step, tables, check sum ] --> bits

    Every component becomes the integer $k$ that minimises $(c/\Delta - k)^2 + w\,\mathrm{bits}(k)$ among the nearest,
    the next towards zero and zero (Sullivan and Wiegand 1998, IEEE Signal Processing Magazine 15). With `max_bits`
    every item takes the finest of 64 steps $\Delta$ that fits, or the next finer one with a larger $w$ where that is
    better; the stream names its step. An item that did not arrive, or that fits at no step, becomes the mean.

    Args:
        max_bits: most bits of one item; `None` for the fixed `step_index`.
        step_index: step 4 * 2^(-index / 8) when `max_bits` is `None`, 0 to 63; the default is a step of 0.5.
        rate_weight: $w$ >= 0, squared steps per bit; best near 0.1 on latents of the scenes model.
        threshold: half width in steps of the bin of zero that the tables expect, 0.5 to 1.
        shape: law that the tables expect, gaussian or laplace.
        basis: principal components of the model's latents, filled in when bound.

    Raises:
        ConfigError: a field is out of range.

    >>> from gainnet.codecs.basis import SeedBasis
    >>> from gainnet.core.randomness import Random
    >>> basis, spec = SeedBasis.load(), Spec((4, 16, 16))
    >>> drawn = basis.variances.sqrt() * Random.of([1]).normal((1024,), "latent")
    >>> latent = basis.synthesise(drawn, spec)
    >>> errors = []
    >>> for max_bits in (500, 2000):
    ...     code = QuantizedSeed(max_bits, basis=basis)
    ...     bits = code.encode(latent, torch.ones(1))
    ...     errors.append(float((code.decode(bits, spec) - latent).square().mean()))
    >>> 8 * len(bits.strings[0]) <= 2000
    True
    >>> errors[1] < errors[0] < float(basis.variances.mean())
    True
    """

    max_bits: float | None = None
    step_index: int = 24
    rate_weight: float = 0.1
    threshold: float = 0.6
    shape: tables.Shape = "gaussian"
    basis: Components | None = None
    emits: ClassVar[type[Payload]] = Bits

    def __post_init__(self) -> None:
        check_range(0 <= self.step_index < NUM_STEPS, "step_index", self.step_index, f"0 to {NUM_STEPS - 1}")
        check_range(0 <= self.rate_weight < 1, "rate_weight", self.rate_weight, "at least 0 and below 1")
        check_range(0.5 <= self.threshold <= 1, "threshold", self.threshold, "0.5 to 1")
        check_range(self.shape in tables.MASSES, "shape", self.shape, f"one of {', '.join(tables.MASSES)}")
        check_budget(self.max_bits)

    def bound(self, content: Content) -> QuantizedSeed:
        """The code with the basis of these latents."""
        return replace(self, basis=self.basis or components_of(content, "digital"))

    @property
    def _basis(self) -> Components:
        return required(self.basis, "digital", "basis")

    def size(self, spec: Spec) -> Size:
        """Bits per item; expects components of the tables' law."""
        self._basis.check(spec, "digital")
        finest = self._largest_bits(NUM_STEPS - 1)
        if self.max_bits is None or self.max_bits >= finest:
            step_index = self.step_index if self.max_bits is None else NUM_STEPS - 1
            return Size(self._mean_bits(step_index), self._largest_bits(step_index))
        upper = 8 * int(self.max_bits // 8)
        # An item of zeros at the coarsest step is the shortest stream there is.
        nothing = np.zeros(self._basis.num_components, dtype=np.int32)
        if self._length(0, nothing) > upper:
            return Size(0, upper)
        entropy = sum(size * model.entropy_bits for size, model in self._tables(NUM_STEPS - 1).groups)
        # Far below the finest step every item fills its budget but for a few bits.
        if upper < entropy / 2:  # far from the finest step, so the budget is used up
            return Size(upper - MEAN_UNUSED_BITS, upper)
        return Size(min(upper - MEAN_UNUSED_BITS, self._mean_bits(NUM_STEPS - 1)), upper)

    def encode(self, x: Tensor, reported_snr: Tensor) -> Bits:
        components = self._basis.analyse(x, batch_of(x, reported_snr))
        return encode_items(components, reported_snr, lambda row: self._code(row.astype(np.float64)))

    def decode(self, payload: Bits, spec: Spec) -> Tensor:
        self._basis.check(spec, "digital")
        components = decode_items(payload, Spec((self._basis.num_components,)), self._read)
        return self._basis.synthesise(components, spec)

    def _code(self, components: Doubles) -> bytes | None:
        if self.max_bits is None:
            return self._write(self.step_index, self._choose(components, self.step_index, self.rate_weight))
        candidates = self._candidates(components)
        errors = [np.square(components - k * step_of(index)).sum() for index, k in candidates]
        # Lengths were estimated from information content; only the written string tells, and most first tries fit.
        for position in np.argsort(errors):
            string = self._write(*candidates[position])
            if 8 * len(string) <= self.max_bits:
                return string
        return None

    def _candidates(self, components: Doubles) -> list[tuple[int, Integers]]:
        """Steps and integers that fit: nothing at all, the finest step, and the next finer one with a larger weight."""
        # Streams grow as steps get finer, up to small irregularities that the last check catches: bisection.
        found = [(0, np.zeros(len(components), dtype=np.int32))]
        low, high = -1, NUM_STEPS
        while high - low > 1:
            middle = (low + high) // 2
            values = self._choose(components, middle, self.rate_weight)
            if self._length(middle, values) <= (self.max_bits or 0):
                low = middle
                found.append((middle, values))
            else:
                high = middle
        return found if high == NUM_STEPS else found + self._with_larger_weight(components, high)

    def _with_larger_weight(self, components: Doubles, step_index: int) -> list[tuple[int, Integers]]:
        """By bisection of the weight's logarithm, the least weight that makes a step fit."""
        low, high, found = 0.0, 1.0, []
        for _ in range(NUM_WEIGHT_TRIALS):
            # The logarithm, as the useful weights span a factor of 16.
            middle = (low + high) / 2
            values = self._choose(components, step_index, max(self.rate_weight, 0.05) * WEIGHT_SPAN**middle)
            if self._length(step_index, values) <= (self.max_bits or 0):
                high, found = middle, [(step_index, values)]
            else:
                low = middle
        return found

    def _choose(self, components: Doubles, step_index: int, rate_weight: float) -> Integers:
        return self._tables(step_index).choose(components / step_of(step_index), rate_weight)

    def _length(self, step_index: int, values: Integers) -> int:
        """Bits of the stream, at most a byte too few."""
        information = float(self._tables(step_index).flat.information(values).sum())
        # One bit for the state of the coder; the rest of its overhead shows only when it is written.
        return 8 * math.ceil((information + STEP_BITS + CRC_BITS + 1) / 8)

    def _write(self, step_index: int, values: Integers) -> bytes:
        groups = self._tables(step_index).groups
        parts = np.split(values, np.cumsum([size for size, _ in groups])[:-1])
        head = (np.array([step_index], dtype=np.int32), STEP_MODEL)
        return tables.encode_values([(part, model) for part, (_, model) in zip(parts, groups, strict=True)], [head])

    def _read(self, string: bytes) -> NDArray[np.float32]:
        reader = RunReader(string)
        step_index = int(reader.take(STEP_MODEL, 1)[0])
        values = np.concatenate(tables.take_values(reader, self._tables(step_index).groups))
        return (values * step_of(step_index)).astype(np.float32)

    def _tables(self, step_index: int) -> StepTables:
        return step_tables(self._basis.scale_classes, step_index, self.shape, self.threshold)

    def _largest_bits(self, step_index: int) -> int:
        upper = sum(size * tables.largest_bits(model) for size, model in self._tables(step_index).groups)
        return 8 * ((int(upper) + STEP_BITS + STREAM_BITS) // 8)

    def _mean_bits(self, step_index: int) -> float:
        """Mean over Gaussian components of the stated variances, each at its quantiles."""
        at_step = self._tables(step_index)
        ratios = self._deviations[None] * _gaussian_quantiles()[:, None] / step_of(step_index)
        information = at_step.flat.information(at_step.choose(ratios, self.rate_weight))
        return float(information.sum(1).mean()) + STEP_BITS + CRC_BITS + MEAN_PADDING_BITS

    @cached_property
    def _deviations(self) -> Doubles:
        return self._basis.variances.double().sqrt().numpy()


def _gaussian_quantiles() -> Doubles:
    # Quantiles instead of draws: the expected size is the same number every time.
    levels = (torch.arange(NUM_QUANTILES, dtype=torch.float64) + 0.5) / NUM_QUANTILES
    return cast(Doubles, torch.special.ndtri(levels).numpy())
