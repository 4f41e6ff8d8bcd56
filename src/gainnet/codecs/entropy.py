"""Entropy coding with integer tables: a stream that every machine decodes to the same integers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final
from zlib import crc32

import constriction
import numpy as np
from numpy.typing import NDArray

from gainnet.core.errors import PayloadError

PRECISION_BITS = 24
CRC_BITS = 24
TOTAL = 1 << PRECISION_BITS
ESCAPED_BITS = 32

Integers = NDArray[np.int32]


@final
@dataclass(frozen=True)
class IntegerModel:
    r"""Probabilities of the symbols 0 … n-1 as integers over $2^{24}$.

    Args:
        frequencies: one integer >= 1 per symbol; their sum is $2^{24}$.

    Raises:
        ValueError: a frequency is below 1 or the sum is another.

    >>> IntegerModel((1 << 23, 1 << 22, 1 << 22)).bits.tolist()
    [1.0, 2.0, 2.0]
    """

    frequencies: tuple[int, ...]

    def __post_init__(self) -> None:
        if min(self.frequencies) < 1 or sum(self.frequencies) != TOTAL:
            raise ValueError(f"frequencies must be at least 1 and sum to {TOTAL}")

    @staticmethod
    def uniform(num_symbols: int) -> IntegerModel:
        """Equal probabilities, up to one part in 2^24.

        >>> sum(IntegerModel.uniform(3).frequencies) == TOTAL
        True
        """
        share, rest = divmod(TOTAL, num_symbols)
        return IntegerModel(tuple(share + (i < rest) for i in range(num_symbols)))

    @cached_property
    def bits(self) -> NDArray[np.float64]:
        """[num_symbols], information content of every symbol in bits."""
        # Doubles are good enough here: these lengths only steer searches, no stream depends on their last digit.
        return PRECISION_BITS - np.log2(np.array(self.frequencies, dtype=np.float64))

    @cached_property
    def categorical(self) -> Any:
        """The model for constriction, whose table is then exactly `frequencies`.

        It adds 1 to every symbol and spreads the rest in proportion to the given weights. Weights f - 1 sum to just
        that rest, all numbers are integers below 2^53, so no rounding happens and no machine can differ.
        """
        weights = np.array(self.frequencies, dtype=np.float64) - 1
        return constriction.stream.model.Categorical(weights, perfect=False)


Run = tuple[Integers, IntegerModel]


def encode_runs(runs: Sequence[Run], check_bits: int = CRC_BITS) -> bytes:
    r"""A byte string of runs of symbols, each run with one model.

    runs --> [ asymmetric numeral system that starts from 1 and the check sum ] --> bytes, zero bytes at the end cut

    The start value $2^{c} + \mathrm{CRC}$ makes the check sum free of extra bytes: the string has at most
    information content + c bits check sum + 10 bits. (Duda et al. 2015, Picture Coding Symposium)

    Args:
        runs: symbols and model of each run, in the order of decoding.
        check_bits: $c$, length of the check sum, 1 to 24.
    """
    return encode_from(_start((symbols for symbols, _ in runs), check_bits), runs)


def encode_from(start: int, runs: Sequence[Run]) -> bytes:
    """A byte string of runs of symbols and of a number, at no bits beyond its own.

    Args:
        start: from which the coder starts and which `RunReader.rest` returns, 1 to 2^32 - 1.
        runs: as of `encode_runs`.

    >>> reader = RunReader(encode_from(0x1F00D, [(np.zeros(3, np.int32), IntegerModel.uniform(2))]))
    >>> reader.take(IntegerModel.uniform(2), 3).tolist(), hex(reader.rest())
    ([0, 0, 0], '0x1f00d')
    """
    # A coder needs a nonzero state to start from; giving it the check sum saves the bits that the state would waste.
    coder = constriction.stream.stack.AnsCoder(np.array([start], dtype=np.uint32))
    # The coder is a stack: what is to be decoded first goes in last.
    for symbols, model in reversed(runs):
        coder.encode_reverse(symbols, model.categorical)
    compressed: NDArray[np.uint32] = coder.get_compressed()
    # Whole words would cost up to three bytes more; the reader pads with zeros again.
    return compressed.astype("<u4").tobytes().rstrip(b"\0")


@final
class RunReader:
    """Takes runs of symbols from a byte string; `close` checks them all.

    Args:
        string: what `encode_runs` returned.
        check_bits: the same as of `encode_runs`.

    Raises:
        PayloadError: the string is empty.
    """

    def __init__(self, string: bytes, check_bits: int = CRC_BITS) -> None:
        padded = string.rstrip(b"\0")
        if not padded:
            raise PayloadError("entropy code: payload is empty")
        # The last word of a state is never zero, so cutting and padding zero bytes is without loss.
        words = np.frombuffer(padded + b"\0" * (-len(padded) % 4), dtype="<u4").astype(np.uint32)
        self._coder = constriction.stream.stack.AnsCoder(words)
        self._runs: list[Integers] = []
        self._check_bits = check_bits

    def take(self, model: IntegerModel, num_symbols: int) -> Integers:
        """[num_symbols], the next run."""
        symbols: Integers = self._coder.decode(model.categorical, num_symbols)
        self._runs.append(symbols)
        return symbols

    def close(self) -> None:
        """Raises `PayloadError` unless the string ends here and the check sum of all symbols fits."""
        # After the last symbol exactly the start value is left; anything else means a bit was flipped, cut or added.
        if self.rest() != _start(self._runs, self._check_bits):
            raise PayloadError("entropy code: payload is corrupt, its check sum does not fit")

    def rest(self) -> int:
        """The number from which the coder started, which is all that is left after the last symbol."""
        # In words of 32 bits, the lowest first.
        return sum(int(word) << 32 * place for place, word in enumerate(self._coder.get_compressed()))


def information_bits(runs: Sequence[Run]) -> float:
    """Information content of runs under their integer models, in bits."""
    return float(sum(model.bits[symbols].sum() for symbols, model in runs))


def _start(runs: Any, check_bits: int) -> int:
    check = 0
    for symbols in runs:
        check = crc32(symbols.astype("<i4").tobytes(), check)
    # The leading 1 keeps the state's length fixed, whatever the check sum.
    return (1 << check_bits) | (check & ((1 << check_bits) - 1))
