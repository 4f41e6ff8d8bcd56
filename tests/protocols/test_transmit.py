"""One transmission: what it checks, and that its two halves are the whole."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from gainnet.codecs import Float32, LinearCode, QuantizedSeed, RawAnalog, SeedBasis, SeedCodec, TransformSeed, WebP
from gainnet.codecs.codec import AnyCodec
from gainnet.codecs.rate_matched import RateMatched
from gainnet.core.errors import ConfigError, PayloadError
from gainnet.core.randomness import Random
from gainnet.core.types import Bits, Payload, Size, Spec, Symbols
from gainnet.models.loading import load_model
from gainnet.protocols.transmit import accept, emit, transmit
from gainnet.radio import AWGN, Air, Analog, Ideal, Rayleigh, Tabulated

LATENT = (4, 16, 16)
X = Random.of(range(3)).normal(LATENT, "latent")
BEARERS = Tabulated(Air(AWGN(), 10.0)), Analog(Air(AWGN(), 10.0))


@dataclass(frozen=True)
class Odd:
    """A codec of the user's that does something wrong."""

    encoded: Callable[[Tensor], Payload] = lambda x: Float32().encode(x, torch.ones(len(x)))
    decoded: Callable[[Tensor], Tensor] = field(default=lambda x: x)
    emits: ClassVar[type[Payload]] = Bits

    def size(self, spec: Spec) -> Size:
        return Float32().size(spec)

    def encode(self, x: Tensor, reported_snr: Tensor) -> Payload:
        return self.encoded(x)

    def decode(self, payload: Bits, spec: Spec) -> Tensor:
        return self.decoded(Float32().decode(payload, spec))


def broken(x: Tensor) -> Tensor:
    raise RuntimeError("out of paper")


@pytest.mark.parametrize(
    ("codec", "says"),
    [
        (Odd(lambda x: Symbols.clean(x.reshape(len(x), -1) + 0j)), "Odd must emit Bits of 3 items"),
        (Odd(lambda x: Bits((b"",), (1,))), "Odd must emit Bits of 3 items"),
        (Odd(decoded=lambda x: x[..., :-1]), "Odd decoded another shape"),
        (Odd(decoded=lambda x: x * math.nan), "Odd decoded values that are not finite"),
        (Odd(decoded=broken), r"Odd failed \(RuntimeError: out of paper, test_transmit.py line \d+\)"),
    ],
)
def test_a_codec_that_breaks_its_promise_is_named(codec: AnyCodec, says: str) -> None:
    with pytest.raises(PayloadError, match=says):
        transmit(X, codec, Ideal())


def test_a_payload_of_another_type_is_refused_by_the_receiver() -> None:
    (sent,) = emit(X, RawAnalog(), BEARERS[1:], (Random.of([1, 2, 3]),))
    with pytest.raises(PayloadError, match="received Symbols, must be Bits"):
        accept(sent, Float32(), Spec(LATENT))


def test_an_item_that_is_corrupt_is_lost_and_the_others_are_not() -> None:
    codec, pictures = WebP(max_bits=4000.0), Random.of(range(3)).uniform((3, 32, 32), "picture")
    (sent,) = emit(pictures, codec, BEARERS[:1], (Random.of([1, 2, 3]),))
    assert isinstance(sent.payload, Bits)
    first, second, third = sent.payload.strings
    assert second is not None
    received = accept(replace(sent, payload=Bits((first, second[:9], third), (3,))), codec, Spec((3, 32, 32)))
    assert received.arrived.tolist() == [True, False, True]
    assert not received.usage.delivered
    assert bool((received.values[1] == 0.5).all())
    assert torch.equal(received.values[2], accept(sent, codec, Spec((3, 32, 32))).values[2])


