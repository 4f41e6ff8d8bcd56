"""Quantised streams: exact, frozen, never above their size, as fine as their budget allows."""

import numpy as np
import pytest
import torch
from torch import Tensor

from gainnet.codecs import QuantizedSeed, SeedBasis, UniformQuantizer
from gainnet.codecs.digital_seed import step_of, step_tables
from gainnet.codecs.tables import Shape
from gainnet.core.errors import ConfigError
from gainnet.core.types import Bits, Spec

SPEC = Spec((2, 12))


def told(x: Tensor) -> Tensor:
    return torch.ones(len(x))


def samples(shape: Shape, num_items: int, num_values: int) -> Tensor:
    rng = np.random.default_rng(0)
    drawn = rng.standard_normal if shape == "gaussian" else lambda size: rng.laplace(scale=np.sqrt(0.5), size=size)
    return torch.from_numpy(drawn((num_items, num_values))).float()


@pytest.mark.parametrize("shape", ["gaussian", "laplace"])
@pytest.mark.parametrize("step", [0.25, 1.0, 4.0])
def test_values_come_back_to_half_a_step_and_size_is_as_promised(shape: Shape, step: float) -> None:
    codec, x = UniformQuantizer(step, shape=shape), samples(shape, 200, 300)
    payload = codec.encode(x, told(x))
    size = codec.size(Spec((300,)))
    lengths = [8 * len(string or b"") for string in payload.strings]
    assert max(lengths) <= size.upper
    assert np.mean(lengths) == pytest.approx(size.expected, rel=0.05)
    back = codec.decode(payload, Spec((300,)))
    assert float((back - x).abs().max()) <= step / 2 + 1e-5


@pytest.mark.parametrize(("step", "bits"), [(0.25, 4.05), (0.5, 3.05), (1.0, 2.10), (2.0, 1.20)])
def test_rate_is_the_entropy_of_a_quantised_gaussian(step: float, bits: float) -> None:
    """Gish and Pierce 1968, Fig. 2: entropies of uniformly quantised unit Gaussians."""
    codec, x = UniformQuantizer(step), samples("gaussian", 1, 100_000)
    assert codec.encode(x, told(x)).num_bits / 1e5 == pytest.approx(bits, abs=0.05)


def test_outliers_and_steps_that_do_not_fit_still_come_back() -> None:
    codec = UniformQuantizer(step=0.001, scale=0.001)
    x = torch.tensor([[1000.0, -5.0, 0.0, 1e30]])
    payload = codec.encode(x, told(x))
    assert payload.num_bits <= codec.size(Spec((4,))).upper
    torch.testing.assert_close(codec.decode(payload, Spec((4,)))[0, :3], x[0, :3], rtol=1e-6, atol=1e-3)


def test_streams_are_these_bytes_on_every_machine(basis: SeedBasis) -> None:
    x = torch.tensor([[0.3, -1.2, 2.6, 0.0, 70.0]])
    uniform = UniformQuantizer(0.5)
    assert [s.hex() for s in uniform.encode(x, told(x)).strings if s] == ["6c8c0000f0a9b5e65561c702"]
    whole = torch.linspace(-2, 2, 24)
    plain = SeedBasis(torch.zeros(24), torch.eye(24), torch.ones(24), tuple(range(12, -12, -1)), "")
    seed = QuantizedSeed(max_bits=150, basis=plain)
    assert [s.hex() for s in seed.encode(whole[None], torch.ones(1)).strings if s] == [
        "8ae6ffb687d3811fcde743732c43618e5f19"
    ]


@pytest.mark.parametrize("rate_weight", [0.0, 0.1, 0.3])
def test_integers_are_the_best_of_all_near_by(basis: SeedBasis, rate_weight: float) -> None:
    """Against a search over every integer of the table; only choices two below the nearest may be missed."""
    tables = step_tables(basis.scale_classes, 20, "gaussian", 0.6)
    deviations = basis.variances.sqrt().numpy() / step_of(20)
    ratios = np.random.default_rng(0).standard_normal((200, 24)) * deviations
    chosen = tables.choose(ratios, rate_weight)
    cost = np.square(ratios - chosen) + rate_weight * tables.flat.information(chosen)
    every = [np.full(ratios.shape, k, dtype=np.int32) for k in range(-12, 13)]
    least = np.min([np.square(ratios - k) + rate_weight * tables.flat.information(k) for k in every], axis=0)
    assert (cost <= least + 1e-9).mean() > 0.98
    assert (cost >= least - 1e-9).all()


