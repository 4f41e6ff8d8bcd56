"""Codecs without compression."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from gainnet.codecs import AnalogSketch, Float32, LinearCode, RawAnalog, RawPixels
from gainnet.codecs.raw import combine
from gainnet.core.errors import ConfigError, PayloadError
from gainnet.core.types import Bits, Spec, Symbols


def noise(shape: torch.Size, variance: Tensor, random_seed: int) -> Tensor:
    return torch.randn(shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(random_seed)) * (
        variance.sqrt()
    )


def test_float32_is_lossless_and_little_endian() -> None:
    x = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    codec = Float32()
    payload = codec.encode(x, torch.ones(2))
    assert torch.equal(codec.decode(payload, Spec((3, 4))), x)
    assert Float32().encode(torch.ones(1, 1), torch.ones(1)).strings == (bytes.fromhex("0000803f"),)
    assert payload.num_bits == 2 * codec.size(Spec((3, 4))).upper


@pytest.mark.parametrize("bits", [1, 3, 8, 12, 16])
def test_pixels_come_back_to_half_a_level(bits: int) -> None:
    codec, x = RawPixels(bits), torch.rand(2, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    payload = codec.encode(x, torch.ones(2))
    assert payload.num_bits == 2 * codec.size(Spec((3, 5, 5))).upper
    back = codec.decode(payload, Spec((3, 5, 5)))
    assert float((back - x).abs().max()) <= 0.5 / (2**bits - 1) + 1e-6
    assert torch.equal(codec.decode(codec.encode(back, torch.ones(2)), Spec((3, 5, 5))), back)


def test_a_lost_picture_is_grey_and_levels_outside_are_clipped() -> None:
    codec = RawPixels(8)
    assert codec.decode(Bits((None,), ()), Spec((1, 2, 2))).unique().tolist() == [0.5]
    assert codec.decode(codec.encode(torch.tensor([-3.0, 9.0]), torch.ones(())), Spec((2,))).tolist() == [0, 1]


@pytest.mark.parametrize("num_values", [10, 11])
@pytest.mark.parametrize("repeats", [1, 3])
def test_error_over_noise_is_that_of_the_mmse_estimate(num_values: int, repeats: int) -> None:
    """Unit Gaussian values at SNR gamma, sent r times: error 1 / (1 + r gamma)."""
    snr, spec = 2.0, Spec((num_values,))
    x = torch.randn(20_000, num_values, generator=torch.Generator().manual_seed(0))
    codec = RawAnalog(repeats * math.ceil(num_values / 2))
    sent = codec.encode(x, torch.full((len(x),), snr))
    assert sent.num_symbols == codec.size(spec).upper
    variance = torch.full(sent.values.shape, 1 / snr)
    received = replace(sent, values=sent.values + noise(sent.values.shape, variance, 1), noise_variance=variance)
    error = float((codec.decode(received, spec) - x)[:, :10].square().mean())
    assert error == pytest.approx(1 / (1 + repeats * snr), rel=0.02)


def test_scale_is_undone() -> None:
    x = 5 * torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    codec = RawAnalog(scale=5.0)
    sent = codec.encode(x, torch.ones(4))
    assert float(sent.values.abs().square().mean()) == pytest.approx(1, rel=0.4)
    torch.testing.assert_close(codec.decode(sent, Spec((8,))), x)


def test_combining_is_the_estimate_from_all_copies_at_once() -> None:
    """Against the linear MMSE of the stacked observations, solved as a system of equations."""
    gain = torch.tensor([0.3 - 1j, 2.0 + 0.1j, 0.01j])
    variance = torch.tensor([0.5, 2.0, 0.1])
    y = torch.tensor([1.0 + 1j, -2j, 0.5])
    covariance = torch.outer(gain, gain.conj()) + torch.diag(variance) + 0j
    expected = gain.conj() @ torch.linalg.solve(covariance, y)
    torch.testing.assert_close(combine(Symbols(y, gain, variance), 1).mmse()[0], expected)


def test_a_number_of_uses_that_does_not_fit_is_refused_with_one_that_does() -> None:
    for uses in (3, 7):
        with pytest.raises(ConfigError, match=r"needs 4 uses.*num_channel_uses=4"):
            RawAnalog(uses).size(Spec((8,)))
    with pytest.raises(ConfigError, match="bits_per_value"):
        RawPixels(0)
    with pytest.raises(ConfigError, match="scale"):
        RawAnalog(scale=0.0)


@pytest.mark.parametrize("field", ["values", "gain", "noise_variance"])
def test_symbols_that_are_not_finite_are_refused(field: str) -> None:
    sent = RawAnalog().encode(torch.ones(2, 4), torch.ones(2))
    broken = replace(sent, **{field: getattr(sent, field) * math.nan})
    with pytest.raises(PayloadError, match=r"^raw: a symbol, gain or noise is not finite"):
        RawAnalog().decode(broken, Spec((4,)))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 3e38, -1e18])
def test_f11_a_float_that_no_model_makes_is_a_corrupt_payload(value: float) -> None:
    string = np.array([0.5, value, -2.0, 1.0], "<f4").tobytes()
    with pytest.raises(PayloadError, match=r"^float32: a value is not finite or above 1e\+18; the payload is corrupt$"):
        Float32().decode(Bits((string,), (1,)), Spec((4,)))


@pytest.mark.parametrize("codec", [RawAnalog, LinearCode, AnalogSketch])
@pytest.mark.parametrize("uses", [0, 10_000_001, 2**40])
def test_more_uses_than_the_option_takes_are_refused_at_once(codec: type, uses: int) -> None:
    with pytest.raises(ConfigError, match=r"num_channel_uses: .* must be 1 to 10,000,000"):
        codec(uses)
