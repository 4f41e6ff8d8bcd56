"""Named random streams: a result does not depend on how many numbers were drawn before."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import final
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.core.seeding import MOST_WORDS, generators_of

Name = str | int
FEWEST_TOGETHER = 12
"""Items from which on their seeds are hashed together, which has a price of its own."""


@final
@dataclass(frozen=True)
class Random:
    """Independent random streams of a batch of items, addressed by the item's random seed and a path of names.

    A draw depends on (random seed of the item, names) alone: item 3 of a batch equals item 3 alone, and the order of
    draws changes nothing. The generator is NumPy's PCG64 seeded by `SeedSequence` with the crc32 of every name.

    Args:
        random_seeds: one non-negative integer per item, row-major over `batch`.
        batch: leading batch dimensions; their product is the number of items.
        path: names that were descended so far.

    >>> alone, batch = Random.of(7), Random.of([3, 7])
    >>> bool((alone.normal((4,), "link") == batch.normal((4,), "link")[1]).all())
    True
    >>> bool((alone.normal((4,), "link", 0) == alone.normal((4,), "link", 1)).any())
    False
    """

    random_seeds: tuple[int, ...]
    batch: tuple[int, ...] = ()
    path: tuple[Name, ...] = ()

    def __post_init__(self) -> None:
        if math.prod(self.batch) != len(self.random_seeds):
            raise ValueError(f"batch {self.batch} does not hold {len(self.random_seeds)} random seeds")

    @staticmethod
    def of(random_seeds: int | Sequence[int]) -> Random:
        """Streams of one item (batch `()`) or of a flat batch `(n,)`.

        Raises:
            ConfigError: a random seed is negative.

        >>> Random.of([1, 2]).batch
        (2,)
        """
        if (least := random_seeds if isinstance(random_seeds, int) else min(random_seeds, default=0)) < 0:
            raise ConfigError(f"random_seed: {least} is negative; give 0 or more")
        if isinstance(random_seeds, int):
            return Random((random_seeds,))
        return Random(tuple(random_seeds), (len(random_seeds),))

    @property
    def num_items(self) -> int:
        return len(self.random_seeds)

    def child(self, *names: Name) -> Random:
        """The streams below `names`.

        >>> bool((Random.of(0).child("a").normal((2,), "b") == Random.of(0).normal((2,), "a", "b")).all())
        True
        """
        return Random(self.random_seeds, self.batch, (*self.path, *names))

    def generators(self, *names: Name) -> tuple[np.random.Generator, ...]:
        """One NumPy generator per item, row-major over the batch."""
        # crc32, because Python's own hash of a text differs from process to process.
        keys = [n if isinstance(n, int) else crc32(n.encode()) for n in (*self.path, *names)]
        rows = [(seed, *keys) for seed in self.random_seeds]
        if all(0 <= key < 2**32 for key in (*self.random_seeds, *keys)):
            # NumPy turns a list into such words itself, number by number, which takes longer than the rest.
            words = np.array(rows, dtype=np.uint32)
            if len(rows) < FEWEST_TOGETHER or len(keys) >= MOST_WORDS:
                return tuple(np.random.default_rng(row) for row in words)
            return generators_of(words)
        # A larger integer takes several words, and SeedSequence alone knows how it splits them.
        return tuple(np.random.default_rng(row) for row in rows)

    def normal(self, shape: Sequence[int], *names: Name) -> Tensor:
        """[*batch, *shape], standard normal float32."""
        return self._stack([g.standard_normal(tuple(shape), dtype=np.float32) for g in self.generators(*names)], shape)

    def complex_normal(self, shape: Sequence[int], *names: Name) -> Tensor:
        """[*batch, *shape], circular complex normal of unit variance, complex64.

        >>> round(float(Random.of(0).complex_normal((10_000,)).abs().square().mean()), 1)
        1.0
        """
        # Real and imaginary part of a value are neighbours in the stream: a longer draw then begins with a shorter one.
        pair = self.normal((*shape, 2), *names)
        return torch.complex(pair[..., 0], pair[..., 1]) * math.sqrt(0.5)

    def uniform(self, shape: Sequence[int], *names: Name) -> Tensor:
        """[*batch, *shape], uniform on [0, 1) float32."""
        return self._stack([g.random(tuple(shape), dtype=np.float32) for g in self.generators(*names)], shape)

    def _stack(self, draws: list[np.ndarray], shape: Sequence[int]) -> Tensor:
        return torch.from_numpy(np.stack(draws)).reshape((*self.batch, *shape))


@contextmanager
def seeded(random_seed: int) -> Iterator[torch.Generator]:
    """A generator of that random seed; torch's global stream begins there, too, and is put back in the end.

    For code of others that draws from the global stream, as the constructors of torch's modules do.

    >>> with seeded(7) as source:
    ...     bool((torch.rand(2, generator=source) == torch.rand(2)).all())
    True
    """
    # Modules are made on the CPU; by default the streams of every GPU would be copied, too.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(random_seed)
        yield torch.Generator().manual_seed(random_seed)
