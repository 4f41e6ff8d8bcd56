"""Seeds hashed as NumPy's `SeedSequence` hashes them, many at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
import numpy.typing as npt
from numpy.random.bit_generator import ISeedSequence

Words = npt.NDArray[np.uint32]
Words64 = npt.NDArray[np.uint64]

POOL, STATE, SHIFT = 4, 8, np.uint32(16)
MIX_LEFT, MIX_RIGHT = np.uint32(0xCA01F9DD), np.uint32(0x4973F715)


def _powers(first: int, factor: int, count: int) -> Words:
    """[count, 1], a constant and what it becomes by a factor, modulo 2**32; a row per word that is hashed."""
    return np.array([[first * pow(factor, k, 2**32) % 2**32] for k in range(count)], dtype=np.uint32)


# One constant for every word of the pool, twelve to mix the pool with itself, and four for every further word.
MOST_WORDS: Final = 64
INTO_POOL: Final = _powers(0x43B0D7E5, 0x931E8875, POOL * POOL + POOL * MOST_WORDS + 1)
OUT_OF_POOL: Final = _powers(0x8B51F9DD, 0x58F38DED, STATE + 1)


def _hashed(words: Words, constants: Words) -> Words:
    """[k, n], words [1 or k, n] hashed by the first k of k + 1 constants."""
    found: Words = (words ^ constants[:-1]) * constants[1:]
    hashed: Words = found ^ (found >> SHIFT)
    return hashed


def _mixed(x: Words, y: Words) -> Words:
    found: Words = MIX_LEFT * x - MIX_RIGHT * y
    mixed: Words = found ^ (found >> SHIFT)
    return mixed


def states_of(words: Words) -> Words64:
    """States of PCG64 that `SeedSequence` makes of seeds; ten times as fast for a hundred as one by one.

    Args:
        words: [n, num_words], the 32-bit words of n seeds, at most `MOST_WORDS` each.

    Returns:
        [n, 4]: `SeedSequence(words[i]).generate_state(4, numpy.uint64)` for every i, bit for bit.

    >>> seed = np.array([[1, 2, 3]], dtype=np.uint32)
    >>> bool((states_of(seed)[0] == np.random.SeedSequence(seed[0]).generate_state(4, np.uint64)).all())
    True
    """
    columns = np.zeros((max(POOL, words.shape[1]), len(words)), dtype=np.uint32)
    columns[: words.shape[1]] = words.T
    pool, used = _hashed(columns[:POOL], INTO_POOL[: POOL + 1]), POOL
    # Every word of the pool into the three others, then every further word into all four, each by its own constants.
    for source in range(POOL):
        others = [k for k in range(POOL) if k != source]
        pool[others] = _mixed(pool[others], _hashed(pool[source], INTO_POOL[used : used + POOL]))
        used += POOL - 1
    for column in columns[POOL:]:
        pool = _mixed(pool, _hashed(column, INTO_POOL[used : used + POOL + 1]))
        used += POOL
    state = _hashed(np.concatenate((pool, pool)), OUT_OF_POOL)
    return np.ascontiguousarray(state.T).astype("<u4").view("<u8")


def generators_of(words: Words) -> tuple[np.random.Generator, ...]:
    """One generator per seed, as `numpy.random.default_rng` gives it.

    Args:
        words: [n, num_words], as in `states_of`.

    >>> seed = np.array([[1, 2, 3]], dtype=np.uint32)
    >>> bool(generators_of(seed)[0].random() == np.random.default_rng(seed[0]).random())
    True
    """
    # NumPy's types know no other seed than its own class, though it takes whatever gives a state.
    seeds: list[Any] = [_Seeded(state) for state in states_of(words)]
    return tuple(np.random.Generator(np.random.PCG64(seed)) for seed in seeds)


@final
@dataclass(frozen=True)
class _Seeded:
    """A state [4] that is known already, where NumPy asks for a seed."""

    state: Words64

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> Words64:
        return self.state


# By name and not by inheritance: NumPy looks whether an object is one of these before it takes it for a number.
ISeedSequence.register(_Seeded)
