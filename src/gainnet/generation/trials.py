"""Contracts of codecs, channels and power policies of the user's, measured on a few items before anything is computed.

What the package ships goes through `gainnet.testing` instead, which measures much more.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor

from gainnet.codecs import AnyCodec, Content, Kind
from gainnet.core.errors import ConfigError
from gainnet.core.plugins import call_plugin
from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.core.types import Bits, Payload, Symbols
from gainnet.radio import PowerPolicy
from gainnet.radio.fading.channel import Channel
from gainnet.radio.power import PEAK, Outlook

NUM_ITEMS: Final = 2
NUM_GAINS: Final = 4000
"""Draws of a gain: the mean of so many exponential powers has a standard deviation of 0.016."""
POWER_ERROR: Final = 0.1
"""Largest distance of the mean power of a gain to 1."""
MOST_SNR: Final = 1e6
"""Linear SNR that is reported to a codec on trial where the link has no noise."""


def is_of_user(thing: object) -> bool:
    """Whether something was made outside of this package.

    >>> is_of_user(3), is_of_user(Random.of(1))
    (True, False)
    """
    named = thing if hasattr(thing, "__module__") and callable(thing) else type(thing)
    return str(getattr(named, "__module__", "")).partition(".")[0] != "gainnet"


def check_codec(kind: Kind, codec: AnyCodec, content: Content) -> None:
    """Codes two items and decodes them again.

    Args:
        kind: of tensor that it carries.
        codec: bound.
        content: that it is bound to.

    Raises:
        ConfigError: a payload or what is decoded is not as the contract says, or the codec raised.
    """
    field, name = f"codec.{kind}", type(codec).__name__
    x = _items(kind, content)
    snr = torch.full((len(x),), min(content.mean_snr, MOST_SNR))
    size = call_plugin(field, codec.size, content.spec)
    payload = call_plugin(field, codec.encode, x, snr)
    wrong = partial(_wrong, field, name)
    if not isinstance(payload, codec.emits) or tuple(payload.batch) != (len(x),):
        raise wrong(f"encode must make {codec.emits.__name__} of {len(x)} items, not {type(payload).__name__}")
    largest = _largest(payload, wrong)
    if largest > size.upper:
        raise wrong(f"an item takes {largest:,.0f}, and size promises at most {size.upper:,.0f}")
    decoded = call_plugin(field, codec.decode, payload, content.spec)
    if not isinstance(decoded, Tensor) or decoded.shape != x.shape:
        raise wrong(f"decode must make a tensor of shape {tuple(x.shape)}, not {_described(decoded)}")
    if decoded.dtype != x.dtype:
        raise wrong(f"decode must make {x.dtype}, not {decoded.dtype}")
    if not bool(torch.isfinite(decoded).all()):
        raise wrong("decode makes values that are not finite")


def check_channel(channel: Channel) -> None:
    """Draws gains, and sends a few symbols.

    Args:
        channel: fading and noise.

    Raises:
        ConfigError: shapes are wrong, a gain is not finite or its mean power is not 1, or the channel raised.
    """
    wrong = partial(_wrong, "fading", type(channel).__name__)
    many, few = Random.of(range(NUM_GAINS)), Random.of(range(NUM_ITEMS))
    gains = call_plugin("fading", channel.first_gain, many)
    if not isinstance(gains, Tensor) or tuple(gains.shape) != (NUM_GAINS,):
        raise wrong(f"first_gain must make a tensor of shape ({NUM_GAINS},), not {_described(gains)}")
    power = float(gains.abs().square().mean())
    # A mean of another power would be another SNR than the one that is asked for; NaN fails this, too.
    if not abs(power - 1.0) <= POWER_ERROR:
        raise wrong(f"the mean of |first_gain|^2 is {power:.3g} and must be 1")
    symbols = few.complex_normal((4,), "trial")
    gain = call_plugin("fading", channel.first_gain, few)
    received = call_plugin("fading", channel.transmit, symbols, torch.ones(NUM_ITEMS), gain, few)
    if not isinstance(received, Symbols) or received.values.shape != symbols.shape:
        raise wrong(f"transmit must make Symbols of shape {tuple(symbols.shape)}, not {_described(received)}")
    _largest(received, wrong)


def check_power_policy(policy: PowerPolicy) -> None:
    """Lets a policy decide the power of one block of two items.

    Args:
        policy: of blocks of symbols.

    Raises:
        ConfigError: it makes no power of each item, or it raised.
    """
    ones = torch.ones(NUM_ITEMS)
    outlook = Outlook(torch.ones(NUM_ITEMS, 1), ones, 2 * ones, torch.ones(NUM_ITEMS, 2), 0 * ones, PEAK)
    name = getattr(policy, "__name__", type(policy).__name__)
    found = call_plugin("power", policy, outlook)
    if not isinstance(found, Tensor) or found.shape != ones.shape:
        raise _wrong("power", name, f"it must make a tensor of shape ({NUM_ITEMS},), not {_described(found)}")
    if not bool((found >= 0).all() & torch.isfinite(found).all()):
        raise _wrong("power", name, f"powers must be finite and 0 or more, not {found.tolist()}")


def _items(kind: Kind, content: Content) -> Tensor:
    if kind == "prompt":
        return text_to_tensor(content.prompts)
    x = Random.of(range(NUM_ITEMS)).normal(content.spec.shape, "trial")
    # Pictures and sketches have values from 0 to 1.
    return x.sigmoid() if kind in ("image", "sketch") else x


def _largest(payload: Payload, wrong: Any) -> float:
    """Bits or symbols of the largest item."""
    if isinstance(payload, Bits):
        if odd := [one for one in payload.strings if not isinstance(one, bytes | None)]:
            raise wrong(f"an item of bits must be bytes or None, not {type(odd[0]).__name__}")
        return max(8 * len(one or b"") for one in payload.strings)
    if not bool(torch.isfinite(torch.view_as_real(payload.values + 0j)).all()):
        raise wrong("symbols are not finite")
    return payload.values.shape[-1]


def _described(thing: object) -> str:
    shape: Sequence[int] | None = getattr(thing, "shape", None)
    return type(thing).__name__ if shape is None else f"{type(thing).__name__} of shape {tuple(shape)}"


def _wrong(field: str, name: str, what: str) -> ConfigError:
    return ConfigError(f"{field}: {name}: {what}; see 'Plugging in' in the docs")