@pytest.mark.slow
def test_a_rate_weight_pays(basis: SeedBasis, latents: Tensor) -> None:
    errors = []
    for rate_weight in (0.0, 0.1):
        codec = QuantizedSeed(max_bits=100.0, rate_weight=rate_weight, basis=basis)
        x = latents[:100]
        errors.append(float((codec.decode(codec.encode(x, told(x)), SPEC) - x).square().mean()))
    assert errors[1] < errors[0]


@pytest.mark.parametrize("step_index", [24, *(pytest.param(k, marks=pytest.mark.slow) for k in (8, 40))])
def test_a_fixed_step_gives_the_promised_size_and_error(basis: SeedBasis, latents: Tensor, step_index: int) -> None:
    codec, x = QuantizedSeed(step_index=step_index, basis=basis), latents[:300]
    payload, size = codec.encode(x, told(x)), codec.size(SPEC)
    lengths = [8 * len(string or b"") for string in payload.strings]
    assert max(lengths) <= size.upper
    assert np.mean(lengths) == pytest.approx(size.expected, rel=0.05)
    step = step_of(step_index)
    assert float((codec.decode(payload, SPEC) - x).square().mean()) <= (0.6 * step) ** 2


@pytest.mark.slow
def test_a_budget_is_kept_and_used_and_more_bits_are_better(basis: SeedBasis, latents: Tensor) -> None:
    x, errors = latents[:120], []
    for max_bits in (60.0, 100.5, 240.0):
        codec = QuantizedSeed(max_bits=max_bits, basis=basis)
        payload, size = codec.encode(x, told(x)), codec.size(SPEC)
        lengths = [8 * len(string or b"") for string in payload.strings]
        assert max(lengths) <= size.upper <= max_bits
        assert size.expected < size.upper
        assert np.mean(lengths) == pytest.approx(size.expected, rel=0.05)
        errors.append(float((codec.decode(payload, SPEC) - x).square().mean()))
    assert errors == sorted(errors, reverse=True)


def test_what_does_not_fit_or_arrive_is_the_mean(basis: SeedBasis, latents: Tensor) -> None:
    codec = QuantizedSeed(max_bits=8.0, basis=basis)
    payload = codec.encode(latents[:3], told(latents[:3]))
    assert payload.strings == (None,) * 3
    torch.testing.assert_close(codec.decode(payload, SPEC), basis.mean.reshape(2, 12).expand(3, 2, 12))


def test_any_budget_decodes_any_stream(basis: SeedBasis, latents: Tensor) -> None:
    fine = QuantizedSeed(max_bits=float("inf"), basis=basis)
    payload = fine.encode(latents[:2], told(latents[:2]))
    assert payload.num_bits / 2 <= fine.size(SPEC).upper
    back = QuantizedSeed(max_bits=0.0, basis=basis).decode(payload, SPEC)
    torch.testing.assert_close(back, latents[:2], rtol=0, atol=0.05)


def test_fields_out_of_range_are_refused_in_one_line(basis: SeedBasis) -> None:
    for fields in ({"step": 0.0}, {"step": float("nan")}, {"scale": -1.0}, {"shape": "cauchy"}):
        with pytest.raises(ConfigError, match=next(iter(fields))):
            UniformQuantizer(**fields)  # type: ignore[arg-type]
    for fields in ({"max_bits": -1.0}, {"max_bits": float("nan")}, {"step_index": 64}, {"threshold": 0.3}):
        with pytest.raises(ConfigError, match=next(iter(fields))):
            QuantizedSeed(basis=basis, **fields)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="not finite"):
        UniformQuantizer().encode(torch.tensor([[float("nan")]]), torch.ones(1))
    assert UniformQuantizer().decode(Bits((None,), (1,)), Spec((2,))).tolist() == [[0, 0]]
