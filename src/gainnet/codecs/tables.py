"""Frequency tables of quantised values, computed so that no two machines can differ.

Only +, -, *, / of IEEE doubles, exact scaling by powers of two and integers are used: exp and erf of a C library differ
from machine to machine in the last digit, which would break a stream.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, cached_property
from itertools import accumulate, pairwise
from typing import Literal, cast, final

import numpy as np
from numpy.typing import NDArray

from gainnet.codecs.entropy import ESCAPED_BITS, TOTAL, IntegerModel, Integers, Run, RunReader, encode_runs

Shape = Literal["gaussian", "laplace"]
Doubles = NDArray[np.float64]

CLASSES_PER_OCTAVE = 8
SMALLEST_CLASS, LARGEST_CLASS = -32, 80
TABLE_REACH = 8.0
LARGEST_Z = 10.0
ESCAPE_FREQUENCY = 1 << 6
LARGEST_VALUE = (1 << 31) - 1

LOG_2 = 0.6931471805599453
SQRT_2 = 1.4142135623730951
INVERSE_SQRT_2_PI = 0.3989422804014327
EIGHTH_OCTAVE = Fraction(2**53 * 1.0905077326652577) / 2**53


def exp(x: Doubles) -> Doubles:
    """[...], the exponential of numbers [...] <= 0, equal on every machine.

    >>> abs(float(exp(np.array([-1.0]))[0]) - 0.36787944117144233) < 1e-15
    True
    """
    # Range reduction: exp(x) = 2^whole exp(rest) with rest in [0, ln 2); scaling by 2^whole is exact.
    whole = np.floor(x / LOG_2)
    rest = x - whole * LOG_2
    series = np.ones_like(x)
    # Horner's scheme of the Taylor series: below ln 2 the 21st term is under 1e-22, beyond a double's digits.
    for n in range(20, 0, -1):
        series = 1 + series * rest / n
    return np.ldexp(series, whole.astype(np.int64))


def gaussian_mass(z: Doubles) -> Doubles:
    r"""[...], probability of (0, z] under a standard normal law.

    $\varphi(z) \sum_n z^{2n+1} / (2n+1)!!$ (Marsaglia 2004)

    >>> round(float(gaussian_mass(np.array([1.0]))[0]), 9)
    0.341344746
    """
    # Beyond ten deviations the mass is 1/2 to the last digit, and the series would need more terms.
    z = np.minimum(z, LARGEST_Z)
    term, total = z, z
    for n in range(1, 160):
        term = term * z * z / (2 * n + 1)
        total = total + term
    return INVERSE_SQRT_2_PI * exp(-z * z / 2) * total


def laplace_mass(z: Doubles) -> Doubles:
    """[...], probability of (0, z] under a Laplace law of unit variance.

    >>> round(float(laplace_mass(np.array([1.0]))[0]), 9)
    0.378441633
    """
    return (1 - exp(-SQRT_2 * z)) / 2


MASSES: dict[Shape, Callable[[Doubles], Doubles]] = {"gaussian": gaussian_mass, "laplace": laplace_mass}


def scale_class(ratio: float) -> int:
    r"""Nearest whole number to $8 \log_2$ of a ratio > 0, in exact arithmetic.

    >>> [scale_class(r) for r in (0.5, 1.0, 1.09, 4.0)]
    [-8, 0, 1, 16]
    """
    # log2 of a C library may round to either side of a half; a power of a fraction cannot.
    exact = Fraction(ratio) ** (2 * CLASSES_PER_OCTAVE)
    octaves = exact.numerator.bit_length() - exact.denominator.bit_length() - 1
    # bit_length gives the exponent up to one; the comparison settles it.
    while exact >= Fraction(2) ** (octaves + 1):
        octaves += 1
    return (octaves + 1) // 2


@final
@dataclass(frozen=True)
class ValueModel:
    """A table of the integers -reach … reach, and one symbol that announces a value beyond them.

    Args:
        reach: largest absolute value in the table.
        model: frequencies of -reach … reach and of the escape.
    """

    reach: int
    model: IntegerModel

    @property
    def escape(self) -> int:
        return 2 * self.reach + 1

    @cached_property
    def entropy_bits(self) -> float:
        """Mean bits per value, when values follow the table."""
        return float((np.array(self.model.frequencies) / TOTAL * self.model.bits).sum())


@cache
def value_model(shape: Shape, ratio_class: int, threshold: float = 0.5) -> ValueModel:
    r"""Table of integers that a value of a symmetric law is quantised to.

    k = 0 where |x| / step < threshold, else the bins of width 1 that follow, with a standard deviation of
    $2^{\mathrm{class}/8}$ steps.

    Args:
        shape: law of the value.
        ratio_class: standard deviation over step, in eighths of an octave; limited to [-32, 80].
        threshold: half width of the bin of zero in steps, 0.5 to 1.

    >>> value_model("gaussian", 0).reach
    8
    """
    # Wider tables hardly get shorter streams, narrower ones code zeros for next to nothing already.
    limited = min(max(ratio_class, SMALLEST_CLASS), LARGEST_CLASS)
    ratio = _power_of_eighths(limited)
    reach = max(1, int(TABLE_REACH * ratio))
    # Bins end half a step beyond their integer, but for zero, whose bin a rate-distortion choice makes wider.
    edges: Doubles = (np.arange(reach + 1, dtype=np.float64) + threshold) / ratio
    mass = MASSES[shape](edges)
    # Rounding may make the mass of a far bin negative by a last digit.
    side: Doubles = np.maximum(mass[1:] - mass[:-1], 0.0)
    return ValueModel(reach, IntegerModel(_frequencies(side)))


def _power_of_eighths(exponent: int) -> float:
    octave, eighths = divmod(exponent, CLASSES_PER_OCTAVE)
    return float(Fraction(2) ** octave * EIGHTH_OCTAVE**eighths)


def _frequencies(side: Doubles) -> tuple[int, ...]:
    """Frequencies of -n … n and the escape, from the probabilities of 1 … n; zero takes what is left."""
    spare = TOTAL - ESCAPE_FREQUENCY - 2 * len(side) - 1
    # Every symbol needs a frequency of at least 1, or it could not be coded at all.
    counts = [1 + int(p * spare) for p in side.tolist()]
    centre = TOTAL - ESCAPE_FREQUENCY - 2 * sum(counts)
    return (*reversed(counts), centre, *counts, ESCAPE_FREQUENCY)


@final
@dataclass(frozen=True)
class FlatTables:
    """The bits of several tables in one array, so that many values are looked up at once.

    Args:
        zero: [...], where the bits of the value 0 stand in `bits`.
        reach: [...], largest value in the table.
        bits: [num_symbols in all], information content of all symbols, one table after the other.
    """

    zero: Integers
    reach: Integers
    bits: Doubles

    @staticmethod
    def of(models: Sequence[ValueModel]) -> FlatTables:
        """The tables of some models, [num_models]."""
        # Symbol 0 of a table is the value -reach, so the value 0 stands `reach` behind the table's start.
        starts = np.cumsum([0, *(len(model.model.bits) for model in models[:-1])])
        reach = np.array([model.reach for model in models], dtype=np.int32)
        return FlatTables((starts + reach).astype(np.int32), reach, np.concatenate([m.model.bits for m in models]))

    def take(self, index: NDArray[np.int64]) -> FlatTables:
        """The tables by their index [...], one for every value that will be looked up."""
        return FlatTables(self.zero[index], self.reach[index], self.bits)

    def information(self, values: Integers) -> Doubles:
        """[...], bits of values, each under its own table; those beyond it cost the escape and 32 bits."""
        inside = np.clip(values, -self.reach, self.reach)
        # The escape is the symbol behind the largest value.
        escaped = self.bits[self.zero + self.reach + 1] + ESCAPED_BITS
        return cast(Doubles, np.where(inside == values, self.bits[self.zero + inside], escaped))


ValueRun = tuple[Integers, ValueModel]


def runs_of_values(groups: Sequence[ValueRun]) -> list[Run]:
    """Runs for the entropy coder: the table symbols of each group, then the escaped values as 16-bit halves."""
    sizes, models = [len(values) for values, _ in groups], [model for _, model in groups]
    values, reach = np.concatenate([values for values, _ in groups]), np.repeat([m.reach for m in models], sizes)
    # int64, because the absolute value of the least int32 overflows.
    beyond = np.abs(values.astype(np.int64)) > reach
    symbols = np.where(beyond, np.repeat([m.escape for m in models], sizes), values + reach).astype(np.int32)
    ends = pairwise(accumulate(sizes, initial=0))
    runs: list[Run] = [(symbols[i:j], model.model) for (i, j), model in zip(ends, models, strict=True)]
    # Escaped values follow in one uniform run of 16-bit halves, as the coder's tables have at most 2^24 symbols.
    halves = values[beyond].astype("<i4").view("<u2").astype(np.int32)
    return [*runs, (halves, IntegerModel.uniform(1 << 16))] if len(halves) else runs


def encode_values(groups: Sequence[ValueRun], head: Sequence[Run] = ()) -> bytes:
    """A byte string of a head and of groups of integers, each group with one table."""
    return encode_runs([*head, *runs_of_values(groups)])


def take_values(reader: RunReader, groups: Sequence[tuple[int, ValueModel]]) -> list[Integers]:
    """The integers of groups of known sizes; the reader is closed, so a corrupt string raises `PayloadError`."""
    taken = [reader.take(model.model, size) for size, model in groups]
    is_escaped = [symbols == model.escape for symbols, (_, model) in zip(taken, groups, strict=True)]
    num_escaped = sum(int(mask.sum()) for mask in is_escaped)
    halves = reader.take(IntegerModel.uniform(1 << 16), 2 * num_escaped) if num_escaped else np.zeros(0, np.int32)
    # All symbols are in now: a corrupt string is refused before its values are used.
    reader.close()
    escaped = np.split(halves.astype("<u2").view("<i4"), np.cumsum([int(m.sum()) for m in is_escaped])[:-1])
    values = []
    for symbols, mask, beyond, (_, model) in zip(taken, is_escaped, escaped, groups, strict=True):
        group = symbols - np.int32(model.reach)
        group[mask] = beyond
        values.append(group)
    return values


def largest_bits(model: ValueModel) -> float:
    """Most bits that one value can take."""
    return max(float(model.model.bits.max()), float(model.model.bits[model.escape]) + ESCAPED_BITS)
