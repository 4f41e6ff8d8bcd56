"""Whatever arrives: one clear error or a concealed tensor, never another exception."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gainnet.codecs import (
    AVIF,
    JPEG,
    PNG,
    Float32,
    QuantizedSeed,
    RawPixels,
    SeedBasis,
    TextCodec,
    UniformQuantizer,
    WebP,
)
from gainnet.core.errors import PayloadError
from gainnet.core.text import text_to_tensor
from gainnet.core.types import Bits, Spec


def damages(string: bytes, num_damages: int) -> list[bytes]:
    rng = np.random.default_rng(len(string))
    received = [b"", b"\0", b"\xff", string + b"\x80", string[:-1], string[: len(string) // 2]]
    for _ in range(num_damages):
        flipped = bytearray(string)
        flipped[int(rng.integers(len(string)))] ^= 1 << int(rng.integers(8))
        received += [bytes(flipped), rng.bytes(int(rng.integers(1, 300))), string[:1] + rng.bytes(40)]
    return received


def survives(codec: Any, x: Tensor, num_damages: int) -> int:
    """Number of damaged strings that were refused; the others gave a tensor of the right shape."""
    spec = Spec(tuple(x.shape[1:]))
    (string,) = codec.encode(x[:1], torch.ones(1)).strings
    num_refused = 0
    for received in damages(string, num_damages):
        try:
            decoded = codec.decode(Bits((received,), ()), spec)
        except PayloadError:
            num_refused += 1
        else:
            assert tuple(decoded.shape) == spec.shape
    return num_refused


@pytest.mark.parametrize("codec", [JPEG(40), WebP(40), AVIF(40), PNG(), WebP(max_bits=900.0), AVIF(max_bits=900.0)])
def test_picture_codecs(codec: Any, pictures: Tensor) -> None:
    assert survives(codec, pictures[:, :, 30:70, 30:70], num_damages=30) > 0


@pytest.mark.parametrize("codec", [Float32(), RawPixels(5)])
def test_codecs_of_fixed_length(codec: Any, pictures: Tensor) -> None:
    assert survives(codec, pictures[:, :, :4, :4], num_damages=10) >= 5


def test_prompts() -> None:
    assert survives(TextCodec(), text_to_tensor(["a red star"]), num_damages=50) > 0


def test_every_damaged_stream_of_integers_is_refused(basis: SeedBasis, latents: Tensor) -> None:
    for codec in (UniformQuantizer(0.3), QuantizedSeed(max_bits=200.0, basis=basis), QuantizedSeed(basis=basis)):
        assert survives(codec, latents, num_damages=50) == 156
