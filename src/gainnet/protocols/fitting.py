"""Refusal, before anything runs, of parts that do not fit: too few channel uses, a power policy without symbols."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import torch

from gainnet.codecs import CODECS, Codecs, Content, Kind
from gainnet.codecs.codec import AnyCodec, Codec
from gainnet.codecs.content import MAX_CHANNEL_USES
from gainnet.codecs.rate_matched import MOST_BITS, RateMatched
from gainnet.codecs.selection import Automatic
from gainnet.core.errors import ConfigError
from gainnet.core.types import Bits, Spec, Symbols
from gainnet.protocols.budget import Budget, block_length
from gainnet.radio import Air, Powered, PowerPolicy
from gainnet.radio.links.link import AnyLink

ENOUGH_BITS: Final = 4096.0
"""A number that suffices for any item without content, so that none above it is tried."""


def check_budgets(
    codecs: Codecs, contents: Mapping[Kind, Content], sent: Mapping[Kind, AnyCodec], link: AnyLink
) -> None:
    """Raises `ConfigError` when the number of channel uses is too small for anything that is sent.

    Args:
        codecs: bound.
        contents: that they are bound to.
        sent: codecs of the kinds that are sent, as they were before they were bound.
        link: that carries content as bits.
    """
    for kind, given in sent.items():
        codec, content = codecs.of(kind), contents[kind]
        # Codecs of fixed size were refused when they were bound; only a budget can be too small.
        if isinstance(codec, RateMatched):
            label, snrs = f"{kind}={label_of(kind, given)}", content.snrs
            budget_of = partial(Budget.of, link, block_length=block_length(link), typical_snrs=snrs)
            check_fits(label, codec, content.spec, len(content.prompts), max(snrs), budget_of)


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
    # From few uses on: a budget of many is rehearsed codeword by codeword, and none is needed once one suffices.
    least = first_number(1, lambda n: n > MAX_CHANNEL_USES or budget_of(n)(best_snr) >= 8 * num_bytes)
    if least > MAX_CHANNEL_USES:
        raise ConfigError(
            f"num_channel_uses: no number of them carries {label}, whose shortest stream has {8 * num_bytes} bits; "
            "raise snr_db or choose a codec that sends symbols"
        )
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


def check_power(air: Air, policy: PowerPolicy, sent: Mapping[Kind, AnyCodec], has_symbols: bool) -> None:
    """Raises `ConfigError` with everything that a power policy does not fit: the fading of an air, codecs of bits.

    Args:
        air: without the policy.
        policy: of power.
        sent: codecs of the kinds that are sent; `Automatic` where they are not chosen yet.
        has_symbols: whether some of them send symbols, or may be chosen so that they do.
    """
    misfits = []
    try:
        Powered(air.fading, policy)
    except ConfigError as error:
        misfits.append(str(error).removeprefix("power: "))
    if not has_symbols:
        misfits.append(f"{_without_symbols(sent)}, or leave power out")
    if misfits:
        raise ConfigError(f"power: {'; and '.join(misfits)}")


def may_send_symbols(kind: Kind, codec: AnyCodec) -> bool:
    """Whether a codec sends symbols, or where none is chosen yet, whether one may be chosen that does.

    >>> from gainnet.codecs.selection import Automatic
    >>> may_send_symbols("seed", Automatic()), may_send_symbols("image", Automatic())
    (True, False)
    """
    return codec.emits is Symbols or (isinstance(codec, Automatic) and bool(_of_symbols(kind)))


def _of_symbols(kind: Kind) -> list[str]:
    return [name for name, make in CODECS[kind].items() if make().emits is Symbols]


def _without_symbols(sent: Mapping[Kind, AnyCodec]) -> str:
    """That no symbols are sent, and which codecs would send some."""
    kind = next((kind for kind in sent if kind != "prompt"), None)
    if kind is None:
        return "it needs symbols, and none are sent; choose another protocol"
    choice = " or ".join(f"{kind}={name}" for name in _of_symbols(kind)[:2]) or "another protocol"
    label = kind if isinstance(sent[kind], Automatic) else f"{kind}={label_of(kind, sent[kind])}"
    return f"it needs symbols, and {label} sends bits; choose {choice}"


def label_of(kind: Kind, codec: AnyCodec) -> str:
    """Name of a codec in the table of its kind, else of its class.

    >>> from gainnet.codecs import LinearCode
    >>> label_of("seed", LinearCode(512))
    'linear'
    """
    equal = (name for name, make in CODECS[kind].items() if make() == codec)
    alike = (name for name, make in CODECS[kind].items() if type(make()) is type(codec))
    return next(equal, None) or next(alike, type(codec).__name__)