def test_f11_an_item_with_a_float_that_is_not_finite_is_lost_and_its_picture_is_finite() -> None:
    (sent,) = emit(X, Float32(), BEARERS[:1], (Random.of([1, 2, 3]),))
    assert isinstance(sent.payload, Bits)
    first, second, third = (string or b"" for string in sent.payload.strings)
    odd = tuple(struct.pack("<f", value) + string[4:] for value, string in ((3e38, first), (9e17, third)))
    received = accept(replace(sent, payload=Bits((odd[0], second, odd[1]), (3,))), Float32(), Spec(LATENT))
    assert received.arrived.tolist() == [False, True, True]
    assert not received.usage.delivered
    pictures = load_model("scenes").decoder({"latent": received.values}, Random.of([1, 2, 3]))["image"]
    assert bool(pictures.isfinite().all())


def test_the_halves_are_the_whole() -> None:
    codec, random = LinearCode(64, SeedBasis.load("scenes")), Random.of([4, 5, 6])
    whole = transmit(X, codec, BEARERS, random)
    (sent,) = emit(X, codec, BEARERS[1:], (random,))
    received = accept(sent, codec, Spec(LATENT))
    assert torch.equal(received.values, whole.values)
    assert received.usage == whole.usage
    assert received.arrived.tolist() == [True] * 3


def test_an_air_carries_symbols_and_bits() -> None:
    air = Air(AWGN(), 10.0)
    assert torch.equal(transmit(X, RawAnalog(), air).values, transmit(X, RawAnalog(), BEARERS).values)
    assert torch.equal(transmit(X[:1], Float32(), air).values, X[:1])


def test_an_integer_gives_every_item_its_own_random_seed() -> None:
    batch, last = transmit(X, RawAnalog(), BEARERS, 7), transmit(X[2], RawAnalog(), BEARERS, Random.of(9))
    torch.testing.assert_close(batch.values[2], last.values)


@pytest.mark.parametrize("codec", [LinearCode(), LinearCode(64), QuantizedSeed(), SeedCodec(64), TransformSeed(400.0)])
def test_without_a_model_the_shipped_one_is_taken_where_the_shape_fits(codec: AnyCodec) -> None:
    assert transmit(X, codec, BEARERS).values.shape == X.shape
    with pytest.raises(ConfigError, match=r"codec: \w+ needs (basis|weights)=\.\.\. for 1023 values"):
        transmit(X.flatten(1)[:, 1:], codec, BEARERS)


@pytest.mark.slow
def test_items_that_were_never_sent_or_came_too_late_have_not_arrived() -> None:
    link = Tabulated(Air(Rayleigh(), 10.0))
    matched = RateMatched(lambda bits: Float32(), lambda snr: 1e9 if snr > 10.0 else 0.0, (10.0,))
    sent = transmit(X, matched, link, 2)
    assert sent.arrived.any()
    assert not sent.arrived.all()
    assert not sent.usage.delivered
    whole = transmit(X, Float32(), link, 2)
    late = transmit(X, Float32(), link, 2, deadline_s=0.5 * (whole.usage.duration_s + whole.usage.feedback_s))
    assert not late.arrived.all()
    assert bool((late.values[~late.arrived] == 0).all())


def test_a_link_that_carries_the_payload_is_needed() -> None:
    with pytest.raises(ConfigError, match="Float32 emits Bits, which Analog does not carry"):
        transmit(X, Float32(), Analog())


def test_gradients_pass() -> None:
    x = X.clone().requires_grad_()
    transmit(x, LinearCode(64), BEARERS).values.square().sum().backward()
    assert x.grad is not None
    assert bool((x.grad != 0).any())


def test_uses_of_a_transmission_are_a_whole_number_for_people() -> None:
    some = transmit(X, LinearCode(256), Analog(Air(AWGN(), 10.0)))
    mean = replace(some, usage=replace(some.usage, num_channel_uses=13793.44))
    assert " 768 channel uses, " in repr(some)
    assert " 13,793 channel uses, " in repr(mean)
