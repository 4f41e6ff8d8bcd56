"""Channel uses that are too few for anything: said before it runs, with the number that is enough."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import Final

import torch

from gainnet.codecs.codec import Codec
from gainnet.codecs.rate_matched import MOST_BITS, RateMatched
from gainnet.core.errors import ConfigError
from gainnet.core.types import Bits, Spec

MAX_CHANNEL_USES: Final = 10_000_000
ENOUGH_BITS: Final = 4096.0
"""A number that suffices for any item without content, so that none above it is tried."""


def check_fits(
    label: str,
    codec: RateMatched,
    spec: Spec,
    num_items: int,
    best_snr: float,
    budget_of: Callable[[int], Callable[[float], float]],
) -> None:
    """Raises `ConfigError` when not even an item without content fits, however good the air is.

    An item without content is what a receiver puts in the place of one that did not arrive: no stream is shorter.

    Args:
        label: what the codec is called, with its kind.
        codec: whose budget is checked.
        spec: of an item.
        num_items: that the codec is for.
        best_snr: largest linear SNR that the air usually has.
        budget_of: bits of an item at a linear SNR, for a number of channel uses; grows with both.
    """
    budget = codec.capacity_bits(best_snr)
    if budget >= ENOUGH_BITS or _fits(codec, spec, num_items, budget):
        return
    num_bytes = first_number(1, lambda n: _fits(codec, spec, num_items, 8.0 * n))
    if budget_of(MAX_CHANNEL_USES)(best_snr) < 8 * num_bytes:
        raise ConfigError(
            f"num_channel_uses: no number of them carries {label}, whose shortest stream has {8 * num_bytes} bits; "
            "raise snr_db or choose a codec that sends symbols"
        )
    least = first_number(1, lambda uses: budget_of(uses)(best_snr) >= 8 * num_bytes)
    raise ConfigError(
        f"num_channel_uses: they are too few for {label}, whose shortest stream has {8 * num_bytes} bits; "
        f"give {least} or more, or choose another codec"
    )


def _fits(codec: RateMatched, spec: Spec, num_items: int, budget: float) -> bool:
    # What a receiver puts in the place of a lost item has no content, and no stream is shorter than its code.
    chosen: Codec[Bits] = codec.codec_of(min(budget, MOST_BITS))
    nothing = chosen.decode(Bits((None,) * num_items, (num_items,)), spec)
    return any(string is not None for string in chosen.encode(nothing, torch.ones(num_items)).strings)


def first_number(start: int, holds: Callable[[int], bool]) -> int:
    """Smallest number from `start` on for which something holds, once it does and from then on.

    >>> first_number(3, lambda n: n * n > 200)
    15
    """
    most = start
    # Doubling, then bisection: the answer may be anywhere up to ten million.
    while not holds(most):
        most *= 2
    return bisect_left(range(start, most), True, key=holds) + start
