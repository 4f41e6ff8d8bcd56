"""The unit of all contract checks: one requirement, one sentence when it does not hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.core.types import Bits, Payload

T = TypeVar("T")


def require(holds: bool, sentence: str) -> None:
    """A requirement of a contract; unlike `assert` it also holds under `python -O`.

    Raises:
        AssertionError: it does not hold; carries the sentence.

    >>> require(True, "one is one")
    """
    if not holds:
        raise AssertionError(sentence)


def alone(random: Random, item: int) -> Random:
    """The streams of one item of a batch, without batch dimensions.

    >>> alone(Random.of([3, 7]), 1) == Random.of(7)
    True
    """
    return Random((random.random_seeds[item],), (), random.path)


def with_batch(random: Random, batch: Sequence[int]) -> Random:
    """The same items under other batch dimensions.

    >>> with_batch(Random.of([3, 7]), (2, 1)).batch
    (2, 1)
    """
    return Random(random.random_seeds, tuple(batch), random.path)


def item_of(payload: Payload, item: int) -> Payload:
    """One item of a flat batch of payloads, without batch dimensions.

    >>> item_of(Bits.of([b"a", b"b"]), 1).strings
    (b'b',)
    """
    if isinstance(payload, Bits):
        return Bits((payload.strings[item],), ())
    return payload.items(item)


def twice(draw: Callable[[], T]) -> tuple[T, T]:
    """A result and its repetition, with torch's global generator in another state: named streams must not see it.

    >>> twice(lambda: Random.of(0).normal((1,), "a").item())[0] == Random.of(0).normal((1,), "a").item()
    True
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        first = draw()
        torch.manual_seed(2)
        return first, draw()


def close(a: Tensor, b: Tensor, tolerance: float) -> bool:
    """Whether two tensors [...] of one shape differ nowhere by more than `tolerance` times the largest value.

    >>> close(torch.ones(2), torch.ones(2) + 1e-6, 1e-5)
    True
    """
    if a.shape != b.shape:
        return False
    if a.numel() == 0:
        return True
    difference = float((a - b).abs().max()) if a.is_floating_point() or a.is_complex() else float((a != b).any())
    return difference <= tolerance * max(1.0, float(a.abs().max()))


def finite(x: Tensor) -> bool:
    """Whether no entry of a tensor [...] is NaN or infinite.

    >>> finite(torch.tensor([0.0, float("nan")]))
    False
    """
    return bool(torch.isfinite(x).all())


def mean_agrees(samples: Sequence[float], expected: float, relative: float) -> bool:
    """Whether `expected` lies within 4 standard errors plus a relative tolerance of the mean of the samples.

    >>> mean_agrees([1.0, 1.1, 0.9], 1.02, 0.01), mean_agrees([1.0, 1.0, 1.0], 2.0, 0.01)
    (True, False)
    """
    mean = math.fsum(samples) / len(samples)
    variance = math.fsum((x - mean) ** 2 for x in samples) / max(1, len(samples) - 1)
    return abs(mean - expected) <= 4.0 * math.sqrt(variance / len(samples)) + relative * abs(expected) + 1e-15
