"""The contract of a codec, as a check that anyone can call on their own."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from gainnet.codecs.codec import AnyCodec
from gainnet.core.errors import ConfigError, PayloadError
from gainnet.core.randomness import Random
from gainnet.core.types import Bits, Payload, Size, Spec, Symbols
from gainnet.testing.requirement import close, finite, item_of, require, twice


def check_codec(codec: AnyCodec, samples: Tensor, snr: float = 10.0) -> None:
    """The contract test of a codec.

    Size promises; batch dimensions; item 3 of a batch as item 3 alone; decoded shape and type; lost items
    are concealed; a corrupt payload raises `PayloadError` or is concealed; a shape that does not fit raises
    `ConfigError`; symbols of unit mean power that carry a gradient; the first of them alone, where a codec is nested.

    Args:
        codec: what is tested.
        samples: [num_items, *shape], at least 4 items of the kind that the codec is meant for.
        snr: linear SNR that is reported to the sender, > 0.

    Raises:
        AssertionError: the contract does not hold; one sentence says where.

    >>> import torch
    >>> from gainnet.codecs import Float32
    >>> check_codec(Float32(), torch.rand(4, 3, 2, generator=torch.Generator().manual_seed(1)))
    """
    require(codec.emits in (Bits, Symbols), "emits is neither Bits nor Symbols")
    require(samples.shape[0] >= 4, "the check needs at least 4 samples")
    spec = Spec(tuple(samples.shape[1:]))
    _check_size(codec, codec.size(spec))
    _check_other_shapes(codec)
    payload, repeated = twice(lambda: codec.encode(samples, _reports(samples, spec, snr)))
    require(isinstance(payload, codec.emits), f"encode gives no {codec.emits.__name__}")
    require(_same(payload, repeated), "encoding the same twice gives two payloads")
    _check_payload(payload, codec.size(spec))
    _check_items(codec, samples, spec, snr)
    _check_decoded(codec, samples, spec, snr)
    if isinstance(payload, Bits):
        _check_concealment(codec, payload, spec, samples.dtype)
        _check_corruption(codec, payload, spec)
    else:
        _check_power(payload)
        _check_faded(codec, payload, spec)
        _check_gradient(codec, samples, spec, snr)
        if getattr(codec, "nested", False):
            _check_nested(codec, payload, spec)


def _reports(x: Tensor, spec: Spec, snr: float) -> Tensor:
    return torch.full(spec.batch_of(x), snr)


def _same(a: Payload, b: Payload) -> bool:
    # Products of matrices round otherwise in another batch size; bits are compared exactly.
    if isinstance(a, Symbols) and isinstance(b, Symbols):
        return close(a.values, b.values, 1e-5)
    return a == b


def _check_size(codec: AnyCodec, size: Size) -> None:
    require(0 <= size.expected <= size.upper, f"size promises {size.expected} expected, above its upper {size.upper}")
    require(math.isfinite(size.upper), "the upper size is not finite")


def _check_other_shapes(codec: AnyCodec) -> None:
    # Odd and square shapes: a codec may refuse one by name, and must not promise a wrong size for it.
    for shape in ((7,), (3, 5, 5), (4, 8, 8)):
        try:
            _check_size(codec, codec.size(Spec(shape)))
        except ConfigError:
            continue


def _check_payload(payload: Payload, size: Size) -> None:
    if isinstance(payload, Symbols):
        sizes = [float(payload.num_symbols)]
    else:
        sizes = [8.0 * len(string) for string in payload.strings if string is not None]
        require(len(sizes) > 0, "encode leaves every item out")
    require(max(sizes) <= size.upper, f"an item takes {max(sizes):.0f}, above the upper {size.upper:.0f} of size")
    if size.expected == size.upper:
        require(min(sizes) == size.upper, f"size is fixed at {size.upper:.0f}, but an item takes {min(sizes):.0f}")
    # With fewer items the mean of an entropy code strays further than the promise does.
    if len(sizes) >= 100:
        mean = math.fsum(sizes) / len(sizes)
        near = abs(mean - size.expected) <= 0.05 * size.expected
        require(near, f"items take {mean:.1f} on average, not within 5 % of the expected {size.expected:.1f}")


def _check_items(codec: AnyCodec, samples: Tensor, spec: Spec, snr: float) -> None:
    few = samples[:4]
    batch, single = codec.encode(few, _reports(few, spec, snr)), codec.encode(few[3], _reports(few[3], spec, snr))
    require(batch.batch == (4,) and single.batch == (), "the payload does not keep the batch dimensions")
    require(_same(item_of(batch, 3), single), "item 3 of a batch is not encoded as item 3 alone")
    decoded = codec.decode(batch, spec)
    alone = codec.decode(single, spec)
    require(close(decoded[3], alone, 1e-4), "item 3 of a batch is not decoded as item 3 alone")
    # A codec that reads the batch off the shape takes two leading dimensions for one of the content.
    square = few.reshape(2, 2, *spec.shape)
    again = codec.decode(codec.encode(square, _reports(square, spec, snr)), spec)
    require(tuple(again.shape) == (2, 2, *spec.shape), "batch (2, 2) does not come back as batch (2, 2)")
    require(close(again.flatten(0, 1), decoded, 1e-4), "batch (2, 2) is not coded as batch (4,)")


def _check_decoded(codec: AnyCodec, samples: Tensor, spec: Spec, snr: float) -> None:
    # In-place operations would change the sender's latent, which the next step still reads.
    before = samples.clone()
    decoded = codec.decode(codec.encode(samples, _reports(samples, spec, snr)), spec)
    require(torch.equal(before, samples), "encode changes the tensor it was given")
    require(decoded.shape == samples.shape, f"decoded shape is {tuple(decoded.shape)}, not {tuple(samples.shape)}")
    require(decoded.dtype == samples.dtype, f"decoded type is {decoded.dtype}, not {samples.dtype}")
    require(finite(decoded), "decoded values are not finite")


def _check_concealment(codec: AnyCodec, payload: Bits, spec: Spec, dtype: torch.dtype) -> None:
    lost = codec.decode(replace(payload, strings=(None, *payload.strings[1:])), spec)
    whole = codec.decode(payload, spec)
    require(lost.dtype == dtype and finite(lost), "an item that did not arrive is not concealed by finite values")
    require(close(lost[1:], whole[1:], 1e-5), "an item that did not arrive changes the others")
    # Without any string a decoder has no example to take type or shape from.
    nothing = codec.decode(Bits((None,), ()), spec)
    require(tuple(nothing.shape) == spec.shape and finite(nothing), "a batch of which nothing arrived is not concealed")


def _check_corruption(codec: AnyCodec, payload: Bits, spec: Spec) -> None:
    string = payload.strings[0] or b""
    generator = Random.of(0).generators("corruption")[0]
    damaged = {
        "an empty payload": b"",
        "half a payload": string[: len(string) // 2],
        "a payload with a tail": string + b"\x00\xff\x00\xff",
        "random bytes": generator.bytes(max(1, len(string))),
    }
    for position in generator.integers(0, max(1, len(string)), 16):
        bits = bytearray(string or b"\x00")
        bits[position] ^= 1 << int(generator.integers(8))
        damaged[f"a flipped bit in byte {position}"] = bytes(bits)
    for name, received in damaged.items():
        _check_damage(codec, name, received, spec)


def _check_damage(codec: AnyCodec, name: str, received: bytes, spec: Spec) -> None:
    try:
        decoded = codec.decode(Bits((received,), ()), spec)
    except PayloadError:
        return
    except Exception as error:
        raise AssertionError(f"{name} raises {type(error).__name__}, not PayloadError") from error
    concealed = tuple(decoded.shape) == spec.shape and finite(decoded)
    require(concealed, f"{name} is decoded into a tensor of another shape or one that is not finite")


def _check_power(payload: Symbols) -> None:
    require(payload.values.is_complex() and finite(payload.values), "symbols are not complex and finite")
    clean = bool((payload.gain == 1).all()) and bool((payload.noise_variance == 0).all())
    require(clean, "encoded symbols do not have gain 1 and noise variance 0")
    power = float(payload.values.abs().square().mean())
    require(abs(power - 1.0) < 0.1, f"encoded symbols have mean power {power:.3f}, not 1")


def _check_faded(codec: AnyCodec, payload: Symbols, spec: Spec) -> None:
    noise = torch.ones_like(payload.noise_variance)
    nothing = torch.zeros_like(payload.values)
    faded = Symbols(nothing, nothing, noise, payload.reported_snr)
    require(finite(codec.decode(faded, spec)), "symbols of which nothing was received are not concealed")


def _check_nested(codec: AnyCodec, payload: Symbols, spec: Spec) -> None:
    for count in {1, payload.num_symbols // 2}:
        decoded = codec.decode(payload.first(count), spec)
        require(tuple(decoded.shape) == (*payload.batch, *spec.shape), "the first symbols are decoded to another shape")
        require(finite(decoded), "the first symbols alone are not decoded to finite values")


def _check_gradient(codec: AnyCodec, samples: Tensor, spec: Spec, snr: float) -> None:
    x = samples[:4].clone().requires_grad_()
    sent = codec.encode(x, _reports(x, spec, snr))
    noisy = replace(sent, noise_variance=torch.full_like(sent.noise_variance, 1.0 / snr))
    decoded = codec.decode(noisy, spec)
    require(decoded.requires_grad, "decoded values carry no gradient to the tensor that was encoded")
    (slope,) = torch.autograd.grad(decoded.square().sum(), x)
    require(finite(slope) and bool(slope.abs().sum() > 0), "the gradient through the codec is 0 or not finite")
