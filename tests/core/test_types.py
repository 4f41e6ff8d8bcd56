"""Shapes, sizes and payloads."""

from __future__ import annotations

import pytest
import torch

from gainnet.core.randomness import Random
from gainnet.core.types import Bits, Size, Spec, Symbols


@pytest.mark.parametrize(("shape", "batch"), [((4, 16), ()), ((3, 4, 16), (3,)), ((2, 3, 4, 16), (2, 3))])
def test_a_spec_finds_the_batch(shape: tuple[int, ...], batch: tuple[int, ...]) -> None:
    assert Spec((4, 16)).batch_of(torch.zeros(shape)) == batch


@pytest.mark.parametrize("shape", [(16,), (4, 15), (16, 4)])
def test_a_spec_refuses_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="does not end in"):
        Spec((4, 16)).batch_of(torch.zeros(shape))


def test_a_fixed_size_expects_what_it_promises() -> None:
    assert Size.fixed(12) == Size(12, 12)


def test_bits_that_did_not_arrive_count_nothing() -> None:
    assert Bits((b"abc", None, b""), (3,)).num_bits == 24
    with pytest.raises(ValueError, match="does not hold"):
        Bits((b"a",), (2,))


def test_clean_symbols_are_what_was_sent() -> None:
    symbols = Symbols.clean(Random.of([1, 2]).complex_normal((5,), "s"))
    assert symbols.num_symbols == 5
    assert symbols.batch == (2,)
    assert torch.equal(symbols.mmse(), symbols.values)


@pytest.mark.parametrize("snr", [0.1, 1.0, 10.0])
def test_the_mmse_estimate_has_the_smallest_error(snr: float) -> None:
    r"""For unit-power Gaussian symbols the error is $1/(1 + |h|^2\gamma)$ (Kay 1993), and no other scaling beats it."""
    random = Random.of(3)
    sent, gain = random.complex_normal((200_000,), "s"), torch.tensor(0.6 - 0.8j)
    noise = random.complex_normal((200_000,), "n") / snr**0.5
    received = Symbols(gain * sent + noise, gain.expand(sent.shape), torch.full(sent.shape, 1 / snr))
    estimate = received.mmse()

    def error(x: torch.Tensor) -> float:
        return float((x - sent).abs().square().mean())

    assert error(estimate) == pytest.approx(1 / (1 + snr), rel=0.02)
    assert error(estimate) < min(error(0.97 * estimate), error(1.03 * estimate))


def test_some_items_of_symbols_keep_the_snr_that_was_reported_of_them() -> None:
    symbols = Symbols.clean(torch.arange(6).reshape(3, 2) + 0j, torch.tensor([1.0, 2.0, 3.0]))
    chosen = symbols.items(torch.tensor([True, False, True]))
    assert chosen.values.real.tolist() == [[0.0, 1.0], [4.0, 5.0]]
    assert chosen.reported_snr is not None
    assert chosen.reported_snr.tolist() == [1.0, 3.0]
